// The kernels for one instruction set. CMake compiles this file once per variant, with the
// flags of the set and its name in THROUGHTIME_VARIANT; the only symbol it exports is a table.
#include "elman.h"
#include "gru.h"
#include "lstm.h"
#include "sequence.h"

namespace throughtime {
namespace {

// Room that serves both passes.
template <class Cell, class Real>
Size workspace_elements(Size B, Size D, Size H, int threads) {
    const Sizes sizes{nullptr, 0, B, D, H};
    const Size forward = forward_workspace<Cell, Real>(sizes).elements(D, threads);
    const Size backward = backward_workspace<Cell, Real>(sizes).elements(D, threads);
    return forward > backward ? forward : backward;
}

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

template <class Real, class... Cells>
constexpr Functions<Real> functions_for() {
    return {{forward<Cells, Real>...},
            {backward<Cells, Real>...},
            {workspace_elements<Cells, Real>...},
            tanh_of_array<Real>,
            sigmoid_of_array<Real>};
}

// In the order of CellKind.
template <class Real>
constexpr Functions<Real> functions = functions_for<Real, Elman<Tanh>, Elman<Relu>, LSTM, GRU>();

}  // namespace

#define QUOTED(name) #name
#define NAME_OF(name) QUOTED(name)

extern const Variant THROUGHTIME_VARIANT;
const Variant THROUGHTIME_VARIANT = {NAME_OF(THROUGHTIME_VARIANT), functions<float>,
                                     functions<double>};

}  // namespace throughtime
