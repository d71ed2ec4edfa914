// Copies matrices into the panels of a product (product.h).
//
// Forward: the gates of a unit stand side by side, so that the cell's arithmetic finds all of
// them in one place. Backward: the product with the transpose, whose columns are the units.
// Columns that fill up the last panel are 0.
#pragma once

#include "product.h"
#include "rows.h"

namespace throughtime {
namespace {

// One panel holds UV vectors of units, and of each all its gates.
template <class Cell, class Real>
using ForwardPanel = Panel<Real, Cell::G * Cell::UV>;

// Two vectors of columns and tiles of six rows: fine enough to split few units evenly.
template <class Real>
using BackwardPanel = Panel<Real, 2>;

// panels [·, 1+K, UV, G, lanes] = weight [G, H, K] with bias [G, H] or null; panels of `share`
template <class Cell, class Real>
void pack_gates(Real* panels, const Real* weight, const Real* bias, Share share, Size H, Size K) {
    using P = ForwardPanel<Cell, Real>;
    constexpr Size line = 64 / sizeof(Real);  // numbers of a cache line, read together
    for (Size p = share.begin; p < share.end; ++p) {
        Real* panel = panels + p * P::elements(K);
        for (Size column = 0; column < P::width; ++column) {
            const Size vector = column / lanes<Real>, g = vector % Cell::G;
            const Size u = (p * Cell::UV + vector / Cell::G) * lanes<Real> + column % lanes<Real>;
            panel[column] = u < H && bias ? bias[g * H + u] : Real(0);
        }
        for (Size k0 = 0; k0 < K; k0 += line) {
            const Size depth = smaller(line, K - k0);
            for (Size column = 0; column < P::width; ++column) {
                const Size vector = column / lanes<Real>, g = vector % Cell::G;
                const Size u =
                    (p * Cell::UV + vector / Cell::G) * lanes<Real> + column % lanes<Real>;
                Real* to = panel + (1 + k0) * P::width + column;
                const Real* from = weight + (g * H + u) * K + k0;
                for (Size k = 0; k < depth; ++k) to[k * P::width] = u < H ? from[k] : Real(0);
            }
        }
    }
}

// Row n of `columns` numbers into panels [·, 1+rows, width], those of `share`.
template <class Real>
void pack_row(Real* panels, const Real* row, Size n, Size rows, Size columns, Share share) {
    using P = BackwardPanel<Real>;
    for (Size p = share.begin; p < share.end; ++p) {
        Real* to = panels + p * P::elements(rows) + (1 + n) * P::width;
        const Size first = p * P::width, count = smaller(P::width, columns - first);
        std::memcpy(to, row + first, count * sizeof(Real));
        std::memset(to + count, 0, (P::width - count) * sizeof(Real));
    }
}

// Sets the biases of panels [·, 1+rows, width] to 0.
template <class Real>
void pack_no_bias(Real* panels, Size rows, Share share) {
    using P = BackwardPanel<Real>;
    for (Size p = share.begin; p < share.end; ++p) {
        std::memset(panels + p * P::elements(rows), 0, P::width * sizeof(Real));
    }
}

// to [columns, to_stride] = the transpose of from [rows, from_stride]
template <class Real>
void transpose(Real* to, Size to_stride, const Real* from, Size from_stride, Size rows,
               Size columns) {
    constexpr Size side = 8;
    for (Size n = 0; n < rows; n += side) {
        const Size count = smaller(side, rows - n);
        for (Size m = 0; m < columns; ++m) {
            for (Size k = 0; k < count; ++k) {
                to[m * to_stride + n + k] = from[(n + k) * from_stride + m];
            }
        }
    }
}

// Distance between rows of a buffer: not a power of two, whose rows would all meet in one corner
// of a cache.
template <class Real>
constexpr Size row_stride(Size columns) {
    constexpr Size line = 64 / sizeof(Real);
    return (columns + line - 1) / line * line + line;
}

// The places of the panels of one direction: of the inputs first, of the states behind them.
template <class P>
struct PackedPanels {
    Size columns_ih, columns_hh, K_ih, K_hh;  // columns and depth of either product

    Size panels_ih() const { return num_panels(columns_ih, P::width); }
    Size panels_hh() const { return num_panels(columns_hh, P::width); }
    Size begin_hh() const { return panels_ih() * P::elements(K_ih); }
    Size elements() const { return begin_hh() + panels_hh() * P::elements(K_hh); }
};

template <class Cell, class Real>
PackedPanels<ForwardPanel<Cell, Real>> forward_panels(const Sizes& sizes) {
    const Size units = Cell::UV * lanes<Real>;
    const Size columns = (sizes.H + units - 1) / units * units * Cell::G;
    return {columns, columns, sizes.I, sizes.H};
}

template <class Cell, class Real>
PackedPanels<BackwardPanel<Real>> backward_panels(const Sizes& sizes) {
    return {sizes.I, sizes.H, Cell::G * sizes.H, Cell::G * sizes.H};
}

template <class Cell, class Real>
Size forward_packed(const Sizes& sizes) {
    return sizes.D * forward_panels<Cell, Real>(sizes).elements();
}

template <class Cell, class Real>
Size backward_packed(const Sizes& sizes) {
    return sizes.D * backward_panels<Cell, Real>(sizes).elements();
}

template <class Cell, class Real>
void pack_forward(const Pack<Real>& job, const Member& member) {
    const auto panels = forward_panels<Cell, Real>(job.sizes);
    const Share share = share_of(panels.panels_hh(), member.index, member.count);
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to = job.packed + d * panels.elements();
        pack_gates<Cell>(to, from.weight_ih, from.bias_ih, share, job.sizes.H, job.sizes.I);
        pack_gates<Cell>(to + panels.begin_hh(), from.weight_hh, from.bias_hh, share, job.sizes.H,
                         job.sizes.H);
    }
}

template <class Cell, class Real>
void pack_backward(const Pack<Real>& job, const Member& member) {
    const auto panels = backward_panels<Cell, Real>(job.sizes);
    const Size I = job.sizes.I, H = job.sizes.H, rows = Cell::G * H;
    const Share ih = share_of(panels.panels_ih(), member.index, member.count);
    const Share hh = share_of(panels.panels_hh(), member.index, member.count);
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to_ih = job.packed + d * panels.elements();
        Real* to_hh = to_ih + panels.begin_hh();
        pack_no_bias(to_ih, rows, ih);
        pack_no_bias(to_hh, rows, hh);
        for (Size n = 0; n < rows; ++n) {
            pack_row(to_ih, from.weight_ih + n * I, n, rows, I, ih);
            pack_row(to_hh, from.weight_hh + n * H, n, rows, H, hh);
        }
    }
}

}  // namespace
}  // namespace throughtime
