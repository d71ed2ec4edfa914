// Copies matrices into the panels of a product (product.h).
//
// Forward: the gates of a unit stand side by side, so that the cell's arithmetic finds all of
// them in one place; where a layer ends within a vector of units, the gates of those few follow
// each other closely, and are spread when the product is done. Backward: the product with the
// transpose, whose columns are the units. Columns that fill up the last panel are 0.
#pragma once

#include "product.h"
#include "rows.h"

namespace throughtime {
namespace {

// One panel holds up to UV vectors of units, and of each all its gates.
template <class Cell, class Real>
using ForwardPanel = Panel<Real, Cell::G * Cell::UV>;

// Tiles of six rows: few rows fill them, and few units can still be split evenly.
template <class Real>
using BackwardPanel = Panel<Real, vector_registers / 8>;

// The gates whose recurrent product is with the state itself; the others follow them.
template <class Cell>
struct FirstGates {
    static constexpr int G = Cell::G - Cell::G_second, UV = Cell::UV;
};

// A linear map is packed like the inputs of a cell with one gate.
struct Linear {
    static constexpr int G = 1, UV = 2;
};

// The panels of a layer's units: of whole vectors of units, as evenly as these go, and an even
// number of panels, as the number of threads is.
template <class Cell, class Real>
struct UnitPanels {
    explicit UnitPanels(Size H)
        : H(H),
          vectors(num_panels(H, lanes<Real>)),
          count(smaller(vectors, rounded_up(num_panels(vectors, Cell::UV), 2))) {}

    // Units of panels [begin, end), or of panel p.
    Share units_of(Share panels) const {
        return {vectors_before(panels.begin) * lanes<Real>,
                smaller(vectors_before(panels.end) * lanes<Real>, H)};
    }
    Share units_of(Size p) const { return units_of({p, p + 1}); }

    // All gates of panel p's units, or the first G.
    template <int G = Cell::G>
    Size columns(Size p) const {
        const Share units = units_of(p);
        return G * (units.end - units.begin);
    }

    // Rows [rows, stride] of a product's panel p, [G, units] where the last vector has fewer units
    // than lanes, as the cell's arithmetic looks for them, [G, lanes].
    template <int G = Cell::G>
    ALWAYS_INLINE void spread_gates(Real* out, Size stride, Size p, Size rows) const {
        const Size units = H % lanes<Real>;
        if (G == 1 || units == 0 || p + 1 < count) return;
        const Size before = H - units - units_of(p).begin;
        for (Size r = 0; r < rows; ++r) {
            Real* last = out + r * stride + G * before;
            for (Size g = G - 1; g > 0; --g) store(last + g * lanes<Real>, load(last + g * units));
        }
    }

    Size panel_of(Size unit) const {
        return num_panels((unit / lanes<Real> + 1) * count, vectors) - 1;
    }

    const Size H, vectors, count;

