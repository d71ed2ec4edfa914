// The gradients of the weights: sums over all steps and rows, added up block by block.
//
//   dW_ih = sum dz^T x    db_ih = sum dz    dW_hh = sum da^T h_before    db_hh = sum da
//
// A bias is the weight of an input that is always 1, so that a block gives all of these as
// products of the transposed [x 1 h_before] with da as it stands. They are summed in panels, one
// after the other in memory, and transposed to where they belong in the end. The sums over a block
// begin at 0 and are added to the whole, so that a long sequence loses no more digits than its
// number of blocks.
//
// With LayerNorm dz and da are those of the products, W_ih x and W_hh h; the gradients of biases
// and gains behind it, and those of peepholes, are added up unit by unit where they arise.
#pragma once

#include "pack.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class WeightSums {
    using P = BackwardPanel<Real>;
    static constexpr Size chunk_rows = 192;  // of the sums, in a core's own cache

  public:
    static constexpr Size side = lanes<Real>;  // rows that are transposed together

    WeightSums() = default;

    // R rows of a block at most; take(elements) hands out room.
    template <class Take>
    WeightSums(const Sizes& sizes, Size R, Size da_stride, Take take)
        : I(sizes.I),
          H(sizes.H),
          normalises(sizes.normalises),
          splits(Cell::splits || normalises),
          rows_by_unit(num_rows_by_unit(sizes)),
          panels(num_panels(Cell::G * H, P::width)),
          R(R),
          n_stride(row_stride<Real>(R)),
          da_stride(da_stride) {
        columns = take((I + 1 + H) * n_stride);
        right = take(panels * P::elements(R));
        zeros = take(P::width);
        dh_fresh = take(H);
        dc_fresh = take(H);
        by_unit = take(rows_by_unit * H);
    }

    static Size elements(const Sizes& sizes) {
        const Size splits = Cell::splits || sizes.normalises;
        return num_panels(Cell::G * sizes.H, P::width) * (sizes.I + 1 + splits + sizes.H) *
                   P::width +
               rounded_up(num_rows_by_unit(sizes) * sizes.H, P::width);
    }

    // Where the sums are: among those of all lanes, or with null in room of this run.
    template <class Take>
    void keep_in(Real* of_lanes, const Lane& lane, Take take) {
        const Size own = at_by_unit() + rounded_up(rows_by_unit * H, P::width);
        sums = of_lanes ? of_lanes + lane.index() * own : take(own);
    }

    // The 1 among the inputs, gradients of 0 of the state of resets, and of all if there are no
    // steps.
    void start(bool clears) {
        for (Size n = 0; n < n_stride; ++n) columns[I * n_stride + n] = 1;
        for (Size v = 0; v < P::width; ++v) zeros[v] = 0;
        for (Size u = 0; u < H; ++u) dh_fresh[u] = dc_fresh[u] = 0;
        for (Size k = 0; k < rows_by_unit * H; ++k) by_unit[k] = 0;
        for (Size k = 0; k < at_by_unit() + rows_by_unit * H && clears; ++k) sums[k] = 0;
    }

    // Rows n, ..., n + count - 1 of the block, `side` at most.
    void take_rows(Size n, Size count, const Real* const* x_rows, const Real* const* h_rows) {
        const auto row_of = [](const Real* const* rows) { return [=](Size k) { return rows[k]; }; };
        transpose(columns + n, n_stride, row_of(x_rows), count, I);
        transpose(columns + (I + 1) * n_stride + n, n_stride, row_of(h_rows), count, H);
    }

    // Adds a block, [rows, G, H] of dz and da, to nothing if it is the first; the members of a
    // group share the panels.
    void add(const Real* dz, const Real* da, Size rows, bool is_first, const Group& group) {
        const Share mine = share_of(panels, group.index, group.count);
        if (splits) {
            add_products(dz, 0, 0, I + 1, rows, is_first, mine);
            add_products(da, I, I + 1, 1 + H, rows, is_first, mine);
        } else {
            add_products(dz, 0, 0, I + 1 + H, rows, is_first, mine);
        }
    }

    // The same of what was summed unit by unit, for these units, and begins again at 0.
    void add_by_unit(Size begin, Size end, bool is_first) {
        Real* total = sums + at_by_unit();
        for (Size row = 0; row < rows_by_unit * H; row += H) {
            for (Size k = row + begin; k < row + end; ++k) {
                total[k] = is_first ? by_unit[k] : total[k] + by_unit[k];
                by_unit[k] = 0;
            }
        }
    }

    void add_part(const WeightSums& part, const Member& member) const {
        const Share mine = share_of(panels, member.index, member.count);
        const Size panel = num_sums() * P::width;
        for (Size k = mine.begin * panel; k < mine.end * panel; ++k) sums[k] += part.sums[k];
    }

    void add_fresh(const WeightSums& part) const {
        for (Size u = 0; u < H; ++u) {
            dh_fresh[u] += part.dh_fresh[u];
            dc_fresh[u] += part.dc_fresh[u];
        }
    }

    void add_by_unit_of(const WeightSums& part) const {
        const Size at = at_by_unit();
        for (Size k = at; k < at + rows_by_unit * H; ++k) sums[k] += part.sums[k];
    }

    // Writes this member's share of the gradients.
    void write(const WeightGradients<Real>& gradients, const Member& member) const {
        const Share mine = share_of(panels, member.index, member.count);
        for (Size q = mine.begin; q < mine.end; ++q) {
            const Real* panel = sums + q * num_sums() * P::width;
            const Size first = q * P::width, count = smaller(P::width, Cell::G * H - first);
            const auto write_to = [&](Real* gradient, Size row, Size rows) {
                if (!gradient) return;
                const Real* from = panel + row * P::width;
                transpose(
                    gradient + first * rows, rows, [=](Size k) { return from + k * P::width; },
                    rows, count);
            };
            write_to(gradients.weight_ih, 0, I);
            write_to(gradients.weight_hh, I + 1 + splits, H);
            if (normalises) continue;
            write_to(gradients.bias_ih, I, 1);
            write_to(gradients.bias_hh, I + splits, 1);
        }
    }

    void write_fresh(Real* dh, Real* dc, Size d) const {
        if (dh) std::memcpy(dh + d * H, dh_fresh, H * sizeof(Real));
        if (dc) std::memcpy(dc + d * H, dc_fresh, H * sizeof(Real));
    }

    // Writes what was summed unit by unit.
    void write_by_unit(const WeightGradients<Real>& to) const {
        const Real* from = sums + at_by_unit();
        const auto write_rows = [&](Real* gradient, Size rows) {
            if (gradient) std::memcpy(gradient, from, rows * H * sizeof(Real));
            from += rows * H;
        };
        write_rows(to.peepholes, Cell::P);
        if (!normalises) return;
        for (Real* of : {to.bias_ih, to.bias_hh, to.norm_ih, to.norm_hh}) write_rows(of, Cell::G);
    }

    // [P, H] and [G, H] sums over the block: of peepholes, and with LayerNorm of the biases and the
    // gains of W_ih x (0) or W_hh h (1).
    Real* of_peepholes() const { return by_unit; }
    Real* of_bias(Size which) const { return by_unit + (Cell::P + which * Cell::G) * H; }
    Real* of_gain(Size which) const { return of_bias(2 + which); }

    Real *dh_fresh, *dc_fresh;  // [H] gradients of the state that resets begin with

  private:
    static Size num_rows_by_unit(const Sizes& sizes) {
        return Cell::P + (sizes.normalises ? 4 * Cell::G : 0);
    }

    // Where these stand among the sums: behind the panels.
    Size at_by_unit() const { return panels * num_sums() * P::width; }

    // Rows of a panel of sums: inputs, 1 and states; the 1 twice where da and dz differ.
    Size num_sums() const { return I + 1 + splits + H; }

    // sums [panels, row + count, width] += columns [first + count, rows] da [rows, G, H]
    void add_products(const Real* da, Size first, Size row, Size count, Size rows, bool is_first,
                      Share mine) {
        for (Size n = 0; n < rows; ++n)
            pack_row(right, da + n * da_stride, n, R, Cell::G * H, mine);
        for (Size m = 0; m < count; m += chunk_rows) {
            const Matrix<const Real> left{columns + (first + m) * n_stride, n_stride};
            for (Size q = mine.begin; q < mine.end; ++q) {
                Real* to = sums + (q * num_sums() + row + m) * P::width;
                const Matrix<const Real> start =
                    is_first ? Matrix<const Real>{zeros, 0} : Matrix<const Real>{to, P::width};
                P::with_columns(Cell::G * H - q * P::width, [&](auto used) {
                    used.multiply({to, P::width}, start, left, right + q * P::elements(R),
                                  smaller(chunk_rows, count - m), rows);
                });
            }
        }
    }

    Size I, H;
    bool normalises;
    Size splits, rows_by_unit, panels, R, n_stride, da_stride;
    Real* columns;  // [I + 1 + H, R]
    Real* right;    // [panels, R, width] da of the block
    Real* by_unit;  // [rows_by_unit, H] sums over the block
    Real* sums;     // [panels, num_sums, width], then [rows_by_unit, H]
    Real* zeros;    // [width]
};

}  // namespace
}  // namespace throughtime
