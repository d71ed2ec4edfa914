// A whole sequence backward: the loop over time, generic over the cell.
//
// Time runs back in blocks of steps. Each step turns dh into the gradients of its gates, da, and
// sends da W_hh to the step before. Once a block is done, its da, still in the cache, gives the
// block's part of the gradients of the weights and of the inputs:
//
//   dW_ih += sum dz^T x    dW_hh += sum da^T h_before    db += sum da    dx = dz W_ih
//
// The sums over a block begin at 0 and are added to the whole, so that a long sequence loses no
// more digits than its number of blocks, and several runs over pieces of whole blocks, from the
// last piece on, can add to the same gradients and give the bits of one run.
//
// Members share the steps as in forward.h, by rows or by units; the gradients of weights and inputs
// always by units.
#pragma once

#include "pack.h"
#include "step.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class BackwardRun {
    using P = BackwardPanel<Real>;
    static constexpr Size chunk_rows = 16 * P::tile_rows;  // of a gradient, per product

  public:
    // Lays out the buffers; with a workspace of null it only counts them.
    BackwardRun(const Backward<Real>& job, Size d, const Member& member, Room<Real> room)
        : job(job),
          all{job.sizes, job.rows, d},
          at(all),
          group(group_for(member, d, job.sizes.D)),
          packed(packed_backward<Cell, Real>(job.sizes)),
          weights(job.packed + d * packed.elements()) {
        const Sizes& sizes = job.sizes;
        const Size D = sizes.D, B = sizes.B, R = larger(B, gradient_rows), H = sizes.H;
        const Size tile_rows = larger(R, chunk_rows);
        panel_rows = R;
        h_stride = row_stride<Real>(H);
        da_stride = row_stride<Real>(Cell::G * H);
        n_stride = row_stride<Real>(R);
        const auto shared = [&](Size elements) { return room.take(D * elements) + d * elements; };
        // resets add to one gradient of the fresh state, which is shared by units
        by_rows = shares_rows<Real>(sizes, Cell::G, member) && !job.rows.reset;
        dh = shared((B + member.count) * h_stride);
        dc = Cell::has_c ? shared((B + member.count) * h_stride) : nullptr;
        dz = shared(R * da_stride);
        da = Cell::splits ? shared(R * da_stride) : dz;
        da_columns = shared(Cell::G * H * n_stride);
        x_panels = shared(packed.panels_ih * P::elements(R));
        h_panels = shared(packed.panels_hh * P::elements(R));
        tile = room.take(member.count * tile_rows * P::width) + member.index * tile_rows * P::width;
        zeros = shared(larger(H, P::width));
        used = room.used;
        if (group.count == 0) return;
        mine_ih = share_of(packed.panels_ih, group.index, group.count);
        mine_hh = share_of(packed.panels_hh, group.index, group.count);
        begin = mine_hh.begin * P::width;
        end = smaller(mine_hh.end * P::width, H);
        da_columns += begin * Cell::G * n_stride;
        panels = mine_hh, first = begin, last = end;
        if (by_rows) {
            at.first = group.index;
            at.every = group.count;
            panels = {0, packed.panels_hh}, first = 0, last = H;
            const Size rows = num_panels(B, group.count);
            dh += group.index * rows * h_stride;
            if (Cell::has_c) dc += group.index * rows * h_stride;
        }
    }

    Size elements() const { return used; }

    void run() {
        if (group.count == 0) return;
        start();
        for (Size end = job.sizes.T; end > 0;) {
            const Block block = all.block_to(end, gradient_rows);
            pack_inputs(block);
            Size row = block.rows;
            for (Size i = block.end - 1; i >= block.begin; --i) {
                row -= all.active(i);
                gate_gradients(i, row);
                if (!by_rows) group.meet();
                state_gradients(i, row);
            }
            if (by_rows) group.meet();
            weight_gradients(block);
            input_gradients(block);
            group.meet();  // before the buffers are written again
            end = block.begin;
        }
        finish();
    }

  private:
    void start() {
        if (group.index == 0) std::memset(zeros, 0, bytes(larger(job.sizes.H, P::width)));
        const WeightGradients<Real>& gradients = job.weights[at.d];
        const Size H = job.sizes.H, I = job.sizes.I;
        for (Size g = 0; g < Cell::G && !job.adds; ++g) {
            set_zero(gradients.weight_ih, I, g);
            set_zero(gradients.weight_hh, H, g);
            if (gradients.bias_ih) set_zero(gradients.bias_ih, 1, g);
            if (gradients.bias_hh) set_zero(gradients.bias_hh, 1, g);
        }
        if (job.dh_fresh) std::memset(job.dh_fresh + at.d * H + begin, 0, bytes(end - begin));
        if (job.dc_fresh) std::memset(job.dc_fresh + at.d * H + begin, 0, bytes(end - begin));
        for (Size r = 0; r < at.batch_size(); ++r) {
            for (Size u = first; u < last; ++u) {
                dh[r * h_stride + u] = job.dh_n ? job.dh_n[at.state(r) + u] : Real(0);
                if (!Cell::has_c) continue;
                dc[r * h_stride + u] = job.dc_n ? job.dc_n[at.state(r) + u] : Real(0);
            }
        }
        group.meet();
    }

    static std::size_t bytes(Size elements) { return std::size_t(elements) * sizeof(Real); }

    // this member's rows of gate g of a gradient [G, H, columns]
    void set_zero(Real* gradient, Size columns, Size g) {
        if (columns == 0) return;  // it may be null, and memset refuses that even for no bytes
        std::memset(gradient + (g * job.sizes.H + begin) * columns, 0,
                    bytes((end - begin) * columns));
    }

    // The state that row r of step i started from.
    const Real* before(const Direction& at, const Real* over_time, const Real* initial,
                       const Real* fresh, Size i, Size r) const {
        const Size H = job.sizes.H;
        if (at.is_fresh(i, r)) return fresh ? fresh + at.d * H : zeros;
        if (r < at.carried(i)) return over_time + at.kept(i - 1, r) * H;
        return initial ? initial + at.state(r) : zeros;
    }

    // Inputs and states of the block as panels: the right-hand sides of the weights' gradients.
    void pack_inputs(const Block& block) {
        const Size I = job.sizes.I, H = job.sizes.H;
        all.for_rows(block, [&](Size i, Size r, Size n) {
            pack_row(x_panels, job.x + all.place(i, r) * I, n, panel_rows, I, mine_ih);
            pack_row(h_panels, before(all, job.y, job.h0, job.h_fresh, i, r), n, panel_rows, H,
                     mine_hh);
        });
    }

    // da of this member's part of step i, whose rows begin at `row` in the block. dh and dc hold
    // what arrives from the steps after; what bypasses the product is left there for the step
    // before.
    void gate_gradients(Size i, Size row) {
        const Size H = job.sizes.H, active = at.active(i);
        for (Size r = 0; r < active; ++r) {
            const Size kept = at.kept(i, r), state = r * h_stride, n = row + at.of_all(r);
            const Real* h_before = before(at, job.y, job.h0, job.h_fresh, i, r);
            const Real* c_before =
                Cell::has_c ? before(at, job.c, job.c0, job.c_fresh, i, r) : nullptr;
            for_units<Real>(first, last, [&](auto units, Size u) {
                StepBackward<Real> step{};
                step.H = H;
                step.dz = dz + n * da_stride + u;
                step.da = da + n * da_stride + u;
                step.h = job.y + kept * H + u;
                step.h_before = h_before + u;
                if (Cell::S > 0) step.gates = job.gates + kept * Cell::S * H + u;
                if constexpr (Cell::has_c) {
                    step.dc = dc + state + u;
                    step.c = job.c + kept * H + u;
                    step.c_before = c_before + u;
                }
                Vec<Real> dh_u = units.load(dh + state + u);
                if (job.dy) dh_u += units.load(job.dy + kept * H + u);
                units.store(dh + state + u, Cell::backward(units, dh_u, step));
            });
        }
    }

    // dh += da W_hh for this member's part: the gradient of the state before step i.
    void state_gradients(Size i, Size row) {
        const Size active = at.active(i), K = Cell::G * job.sizes.H;
        const Matrix<const Real> da_i{da + (row + at.first) * da_stride, at.every * da_stride};
        for (Size p = panels.begin; p < panels.end; ++p) {
            const Real* panel = weights + packed.at_hh() + p * P::elements(K);
            // rows of dh are longer than H by more than the last panel's columns
            Real* to = dh + p * P::width;
            if (all.active(i) == 1) {
                if (active) P::multiply_single(to, to, da_i.data, panel, K);
            } else {
                P::multiply({to, h_stride}, {to, h_stride}, da_i, panel, active, K);
            }
        }
        cut_at_resets(i);
    }

    // to [count] += from [count]
    static void add_row(Real* to, const Real* from, Size count) {
        for_units<Real>(0, count, [&](auto units, Size k) {
            units.store(to + k, units.load(to + k) + units.load(from + k));
        });
    }

    // Where row r begins afresh, its gradient belongs to the fresh state, not to the step before.
    void cut_at_resets(Size i) {
        for (Size r = 0; job.rows.reset && r < at.active(i); ++r) {
            if (!at.is_fresh(i, r)) continue;
            cut(dh + r * h_stride, job.dh_fresh);
            if (Cell::has_c) cut(dc + r * h_stride, job.dc_fresh);
        }
    }

    void cut(Real* gradient, Real* of_fresh) {
        if (of_fresh) add_row(of_fresh + at.d * job.sizes.H + begin, gradient + begin, end - begin);
        std::memset(gradient + begin, 0, bytes(end - begin));
    }

    // The block's part of the gradients of the weights, of this member's units.
    void weight_gradients(const Block& block) {
        const WeightGradients<Real>& gradients = job.weights[at.d];
        const Size I = job.sizes.I, H = job.sizes.H;
        take_columns(dz, block);
        add_biases(gradients.bias_ih, block);
        add_product(gradients.weight_ih, x_panels, I, block);
        if (Cell::splits) take_columns(da, block);
        add_biases(gradients.bias_hh, block);
        add_product(gradients.weight_hh, h_panels, H, block);
    }

    // da_columns [G, units, rows] = the transpose of this member's units of da [rows, G, H]
    void take_columns(const Real* from, const Block& block) {
        const Size units = end - begin;
        for (Size g = 0; g < Cell::G; ++g) {
            transpose(da_columns + g * units * n_stride, n_stride, from + g * job.sizes.H + begin,
                      da_stride, block.rows, units);
        }
    }

    void add_biases(Real* gradient, const Block& block) {
        const Size units = end - begin;
        for (Size m = 0; gradient && m < Cell::G * units; ++m) {
            const Size g = m / units, u = begin + m % units;
            gradient[g * job.sizes.H + u] += sum(da_columns + m * n_stride, block.rows);
        }
    }

    // gradient [G, H, columns] += da_columns times the panels, for this member's units
    void add_product(Real* gradient, const Real* right, Size columns, const Block& block) {
        const Size units = end - begin, num = num_panels(columns, P::width);
        for (Size g = 0; g < Cell::G; ++g) {
            for (Size m = 0; m < units; m += chunk_rows) {
                const Size rows = smaller(chunk_rows, units - m);
                Real* to = gradient + (g * job.sizes.H + begin + m) * columns;
                const Real* left = da_columns + (g * units + m) * n_stride;
                for (Size q = 0; q < num; ++q) {
                    add_panel({to + q * P::width, columns}, {left, n_stride},
                              right + q * P::elements(panel_rows), rows, block.rows,
                              columns - q * P::width);
                }
            }
        }
    }

    // to [rows, columns] += left [rows, K] times a panel, of which the last columns may be missing
    void add_panel(Matrix<Real> to, Matrix<const Real> left, const Real* panel, Size rows, Size K,
                   Size columns) {
        // A product in several depths would add to the whole once for each.
        const bool is_one_sum = K <= P::block;
        if (columns >= P::width && is_one_sum) return P::multiply(to, to, left, panel, rows, K);
        columns = smaller(columns, P::width);
        P::multiply({tile, P::width}, {zeros, 0}, left, panel, rows, K);
        for (Size m = 0; m < rows; ++m) add_row(to.row(m), tile + m * P::width, columns);
    }

    // dx = dz W_ih for this member's panels of inputs
    void input_gradients(const Block& block) {
        if (!job.dx) return;
        const Size I = job.sizes.I, K = Cell::G * job.sizes.H;
        Real* dx = job.dx + at.d * job.sizes.N * I;
        for (Size q = mine_ih.begin; q < mine_ih.end; ++q) {
            P::multiply({tile, P::width}, {zeros, 0}, {dz, da_stride}, weights + q * P::elements(K),
                        block.rows, K);
            const Size column = q * P::width, count = smaller(P::width, I - column);
            all.for_rows(block, [&](Size i, Size r, Size n) {
                std::memcpy(dx + all.place(i, r) * I + column, tile + n * P::width, bytes(count));
            });
        }
    }

    void finish() {
        for (Size r = 0; r < at.batch_size(); ++r) {
            const Size from = r * h_stride + first, to = at.state(r) + first;
            if (job.dh0) std::memcpy(job.dh0 + to, dh + from, bytes(last - first));
            if (job.dc0) std::memcpy(job.dc0 + to, dc + from, bytes(last - first));
        }
    }

    const Backward<Real>& job;
    Direction all, at;  // every row, and those whose steps are this member's
    Group group;
    bool by_rows;
    Packed<P> packed;
    const Real* weights;         // packed, of this direction
    Share mine_ih{}, mine_hh{};  // panels of inputs, and of units
    Size begin = 0, end = 0;     // units
    Share panels{};              // of W_hh in this member's steps
    Size first = 0, last = 0;    // units of these
    Size panel_rows, h_stride, da_stride, n_stride, used;
    Real *dh, *dc;     // [B, H] gradients of the state after the step that comes next
    Real *dz, *da;     // [R, G, H] of the block
    Real* da_columns;  // [G, units, R] of this member
    Real* x_panels;    // [panels, R, width]
    Real* h_panels;    // [panels, R, width]
    Real* tile;        // [rows, width] of this member
    Real* zeros;       // [H]
};

template <class Cell, class Real>
Size backward_workspace(const Sizes& sizes, int threads) {
    return workspace_of<BackwardRun<Cell, Real>, Backward<Real>>(sizes, threads);
}

// One member's part of a backward run.
template <class Cell, class Real>
void backward(const Backward<Real>& job, const Member& member) {
    for (Size d = 0; d < job.sizes.D; ++d) {
        BackwardRun<Cell, Real>(job, d, member, {job.workspace}).run();
    }
}

}  // namespace
}  // namespace throughtime
