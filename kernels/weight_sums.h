// The gradients of the weights: sums over all steps and rows, added up block by block.
//
//   dW_ih = sum dz^T x    db_ih = sum dz    dW_hh = sum da^T h_before    db_hh = sum da
//
// and of the matrix of a second product dW = sum de^T m; where that is the last rows of W_hh, the
// sums with h_before are of the first ones.
//
// A bias is the weight of an input that is always 1, so that a block gives all of these as
// products of the transposed [x 1 h_before] with da as it stands (panel_sums.h), transposed to
// where they belong in the end. A long sequence loses no more digits than its number of blocks.
//
// With LayerNorm dz and da are those of the products, W_ih x and W_hh h; the gradients of biases
// and gains behind it, and those of peepholes, are added up unit by unit where they arise.
#pragma once

#include "panel_sums.h"

namespace throughtime {
namespace {

// What a block of steps left behind for the sums.
template <class Real>
struct BlockGradients {
    Matrix<const Real> dz, da;  // [rows, G, H]
    Matrix<const Real> de;      // [rows, P] and
    Matrix<const Real> m;       // [rows, H] of the second product
    Size rows;
};

template <class Cell, class Real>
class WeightSums {
    using Back = BackwardPanel<Real>;
    static constexpr Size first_gates = FirstGates<Cell>::G;

  public:
    static constexpr Size side = lanes<Real>;  // rows that are transposed together

    WeightSums() = default;

    // R rows of a block at most; take(elements) hands out room.
    template <class Take>
    WeightSums(const Sizes& sizes, Size R, Take take) : WeightSums(sizes) {
        n_stride = row_stride<Real>(R);
        columns = take((I + 1 + h_width) * n_stride);
        m_columns = take(second.count * n_stride);
        for (PanelSums<Real>* of : {&first, &second}) {
            of->R = R;
            of->lay_out(take);
        }
        dh_fresh = take(h_width);
        dc_fresh = take(H);
        by_unit = take(rows_by_unit * H);
    }

    static Size elements(const Sizes& sizes) { return WeightSums(sizes).num_sums(); }

    // Where the sums are: among those of all tasks, or with null in room of this run.
    template <class Take>
    void keep_in(Real* of_tasks, const Task& task, Take take) {
        first.sums = of_tasks ? of_tasks + task.index() * num_sums() : take(num_sums());
        second.sums = first.sums + first.elements();
        unit_sums = second.sums + second.elements();
    }

    // The 1 among the inputs, gradients of 0 of the state of resets, and of all if there are no
    // steps.
    void start(bool clears) {
        for (Size n = 0; n < n_stride; ++n) columns[I * n_stride + n] = 1;
        for (Size u = 0; u < h_width; ++u) dh_fresh[u] = 0;
        for (Size u = 0; u < H; ++u) dc_fresh[u] = 0;
        first.start(clears);
        second.start(clears);
        for (Size k = 0; k < rows_by_unit * H; ++k) by_unit[k] = 0;
        for (Size k = 0; k < rows_by_unit * H && clears; ++k) unit_sums[k] = 0;
    }

    // Adds what was summed unit by unit over a block, for these units, and begins again at 0.
    void add_by_unit(Share units, bool is_first) {
        for (Size row = 0; row < rows_by_unit * H; row += H) {
            for (Size k = row + units.begin; k < row + units.end; ++k) {
                unit_sums[k] = is_first ? by_unit[k] : unit_sums[k] + by_unit[k];
                by_unit[k] = 0;
            }
        }
    }

    // Rows n, ..., n + count - 1 of the block, `side` at most.
    void take_rows(Size n, Size count, const Real* const* x_rows, const Real* const* h_rows) {
        const auto row_of = [](const Real* const* rows) { return [=](Size k) { return rows[k]; }; };
        transpose(columns + n, n_stride, row_of(x_rows), count, I);
        transpose(columns + (I + 1) * n_stride + n, n_stride, row_of(h_rows), count, h_width);
    }

    // Adds a block to nothing if it is the first; the members of a group share the panels.
    void add(const BlockGradients<Real>& block, bool is_first, const Group& group) {
        const Share mine = share_of(first.panels(), group.index, group.count);
        const Size rows = block.rows;
        const auto from = [&](Size row) {
            return Matrix<const Real>{columns + row * n_stride, n_stride};
        };
        first.take(block.dz, rows, mine);
        if (splits == 0 && Cell::G_second == 0) {
            first.add(from(0), 0, I + 1 + h_width, rows, is_first, mine);
        } else {
            const Size end = num_panels(first_gates * H, Back::width);
            first.add(from(0), 0, I + 1, rows, is_first, mine);
            if (splits > 0) first.take(block.da, rows, mine);
            first.add(from(I + 1 - splits), I + 1, splits + h_width, rows, is_first,
                      {mine.begin, smaller(mine.end, end)});
        }
        if (second.N == 0) return;
        take_m(block, group);
        group.meet();
        const Share of_second = share_of(second.panels(), group.index, group.count);
        second.take(block.de, rows, of_second);
        second.add({m_columns, n_stride}, 0, H, rows, is_first, of_second);
    }

