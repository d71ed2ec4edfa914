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

// Tiles of six rows: few rows fill them, and few units can still be split evenly.
template <class Real>
using BackwardPanel = Panel<Real, vector_registers / 8>;

// Columns of panel p and those behind it: all gates of the vectors of units that are left.
template <class Cell, class Real>
Size forward_columns(Size p, Size H) {
    return Cell::G * rounded_up(H - p * Cell::UV * lanes<Real>, lanes<Real>);
}

// panels [·, K, UV, G, lanes] = weight [G, H, K], or 0 where that is null; those of
// `share`
template <class Cell, class Real>
void pack_gates(Real* panels, const Real* weight, Share share, Size H, Size K) {
    using P = ForwardPanel<Cell, Real>;
    constexpr Size line = 64 / sizeof(Real);  // numbers of a cache line, read together
    for (Size p = share.begin; p < share.end; ++p) {
        Real* panel = panels + p * P::elements(K);
        const Size width = P::width_for(forward_columns<Cell, Real>(p, H));
        for (Size k0 = 0; k0 < K; k0 += line) {
            const Size depth = smaller(line, K - k0);
            for (Size column = 0; column < width; ++column) {
                const Size vector = column / lanes<Real>, g = vector % Cell::G;
                const Size u =
                    (p * Cell::UV + vector / Cell::G) * lanes<Real> + column % lanes<Real>;
                Real* to = panel + k0 * width + column;
                for (Size k = 0; k < depth; ++k) {
                    to[k * width] = weight && u < H ? weight[(g * H + u) * K + k0 + k] : Real(0);
                }
            }
        }
    }
}

// to [panels, UV, G, lanes] = bias [G, H], or 0 where that is null; those of `share`
template <class Cell, class Real>
void pack_bias(Real* to, const Real* bias, Share share, Size H) {
    pack_gates<Cell>(to, bias, share, H, 1);
}

// Row n of `columns` numbers into panels [·, rows, width], those of `share`.
template <class Real>
void pack_row(Real* panels, const Real* row, Size n, Size rows, Size columns, Share share) {
    using P = BackwardPanel<Real>;
    for (Size p = share.begin; p < share.end; ++p) {
        const Size first = p * P::width, width = P::width_for(columns - first);
        const Size count = smaller(width, columns - first);
        Real* to = panels + p * P::elements(rows) + n * width;
        std::memcpy(to, row + first, count * sizeof(Real));
        std::memset(to + count, 0, (width - count) * sizeof(Real));
    }
}

// to [columns, to_stride] = the transpose of rows of `columns` numbers: row(0), row(1), ...
template <class Real, class Row>
void transpose(Real* to, Size to_stride, Row row, Size rows, Size columns) {
    constexpr Size side = lanes<Real>;
    for (Size n = 0; n < rows; n += side) {
        const Size count = smaller(side, rows - n);
        Size m = 0;
        for (; count == side && m + side <= columns; m += side) {
            Vec<Real> square[side];
            repeat<side>([&](auto k) { square[k] = load(row(n + k) + m); });
            transpose_square<Real>(square);
            repeat<side>([&](auto k) { store(to + (m + k) * to_stride + n, square[k]); });
        }
        for (; m < columns; ++m) {
            for (Size k = 0; k < count; ++k) to[m * to_stride + n + k] = row(n + k)[m];
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

// What one direction has packed: panels of W_ih, panels of W_hh, forward the biases, and the gains
// of LayerNorm, forward in the order of the biases and backward as they are.
template <class P>
struct Packed {
    Size panels_ih, panels_hh, K_ih, K_hh;  // K: depth of either product
    Size biases, gains;                     // of both products

    Size at_hh() const { return panels_ih * P::elements(K_ih); }
    Size at_biases() const { return at_hh() + panels_hh * P::elements(K_hh); }
    Size at_gains() const { return at_biases() + biases; }
    Size elements() const { return at_gains() + gains; }
};

template <class Cell, class Real>
Packed<ForwardPanel<Cell, Real>> packed_forward(const Sizes& sizes) {
    const Size panels = num_panels(sizes.H, Cell::UV * lanes<Real>);
    const Size biases = 2 * panels * ForwardPanel<Cell, Real>::width;
    return {panels, panels, sizes.I, sizes.H, biases, sizes.normalises ? biases : 0};
}

template <class Cell, class Real>
Packed<BackwardPanel<Real>> packed_backward(const Sizes& sizes) {
    const int width = BackwardPanel<Real>::width;
    const Size rows = Cell::G * sizes.H;
    return {num_panels(sizes.I, width),     num_panels(sizes.H, width), rows, rows, 0,
            sizes.normalises ? 2 * rows : 0};
}

template <class Cell, class Real>
Size forward_packed(const Sizes& sizes) {
    return sizes.D * packed_forward<Cell, Real>(sizes).elements();
}

template <class Cell, class Real>
Size backward_packed(const Sizes& sizes) {
    return sizes.D * packed_backward<Cell, Real>(sizes).elements();
}

template <class Cell, class Real>
void pack_forward(const Pack<Real>& job, const Member& member) {
    const auto packed = packed_forward<Cell, Real>(job.sizes);
    const Size I = job.sizes.I, H = job.sizes.H;
    const Share share = share_of(packed.panels_hh, member.index, member.count);
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to = job.packed + d * packed.elements();
        Real* biases = to + packed.at_biases();
        pack_gates<Cell>(to, from.weight_ih, share, H, I);
        pack_gates<Cell>(to + packed.at_hh(), from.weight_hh, share, H, H);
        pack_bias<Cell>(biases, from.bias_ih, share, H);
        pack_bias<Cell>(biases + packed.biases / 2, from.bias_hh, share, H);
        if (packed.gains == 0) continue;
        pack_bias<Cell>(biases + packed.biases, from.norm_ih, share, H);
        pack_bias<Cell>(biases + packed.biases + packed.gains / 2, from.norm_hh, share, H);
    }
}

template <class Cell, class Real>
void pack_backward(const Pack<Real>& job, const Member& member) {
    const auto packed = packed_backward<Cell, Real>(job.sizes);
    const Size I = job.sizes.I, H = job.sizes.H, rows = Cell::G * H;
    const Share ih = share_of(packed.panels_ih, member.index, member.count);
    const Share hh = share_of(packed.panels_hh, member.index, member.count);
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to = job.packed + d * packed.elements();
        for (Size n = 0; n < rows; ++n) {
            pack_row(to, from.weight_ih + n * I, n, rows, I, ih);
            pack_row(to + packed.at_hh(), from.weight_hh + n * H, n, rows, H, hh);
        }
        if (packed.gains == 0 || member.index > 0) continue;
        std::memcpy(to + packed.at_gains(), from.norm_ih, rows * sizeof(Real));
        std::memcpy(to + packed.at_gains() + rows, from.norm_hh, rows * sizeof(Real));
    }
}

}  // namespace
}  // namespace throughtime
