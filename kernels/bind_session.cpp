// Streaming sessions in Python: numpy arrays in and out.
#include "bind_session.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind_names.h"
#include "interpreter.h"
#include "session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace throughtime {

namespace {

template <class Real>
using Array = nb::ndarray<Real, nb::c_contig, nb::device::cpu>;
template <class Real>
using Matrix = nb::ndarray<const Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void check_size(const char* name, std::size_t size, Size expected) {
    if (Size(size) == expected) return;
    throw nb::value_error((std::string(name) + " must hold " + std::to_string(expected) +
                           " numbers, got " + std::to_string(size) + ".")
                              .c_str());
}

template <class Real>
void add_layer(Session<Real>& session, const std::string& cell, Matrix<Real> weight_ih,
               Matrix<Real> weight_hh, std::optional<Array<const Real>> bias_ih,
               std::optional<Array<const Real>> bias_hh, std::optional<Array<const Real>> peepholes,
               Real keep_h_share, Real keep_c_share, const std::string& nonlinearity,
               std::optional<Matrix<Real>> weight_hr) {
    const CellKind kind = cell_named(cell);
    const Size G = num_gates[int(kind)], H = weight_ih.shape(0) / G, I = weight_ih.shape(1);
    const Size P = weight_hh.shape(1);
    check_size("weight_ih", weight_ih.size(), G * H * I);
    check_size("weight_hh", weight_hh.size(), G * H * P);
    if (bias_ih) check_size("bias_ih", bias_ih->size(), G * H);
    if (bias_hh) check_size("bias_hh", bias_hh->size(), G * H);
    if (peepholes) check_size("peepholes", peepholes->size(), num_peepholes[int(kind)] * H);
    check_size("weight_hr", weight_hr ? weight_hr->size() : 0, P == H ? 0 : P * H);
    if (session.outputs() > 0) check_size("inputs of the layer", I, session.outputs());
    session.add_layer(kind,
                      {weight_ih.data(), weight_hh.data(), bias_ih ? bias_ih->data() : nullptr,
                       bias_hh ? bias_hh->data() : nullptr, peepholes ? peepholes->data() : nullptr,
                       nullptr, nullptr, weight_hr ? weight_hr->data() : nullptr},
                      I, H, P, keep_h_share, keep_c_share, nonlinearity_named(nonlinearity));
}

template <class Real>
void add_readout(Session<Real>& session, Matrix<Real> weight,
                 std::optional<Array<const Real>> bias) {
    const Size O = weight.shape(0), H = weight.shape(1);
    check_size("inputs of the readout", H, session.outputs());
    if (bias) check_size("bias", bias->size(), O);
    session.add_readout(weight.data(), bias ? bias->data() : nullptr, O, H);
}

// A step of some microseconds is over before another Python thread would have been let in.
constexpr Size worth_releasing = 65536;  // multiply-adds

template <class Real>
void step(Session<Real>& session, Array<const Real> x, Array<Real> y) {
    if (session.inputs() == 0) throw nb::value_error("a session has no layer yet; add one first.");
    check_size("x", x.size(), session.rows() * session.inputs());
    check_size("a row of x", x.ndim() ? x.shape(x.ndim() - 1) : 0, session.inputs());
    check_size("y", y.size(), session.rows() * session.outputs());
    if (session.num_weights() * session.rows() < worth_releasing) {
        session.step(x.data(), y.data());
    } else {
        const Unlocked unlocked;
        session.step(x.data(), y.data());
    }
}

template <class Real>
void bind(nb::module_& m, const char* name) {
    using S = Session<Real>;
    nb::class_<S>(m, name)
        .def(nb::init<Size>(), "rows"_a)
        .def("add_layer", &add_layer<Real>, "cell"_a, "weight_ih"_a, "weight_hh"_a,
             "bias_ih"_a.none(), "bias_hh"_a.none(), "peepholes"_a.none() = nb::none(),
             "keep_h_share"_a = 0, "keep_c_share"_a = 0, "nonlinearity"_a = "tanh",
             "weight_hr"_a.none() = nb::none())
        .def("add_readout", &add_readout<Real>, "weight"_a, "bias"_a.none())
        .def("step", &step<Real>, nb::arg("x").noconvert(), nb::arg("y").noconvert())
        .def(
            "reset",
            [](S& session, const std::vector<Size>& rows) {
                for (const Size row : rows) {
                    if (row < 0 || row >= session.rows()) throw nb::index_error("no such row");
                }
                session.reset(rows);
            },
            "rows"_a)
        .def(
            "read_state",
            [](S& session, Array<Real> to) {
                check_size("state", to.size(), session.state_elements());
                session.read_state(to.data());
            },
            nb::arg("to").noconvert())
        .def(
            "write_state",
            [](S& session, Array<const Real> from) {
                check_size("state", from.size(), session.state_elements());
                session.write_state(from.data());
            },
            nb::arg("from_").noconvert())
        .def_prop_ro("state_size", &S::state_elements);
}

}  // namespace

void bind_sessions(nb::module_& m) {
    bind<float>(m, "Session32");
    bind<double>(m, "Session64");
}

}  // namespace throughtime