  private:
    Size vectors_before(Size p) const {
        return Cell::UV == 1 ? p : share_of(vectors, p, count).begin;  // 1: without a division
    }
};

// panels [·, strips, K, columns] = weight [G, H, K], or 0 where that is null, with the columns [UV,
// G, lanes] or, of a last vector of fewer units, [G, units]; those of `share`
template <class Cell, class Real>
void pack_gates(Real* panels, const Real* weight, Share share, Size H, Size K) {
    using Columns = ForwardPanel<Cell, Real>;
    constexpr Size line = 64 / sizeof(Real);  // numbers of a cache line, read together
    const UnitPanels<Cell, Real> units(H);
    for (Size p = share.begin; p < share.end; ++p) {
        const Real* from[Columns::width] = {};  // each column's row of the weights, if any
        const auto [first, end] = units.units_of(p);
        Size num = 0;
        for (Size u = first; weight && u < end; u += lanes<Real>) {
            for (Size g = 0; g < Cell::G; ++g) {
                const Real* rows = weight + g * H * K;
                for (Size n = u; n < smaller(u + lanes<Real>, end); ++n) from[num++] = rows + n * K;
            }
        }
        const auto pack_strip = [&](Real* to, const Real* const* from, Size width) {
            for (Size k0 = 0; k0 < K; k0 += line) {
                for (Size column = 0; column < width; ++column) {
                    for (Size k = k0; k < smaller(k0 + line, K); ++k) {
                        to[k * width + column] = from[column] ? from[column][k] : Real(0);
                    }
                }
            }
        };
        Columns::with_columns(units.columns(p), [&](auto used) {
            used.for_strips([&](auto strip, Size column) {
                pack_strip(panels + p * Columns::elements(K) + column * K, from + column,
                           strip.width);
            });
        });
    }
}

// to [panels, columns] = bias [G, H], or 0 where that is null, in the order of pack_gates
template <class Cell, class Real>
void pack_bias(Real* to, const Real* bias, Share share, Size H) {
    pack_gates<Cell>(to, bias, share, H, 1);
}

// Row n of `columns` numbers into panels [·, rows, width], those of `share`.
template <class Real>
void pack_row(Real* panels, const Real* row, Size n, Size rows, Size columns, Share share) {
    using Back = BackwardPanel<Real>;
    static_assert(Back::strips == 1);
    for (Size p = share.begin; p < share.end; ++p) {
        const Size first = p * Back::width, width = Back::width_for(columns - first);
        const Size count = smaller(width, columns - first);
        Real* to = panels + p * Back::elements(rows) + n * width;
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

// Whether a step has a second product, whose matrix is [P, H]: that of some cells can.
template <class Cell>
constexpr bool can_have_second = Cell::G_second > 0 || Cell::projects;

template <class Cell>
constexpr bool has_second(const Sizes& sizes) {
    return Cell::G_second > 0 || (Cell::projects && sizes.P != sizes.H);
}

// Where the parts of what one direction has packed begin: panels of W_ih, of W_hh for the first
// product, of the second product's matrix, forward the biases of all three, and the gains of
// LayerNorm, forward in the order of the first biases and backward as they are.
struct Packed {
    Size panels_ih, panels_hh, panels_second;
    Size at_hh, at_second, at_bias_ih, at_bias_hh, at_bias_second, at_gains, elements;
    Size to_gains;  // from the bias of either product
};

template <class Cell, class Real>
Packed forward_layout(const Sizes& sizes) {
    using Inputs = ForwardPanel<Cell, Real>;
    using First = ForwardPanel<FirstGates<Cell>, Real>;
    using Second = ForwardPanel<Linear, Real>;
    Packed packed{};
    packed.panels_ih = packed.panels_hh = UnitPanels<Cell, Real>(sizes.H).count;
    packed.panels_second = has_second<Cell>(sizes) ? UnitPanels<Linear, Real>(sizes.P).count : 0;
    packed.at_hh = packed.panels_ih * Inputs::elements(sizes.I);
    packed.at_second = packed.at_hh + packed.panels_hh * First::elements(sizes.P);
    packed.at_bias_ih = packed.at_second + packed.panels_second * Second::elements(sizes.H);
    packed.at_bias_hh = packed.at_bias_ih + packed.panels_ih * Inputs::width;
    packed.at_bias_second = packed.at_bias_hh + packed.panels_hh * First::width;
    packed.at_gains = packed.at_bias_second + packed.panels_second * Second::width;
    packed.to_gains = packed.at_gains - packed.at_bias_ih;
    const Size biases = packed.at_bias_second - packed.at_bias_ih;
    packed.elements = packed.at_gains + (sizes.normalises ? biases : 0);
    return packed;
}

template <class Cell, class Real>
Packed backward_layout(const Sizes& sizes) {
    using Back = BackwardPanel<Real>;
    Packed packed{};
    packed.panels_ih = num_panels(sizes.I, Back::width);
    packed.panels_hh = num_panels(sizes.P, Back::width);
    packed.panels_second = has_second<Cell>(sizes) ? num_panels(sizes.H, Back::width) : 0;
    packed.at_hh = packed.panels_ih * Back::elements(Cell::G * sizes.H);
    packed.at_second =
        packed.at_hh + packed.panels_hh * Back::elements(FirstGates<Cell>::G * sizes.H);
    packed.at_gains = packed.at_second + packed.panels_second * Back::elements(sizes.P);
    packed.elements = packed.at_gains + (sizes.normalises ? 2 * Cell::G * sizes.H : 0);
    return packed;
}

template <class Cell, class Real>
Size forward_packed_elements(const Sizes& sizes) {
    return sizes.D * forward_layout<Cell, Real>(sizes).elements;
}

template <class Cell, class Real>
Size backward_packed_elements(const Sizes& sizes) {
    return sizes.D * backward_layout<Cell, Real>(sizes).elements;
}

// The matrix of the second product, [P, H], and its bias, [P] or null: none of a projection's.
template <class Cell, class Real>
const Real* second_weight(const Weights<Real>& weights, const Sizes& sizes) {
    const Size first = FirstGates<Cell>::G * sizes.H * sizes.P;
    return Cell::G_second > 0 ? weights.weight_hh + first : weights.weight_hr;
}

template <class Cell, class Real>
const Real* second_bias(const Weights<Real>& weights, const Sizes& sizes) {
    if (Cell::G_second == 0 || !weights.bias_hh) return nullptr;
    return weights.bias_hh + FirstGates<Cell>::G * sizes.H;
}

template <class Cell, class Real>
void pack_forward(const Pack<Real>& job, const Member& member) {
    const Packed packed = forward_layout<Cell, Real>(job.sizes);
    const Size I = job.sizes.I, H = job.sizes.H, P = job.sizes.P;
    const UnitPanels<Cell, Real> units(H);
    constexpr Size width = ForwardPanel<Cell, Real>::width;
    const Share share = share_of(packed.panels_hh, member.index, member.count);
    const Share second = share_of(packed.panels_second, member.index, member.count);
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to = job.packed + d * packed.elements;
        pack_gates<Cell>(to, from.weight_ih, share, H, I);
        pack_gates<FirstGates<Cell>>(to + packed.at_hh, from.weight_hh, share, H, P);
        pack_gates<Linear>(to + packed.at_second, second_weight<Cell>(from, job.sizes), second, P,
                           H);
        pack_bias<Cell>(to + packed.at_bias_ih, from.bias_ih, share, H);
        pack_bias<FirstGates<Cell>>(to + packed.at_bias_hh, from.bias_hh, share, H);
        pack_bias<Linear>(to + packed.at_bias_second, second_bias<Cell>(from, job.sizes), second,
                          P);
        if (!job.sizes.normalises) continue;
        pack_bias<Cell>(to + packed.at_bias_ih + packed.to_gains, from.norm_ih, share, H);
        pack_bias<FirstGates<Cell>>(to + packed.at_bias_hh + packed.to_gains, from.norm_hh, share,
                                    H);
        // LayerNorm reads them where the gates are spread
        for (Size p = share.begin; p < share.end; ++p) {
            for (Size behind : {Size(0), packed.to_gains}) {
                units.spread_gates(to + packed.at_bias_ih + behind + p * width, width, p, 1);
                units.spread_gates(to + packed.at_bias_hh + behind + p * width, width, p, 1);
            }
        }
    }
}

template <class Cell, class Real>
void pack_backward(const Pack<Real>& job, const Member& member) {
    const Packed packed = backward_layout<Cell, Real>(job.sizes);
    const Size I = job.sizes.I, H = job.sizes.H, P = job.sizes.P;
    const auto pack = [&](Real* to, Size panels, const Real* from, Size rows, Size columns) {
        const Share share = share_of(panels, member.index, member.count);
        for (Size n = 0; n < rows && panels > 0; ++n) {
            pack_row(to, from + n * columns, n, rows, columns, share);
        }
    };
    for (Size d = 0; d < job.sizes.D; ++d) {
        const Weights<Real>& from = job.weights[d];
        Real* to = job.packed + d * packed.elements;
        pack(to, packed.panels_ih, from.weight_ih, Cell::G * H, I);
        pack(to + packed.at_hh, packed.panels_hh, from.weight_hh, FirstGates<Cell>::G * H, P);
        pack(to + packed.at_second, packed.panels_second, second_weight<Cell>(from, job.sizes), P,
             H);
        if (!job.sizes.normalises || member.index > 0) continue;
        const Size rows = Cell::G * H;
        std::memcpy(to + packed.at_gains, from.norm_ih, rows * sizeof(Real));
        std::memcpy(to + packed.at_gains + rows, from.norm_hh, rows * sizeof(Real));
    }
}

}  // namespace
}  // namespace throughtime
