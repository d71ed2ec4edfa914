// Questions to torch's tensors, asked by their names in Python, so that nothing here knows torch.
// A loop in Python over the tensors of a call takes longer than all their answers.
#include "bind_tensors.h"

#include <nanobind/stl/vector.h>

#include <vector>

#include "bind_pointers.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace throughtime {
namespace {

// The name of an attribute or method, made once.
class Name {
  public:
    explicit Name(const char* name) : name_(PyUnicode_InternFromString(name)) {}

    nb::object of(nb::handle tensor) const {
        return checked(PyObject_GetAttr(tensor.ptr(), name_));
    }
    nb::object call(nb::handle tensor) const {
        return checked(PyObject_CallMethodNoArgs(tensor.ptr(), name_));
    }

  private:
    static nb::object checked(PyObject* result) {
        if (!result) throw nb::python_error();
        return nb::steal(result);
    }

    PyObject* name_;
};

std::vector<Address> addresses_of(const nb::sequence& tensors) {
    static const Name data_ptr("data_ptr");
    std::vector<Address> found;
    for (nb::handle tensor : tensors) {
        found.push_back(tensor.is_none() ? 0 : nb::cast<Address>(data_ptr.call(tensor)));
    }
    return found;
}

bool are_dense(const nb::sequence& tensors) {
    static const Name is_contiguous("is_contiguous"), is_neg("is_neg");
    for (nb::handle tensor : tensors) {
        if (tensor.is_none()) continue;
        if (!is_contiguous.call(tensor).is(nb::bool_(true))) return false;
        if (is_neg.call(tensor).is(nb::bool_(true))) return false;
    }
    return true;
}

bool are_alike(const nb::list& tensors, const nb::list& shapes, nb::handle dtype) {
    static const Name shape("shape"), dtype_name("dtype"), is_cpu("is_cpu");
    if (tensors.size() != shapes.size()) return false;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
        const nb::object tensor = tensors[k];
        if (!shape.of(tensor).equal(shapes[k]) || !dtype_name.of(tensor).is(dtype)) return false;
        if (!is_cpu.of(tensor).is(nb::bool_(true))) return false;
    }
    return true;
}

}  // namespace

void bind_tensors(nb::module_& m) {
    m.def("addresses_of", &addresses_of, "tensors"_a);
    m.def("are_dense", &are_dense, "tensors"_a);
    m.def("are_alike", &are_alike, "tensors"_a, "shapes"_a, "dtype"_a);
}

}  // namespace throughtime
