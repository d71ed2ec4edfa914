// The Python module: numbers and addresses in, nothing out. The only file that knows Python.
// Arguments are described in src/throughtime/native/_kernels.pyi; the caller checks shapes.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dispatch.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace throughtime {
namespace {

using Address = std::uintptr_t;  // of a tensor's first element, or 0

CellKind cell_named(const std::string& name) {
    static constexpr const char* names[num_cells] = {"elman_tanh", "elman_relu", "lstm", "gru"};
    for (int kind = 0; kind < num_cells; ++kind) {
        if (name == names[kind]) return CellKind(kind);
    }
    throw nb::value_error(
        ("cell must be elman_tanh, elman_relu, lstm or gru, got '" + name + "'.").c_str());
}

// The first row of every step, and at the end the number of all rows, [T+1].
std::vector<Size> row_offsets(Address batch_sizes, Size T, Size B) {
    const auto* sizes = reinterpret_cast<const std::int64_t*>(batch_sizes);
    std::vector<Size> offset(T + 1, 0);
    for (Size t = 0; t < T; ++t) offset[t + 1] = offset[t] + (sizes ? Size(sizes[t]) : B);
    return offset;
}

template <class Real>
Real* pointer(Address address) {
    return reinterpret_cast<Real*>(address);
}

// Calls body(Real{}) with the type of the numbers, while other Python threads go on.
template <class Body>
void with_type(bool is_double, Body body) {
    nb::gil_scoped_release unlocked;
    if (is_double) {
        body(double{});
    } else {
        body(float{});
    }
}

void forward(const std::string& cell, bool is_double, Address y, Address h_n, Address c_n,
             Address c, Address gates, Address z, Address weight_hh, Address bias_hh, Address h0,
             Address c0, Address batch_sizes, Size T, Size B, Size D, Size H, Address workspace,
             int threads) {
    const CellKind kind = cell_named(cell);
    const std::vector<Size> offset = row_offsets(batch_sizes, T, B);
    with_type(is_double, [&]<class Real>(Real) {
        const auto p = pointer<Real>;
        run_forward<Real>(kind,
                          {p(y),
                           p(h_n),
                           p(c_n),
                           p(c),
                           p(gates),
                           p(z),
                           p(weight_hh),
                           p(bias_hh),
                           p(h0),
                           p(c0),
                           {offset.data(), T, B, D, H},
                           p(workspace)},
                          threads);
    });
}

void backward(const std::string& cell, bool is_double, Address dz, Address da, Address dh0,
              Address dc0, Address dy, Address dh_n, Address dc_n, Address y, Address h0,
              Address c0, Address c, Address gates, Address weight_hh, Address batch_sizes, Size T,
              Size B, Size D, Size H, Address workspace, int threads) {
    const CellKind kind = cell_named(cell);
    const std::vector<Size> offset = row_offsets(batch_sizes, T, B);
    with_type(is_double, [&]<class Real>(Real) {
        const auto p = pointer<Real>;
        run_backward<Real>(kind,
                           {p(dz),
                            p(da),
                            p(dh0),
                            p(dc0),
                            p(dy),
                            p(dh_n),
                            p(dc_n),
                            p(y),
                            p(h0),
                            p(c0),
                            p(c),
                            p(gates),
                            p(weight_hh),
                            {offset.data(), T, B, D, H},
                            p(workspace)},
                           threads);
    });
}

void use_variant(const std::string& name) {
    if (choose_variant(name)) return;
    std::string message = "variant must be one of";
    for (const std::string& known : known_variants()) message += " " + known;
    throw nb::value_error((message + ", got '" + name + "'.").c_str());
}

}  // namespace
}  // namespace throughtime

NB_MODULE(_kernels, m) {
    using namespace throughtime;
    m.def("forward", &forward, "cell"_a, "is_double"_a, "y"_a, "h_n"_a, "c_n"_a, "c"_a, "gates"_a,
          "z"_a, "weight_hh"_a, "bias_hh"_a, "h0"_a, "c0"_a, "batch_sizes"_a, "T"_a, "B"_a, "D"_a,
          "H"_a, "workspace"_a, "threads"_a);
    m.def("backward", &backward, "cell"_a, "is_double"_a, "dz"_a, "da"_a, "dh0"_a, "dc0"_a, "dy"_a,
          "dh_n"_a, "dc_n"_a, "y"_a, "h0"_a, "c0"_a, "c"_a, "gates"_a, "weight_hh"_a,
          "batch_sizes"_a, "T"_a, "B"_a, "D"_a, "H"_a, "workspace"_a, "threads"_a);
    m.def(
        "workspace_elements",
        [](const std::string& cell, bool is_double, Size B, Size D, Size H, int threads) {
            return workspace_elements(cell_named(cell), is_double, B, D, H, threads);
        },
        "cell"_a, "is_double"_a, "B"_a, "D"_a, "H"_a, "threads"_a);
    m.def(
        "choose_threads",
        [](const std::string& cell, Size B, Size D, Size H, int most) {
            return choose_threads(cell_named(cell), B, D, H, most);
        },
        "cell"_a, "B"_a, "D"_a, "H"_a, "most"_a);
    m.def("variants", &known_variants);
    m.def("variant", &chosen_variant);
    m.def("use_variant", &use_variant, "name"_a);
    m.def(
        "tanh",
        [](Address out, Address in, Size n, bool is_double) {
            with_type(is_double, [&]<class Real>(Real) {
                chosen_functions<Real>().tanh(pointer<Real>(out), pointer<Real>(in), n);
            });
        },
        "out"_a, "in_"_a, "n"_a, "is_double"_a);
    m.def(
        "sigmoid",
        [](Address out, Address in, Size n, bool is_double) {
            with_type(is_double, [&]<class Real>(Real) {
                chosen_functions<Real>().sigmoid(pointer<Real>(out), pointer<Real>(in), n);
            });
        },
        "out"_a, "in_"_a, "n"_a, "is_double"_a);
}
