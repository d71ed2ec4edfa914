// The names that Python has for what the kernels number.
#include "bind_names.h"

#include <nanobind/nanobind.h>

#include <iterator>

namespace nb = nanobind;

namespace throughtime {
namespace {

// Where the name stands among `names`; `what` says in an error which names these are.
template <int num>
int place_of(const std::string& name, const char* const (&names)[num], const char* what) {
    std::string known;
    for (int k = 0; k < num; ++k) {
        if (name == names[k]) return k;
        known += std::string(k == 0 ? "" : k + 1 < num ? ", " : " or ") + names[k];
    }
    throw nb::value_error(
        (std::string(what) + " must be " + known + ", got '" + name + "'.").c_str());
}

constexpr const char* nonlinearities[num_nonlinearities] = {
    "tanh",     "relu", "identity", "sigmoid",   "leaky_relu", "elu",
    "softplus", "silu", "gelu",     "gelu_tanh", "hardtanh",   "softsign"};

}  // namespace

CellKind cell_named(const std::string& name) {
    static constexpr const char* names[num_cells] = {
        "elman_tanh", "elman_relu", "lstm", "gru", "coupled_lstm", "elman", "gru_reset_before"};
    return CellKind(place_of(name, names, "cell"));
}

Nonlinearity nonlinearity_named(const std::string& name) {
    return Nonlinearity(place_of(name, nonlinearities, "nonlinearity"));
}

std::vector<std::string> known_nonlinearities() {
    return {std::begin(nonlinearities), std::end(nonlinearities)};
}

}  // namespace throughtime
