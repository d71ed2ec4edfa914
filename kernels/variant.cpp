// The kernels for one instruction set. CMake compiles this file once per variant, with the
// flags of the set and its name in THROUGHTIME_VARIANT; the only symbol it exports is a table.
#include "ceilings.h"
#include "elman.h"
#include "forward.h"
#include "gru.h"
#include "gru_reset_before.h"
#include "lstm.h"
#include "parts.h"
#include "stream.h"

namespace throughtime {
namespace {

template <class Real>
void tanh_of_array(Real* out, const Real* in, Size n) {
    for_units<Real>(0, n,
                    [&](auto units, Size i) { units.store(out + i, tanh(units.load(in + i))); });
}

template <class Real>
void sigmoid_of_array(Real* out, const Real* in, Size n) {
    for_units<Real>(0, n,
                    [&](auto units, Size i) { units.store(out + i, sigmoid(units.load(in + i))); });
}

template <class Cell, class Real>
constexpr CellFunctions<Real> functions_of() {
    return {{forward<Cell, Real>, pack_forward<Cell, Real>, forward_workspace<Cell, Real>,
             forward_packed_elements<Cell, Real>},
            {backward<Cell, Real>, pack_backward<Cell, Real>, backward_workspace<Cell, Real>,
             backward_packed_elements<Cell, Real>},
            gradient_sums<Cell, Real>,
            stream_step<Cell, Real>,
            stream_workspace<Cell, Real>};
}

// Whether the tables of kernels.h say of every kind of cell what its struct says.
template <class... Cells>
constexpr bool tables_agree() {
    int kind = -1;
    return ((++kind, num_gates[kind] == Cells::G && num_saved[kind] == Cells::S &&
                         num_peepholes[kind] == Cells::Q && has_cell_state[kind] == Cells::has_c) &&
            ...);
}

template <class Real, class... Cells>
constexpr Functions<Real> functions_for() {
    static_assert(sizeof...(Cells) == num_cells && tables_agree<Cells...>());
    return {{functions_of<Cells, Real>()...},
            {readout_packed<Real>, pack_readout<Real>, readout<Real>},
            tanh_of_array<Real>,
            sigmoid_of_array<Real>};
}

// In the order of CellKind.
template <class Real>
constexpr Functions<Real> functions = functions_for<Real, Elman<Tanh>, Elman<Relu>, LSTM, GRU,
                                                    CoupledLSTM, AnyElman, GRUResetBefore>();

}  // namespace

#define QUOTED(name) #name
#define NAME_OF(name) QUOTED(name)

extern const Variant THROUGHTIME_VARIANT;
const Variant THROUGHTIME_VARIANT = {NAME_OF(THROUGHTIME_VARIANT),
                                     functions<float>,
                                     functions<double>,
                                     fingerprint,
                                     multiply_adds,
                                     read_through};

}  // namespace throughtime
