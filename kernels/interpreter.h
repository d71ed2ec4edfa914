// What the bindings ask of the interpreter: where they may be imported, and that it goes on
// meanwhile.
#pragma once

#include <nanobind/nanobind.h>
#include <unistd.h>

namespace throughtime {

// Lets other Python threads go on while it lives.
class Unlocked {
  public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

    // A thread that comes back while the interpreter shuts down is ended by Python, through
    // pthread_exit, which may not pass a C++ frame like this one: the thread stays here until
    // the process is gone.
    ~Unlocked() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            for (;;) ::pause();
        }
    }

  private:
    PyThreadState* state_;
};

// Whether the kernels may be imported here; if not, an ImportError is set that says why.
inline bool accepts_interpreter() {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "throughtime must be imported in the main interpreter, this is a "
                        "subinterpreter; import it in the main one, or start a process.");
        return false;
    }
    // There from Python 3.13 on. An interpreter without the lock takes it up again for a module
    // like this one, unless it was told not to.
    PyObject* is_locked = PySys_GetObject("_is_gil_enabled");  // borrowed
    PyObject* answer = is_locked ? PyObject_CallNoArgs(is_locked) : Py_NewRef(Py_True);
    if (!answer) return false;
    Py_DECREF(answer);
    if (answer != Py_False) return true;
    PyErr_SetString(PyExc_ImportError,
                    "throughtime must run under Python's global interpreter lock, it is switched "
                    "off; unset PYTHON_GIL and leave out -X gil=0.");
    return false;
}

}  // namespace throughtime