    void add_part(const WeightSums& part, const Member& member) const {
        first.add_part(part.first, member);
        second.add_part(part.second, member);
    }

    void add_by_unit_of(const WeightSums& part) const {
        for (Size k = 0; k < rows_by_unit * H; ++k) unit_sums[k] += part.unit_sums[k];
    }

    void add_fresh(const WeightSums& part) const {
        for (Size u = 0; u < h_width; ++u) dh_fresh[u] += part.dh_fresh[u];
        for (Size u = 0; u < H; ++u) dc_fresh[u] += part.dc_fresh[u];
    }

    // Writes this member's share of the gradients.
    void write(const WeightGradients<Real>& gradients, const Member& member) const {
        const Size all = Cell::G * H, of_first = first_gates * H;
        Real* second_weight = gradients.weight_hr;
        if (Cell::G_second > 0 && gradients.weight_hh) {
            second_weight = gradients.weight_hh + of_first * h_width;
        }
        first.write(gradients.weight_ih, 0, I, all, member);
        if (!normalises) {
            first.write(gradients.bias_ih, I, 1, all, member);
            first.write(gradients.bias_hh, I + splits, 1, all, member);
        }
        first.write(gradients.weight_hh, I + 1 + splits, h_width, of_first, member);
        second.write(second_weight, 0, H, h_width, member);
    }

    void write_fresh(Real* dh, Real* dc, Size d) const {
        if (dh) std::memcpy(dh + d * h_width, dh_fresh, h_width * sizeof(Real));
        if (dc) std::memcpy(dc + d * H, dc_fresh, H * sizeof(Real));
    }

    // Writes what was summed unit by unit.
    void write_by_unit(const WeightGradients<Real>& to) const {
        const Real* from = unit_sums;
        const auto write_rows = [&](Real* gradient, Size rows) {
            if (gradient) std::memcpy(gradient, from, rows * H * sizeof(Real));
            from += rows * H;
        };
        write_rows(to.peepholes, Cell::Q);
        if (!normalises) return;
        for (Real* of : {to.bias_ih, to.bias_hh, to.norm_ih, to.norm_hh}) write_rows(of, Cell::G);
    }

    // Sums over the block: [Q, H] of peepholes, and with LayerNorm [4, G, H] of the biases of W_ih
    // x and W_hh h and of their gains.
    Real* of_peepholes() const { return by_unit; }
    Real* of_norm() const { return by_unit + Cell::Q * H; }

    Real *dh_fresh, *dc_fresh;  // [P], [H] gradients of the state that resets begin with

  private:
    // The sums' sizes alone. Of x, 1 and h_before; the 1 twice where da and dz differ.
    explicit WeightSums(const Sizes& sizes)
        : I(sizes.I),
          H(sizes.H),
          h_width(sizes.P),
          normalises(sizes.normalises),
          splits(Cell::splits || normalises),
          rows_by_unit(Cell::Q + (normalises ? 4 * Cell::G : 0)) {
        first.N = Cell::G * H;
        first.count = I + 1 + splits + h_width;
        if (!has_second<Cell>(sizes)) return;
        second.N = h_width;
        second.count = H;
    }

    Size num_sums() const {
        return first.elements() + second.elements() + rounded_up(rows_by_unit * H, Back::width);
    }

    // m of this member's rows by columns
    void take_m(const BlockGradients<Real>& block, const Group& group) {
        for (Size n = group.index * side; n < block.rows; n += group.count * side) {
            transpose(
                m_columns + n, n_stride, [&](Size k) { return block.m.row(n + k); },
                smaller(side, block.rows - n), H);
        }
    }

    Size I = 0, H = 0, h_width = 0, n_stride = 0;  // h_width: P
    bool normalises = false;
    Size splits = 0, rows_by_unit = 0;
    Real* columns = nullptr;    // [I + 1 + P, R]
    Real* m_columns = nullptr;  // [H, R]
    PanelSums<Real> first, second;
    Real *by_unit, *unit_sums;  // [rows_by_unit, H] over the block, and over all
};

}  // namespace
}  // namespace throughtime
