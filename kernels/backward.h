// A whole sequence backward: the loop over time, generic over the cell.
//
// Time runs back in blocks of steps. Each step turns dh into the gradients of its gates, da, and
// sends da W_hh to the step before. Once a block is done, its da, still in the cache, gives the
// block's part of the gradients of the weights (weight_sums.h) and of the inputs, dx = dz W_ih.
//
// Several runs over pieces of a sequence, of whole blocks counted from its end and from the last
// piece on, can go on with the same sums and then give the bits of one run.
//
// The rows of a direction are worked on in parts (parts.h), which never wait for each other.
// Members of one part share its units, as in forward.h.
#pragma once

#include "adjoints.h"
#include "layernorm.h"
#include "options.h"
#include "weight_sums.h"

namespace throughtime {
namespace {

template <class Cell, class Real, bool has_options>
class BackwardRun {
    using Back = BackwardPanel<Real>;
    static constexpr Size side = WeightSums<Cell, Real>::side;

  public:
    // Lays out the buffers; with a workspace of null it only counts them.
    BackwardRun(const Backward<Real>& job, Task task, const Member& member, Room<Real> room)
        : job(job),
          at{job.sizes, job.rows, task.direction, task.part, task.parts},
          group(group_for(member, task)),
          packed(backward_layout<Cell, Real>(job.sizes)),
          weights(job.packed + task.direction * packed.elements),
          h_stride(row_stride<Real>(job.sizes.H)),
          da_stride(row_stride<Real>(rounded_up(Cell::G * job.sizes.H, Back::width))) {
        const Sizes& sizes = job.sizes;
        const Size B = num_panels(sizes.B, task.parts), H = sizes.H;
        block_rows = block_steps(sizes.B, task.parts) * at.batch_size();
        const Size R = larger(B, smaller(block_steps(sizes.B, task.parts), sizes.T) * B);
        const auto shared = [&](Size elements) {
            return room.take(task.count() * elements) + task.index() * elements;
        };
        states.stride = h_stride;
        states.dh = shared(B * h_stride);
        states.dc = Cell::has_c ? shared(B * h_stride) : nullptr;
        dz = shared(R * da_stride);
        da = Cell::splits || normalises() ? shared(R * da_stride) : dz;
        out_z = normalises() ? shared(B * da_stride) : nullptr;
        out_a = normalises() && Cell::splits ? shared(B * da_stride) : out_z;
        tile = room.take(task.count() * member.count * R * Back::width);
        tile += (task.index() * member.count + group.index) * R * Back::width;
        masked = room.take(task.count() * member.count * side * h_stride);
        masked += (task.index() * member.count + group.index) * side * h_stride;
        states.zeros = shared(larger(H, Back::width));
        const bool is_part = Cell::G_second > 0;  // of dz
        de = is_part ? dz + FirstGates<Cell>::G * H
                     : shared(has_second_product() ? R * h_stride : 0);
        de_stride = is_part ? da_stride : h_stride;
        m = shared(has_second_product() ? R * h_stride : 0);
        sums = WeightSums<Cell, Real>(sizes, R, shared);
        sums.keep_in(job.sums, task, shared);
        options = {job, at.d, has_second_product(), sums.of_peepholes()};
        used = room.used;
        if (group.count == 0) return;
        mine_ih = share_of(packed.panels_ih, group.index, group.count);
        mine_hh = share_of(packed.panels_hh, group.index, group.count);
        mine_second = share_of(packed.panels_second, group.index, group.count);
        const Share units = has_second_product() ? mine_second : mine_hh;
        states.units = {units.begin * Back::width, smaller(units.end * Back::width, H)};
        states.values = {mine_hh.begin * Back::width, smaller(mine_hh.end * Back::width, sizes.P)};
    }

    Size elements() const { return used; }

    void run() {
        if (group.count == 0) return;
        start();
        for (Size end = job.sizes.T; end > 0;) {
            const Block block = at.block_to(end, block_rows);
            take_inputs(block);
            Size row = block.rows;
            for (Size i = block.end - 1; i >= block.begin; --i) {
                row -= at.active(i);
                if (has_options && job.dh_all) hand_out_dh(job, at, i, states);
                if constexpr (can_have_second<Cell>) {
                    if (has_second_product()) second_gradients(i, row);
                }
                gate_gradients(i, row);
                group.meet();
                if (normalises()) {
                    norm_gradients(i, row);
                    group.meet();
                }
                state_gradients(i, row);
            }
            const bool is_first = end == job.sizes.T && !job.adds;
            sums.add({{dz, da_stride}, {da, da_stride}, {de, de_stride}, {m, h_stride}, block.rows},
                     is_first, group);
            if (has_sums_by_unit()) sums.add_by_unit(states.units, is_first);
            input_gradients(block);
            group.meet();  // before the buffers are written again
            end = block.begin;
        }
        states.finish(job, at);
        if (has_options) finish_bypass();
    }

    const WeightSums<Cell, Real>& weight_sums() const { return sums; }

  private:
    bool normalises() const { return has_options && job.sizes.normalises; }
    bool has_second_product() const { return has_options && has_second<Cell>(job.sizes); }
    bool has_mask() const { return has_options && job.mask; }
    const Real* mask_of(Size r) const { return job.mask + at.state(r) * job.sizes.P; }
    bool has_sums_by_unit() const { return has_options && (job.peepholes[at.d] || normalises()); }

    void start() {
        if (group.index == 0) {
            std::memset(states.zeros, 0, larger(job.sizes.H, Back::width) * sizeof(Real));
            sums.start(job.sizes.T == 0 && !job.adds);
        }
        states.start(job, at);
        group.meet();
    }

    // Inputs and states of the block, which the sums read by columns.
    void take_inputs(const Block& block) {
        const Real *x_rows[side], *h_rows[side];
        at.for_rows(block, [&](Size i, Size r, Size n) {
            if (n / side % group.count != group.index) return;
            const Size k = n % side;
            x_rows[k] = job.x + at.place(i, r) * job.sizes.I;
            h_rows[k] = states.h_before(job, at, i, r);
            if (has_mask()) {  // what the product read
                apply_mask(masked + k * h_stride, mask_of(r), h_rows[k], {0, job.sizes.P});
                h_rows[k] = masked + k * h_stride;
            }
            if (k + 1 == side || n + 1 == block.rows) sums.take_rows(n - k, k + 1, x_rows, h_rows);
        });
    }

    // da of this member's part of step i, whose rows begin at `row` in the block, from dh and dc of
    // the steps after; what bypasses the product is left there for the step before.
    ALWAYS_INLINE void gate_gradients(Size i, Size row) {
        const Size H = job.sizes.H, active = at.active(i);
        for (Size r = 0; r < active; ++r) {
            const Size kept = at.kept(i, r), state = r * h_stride;
            Real *dz_r = dz + (row + r) * da_stride, *da_r = da + (row + r) * da_stride;
            if (normalises()) dz_r = out_z + r * da_stride, da_r = out_a + r * da_stride;
            const Real* h_before = states.h_before(job, at, i, r);
            const Real* c_before = states.c_before(job, at, i, r);
            for_units<Real>(states.units.begin, states.units.end, [&](auto units, Size u) {
                StepBackward<Real> step{};
                step.H = H;
                step.g = job.g;
                step.dz = dz_r + u;
                step.da = da_r + u;
                step.h = job.y + kept * H + u;
                step.h_before = h_before + u;
                if (Cell::S > 0) step.gates = job.gates + kept * Cell::S * H + u;
                if constexpr (Cell::has_c) {
                    step.dc = states.dc + state + u;
                    step.c_before = c_before + u;
                }
                const Size at_u = kept * H + u;
                Real* from = states.dh + state + u;
                if (has_second_product()) step.m = m + (row + r) * h_stride + u;
                if (Cell::projects && has_second_product()) {
                    options.backward(units, units.load(step.m), step, at_u, u);
                    return;
                }
                Vec<Real> dh_u = units.load(from);
                if (job.dy && !has_second_product()) dh_u += units.load(job.dy + at_u);
                units.store(from, options.backward(units, dh_u, step, at_u, u));
            });
            if (Cell::G_second > 0 && has_mask()) mask_m(row, r);
            if (has_options && job.dz_all) hand_out_dz<Cell>(job, kept, dz_r, states.units);
        }
    }

    // The gradients of the second product and, from all of them, of what it reads, dm = de W.
    APART void second_gradients(Size i, Size row) {
        const Size active = at.active(i), H = job.sizes.H, values = job.sizes.P;
        for (Size r = 0; r < active; ++r) {
            const Size kept = at.kept(i, r);
            const Real* h_before = states.h_before(job, at, i, r);
            for_units<Real>(states.values.begin, states.values.end, [&](auto units, Size u) {
                StepBackward<Real> step{};
                step.H = H;
                step.dz = dz + (row + r) * da_stride + u;
                step.de = de + (row + r) * de_stride + u;
                step.h_before = h_before + u;
                step.gates = job.gates + kept * Cell::S * H + u;
                Real* dh_u = states.dh + r * h_stride + u;
                Vec<Real> dh_new = units.load(dh_u);
                if (job.dy) dh_new += units.load(job.dy + kept * values + u);
                units.store(dh_u, options.backward_second(units, dh_new, step, kept * values + u));
            });
        }
        group.meet();
        const Matrix<const Real> de_i{de + row * de_stride, de_stride};
        for (Size p = mine_second.begin; p < mine_second.end && active > 0; ++p) {
            const Matrix<Real> m_p{m + row * h_stride + p * Back::width, h_stride};
            Back::multiply_step(H - p * Back::width, active == 1, m_p, {states.zeros, 0}, de_i,
                                weights + packed.at_second + p * Back::elements(values), active,
                                values);
        }
        for (Size r = 0; Cell::G_second > 0 && has_mask() && r < active; ++r) mask_m(row, r);
    }

    // The mask stands before the second product where that is the last gates'.
    APART void mask_m(Size row, Size r) const {
        Real* m_r = m + (row + r) * h_stride;
        apply_mask(m_r, mask_of(r), m_r, states.units);
    }

    // dz and da of this member's units from the gradients behind LayerNorm, whose rows are whole.
    APART void norm_gradients(Size i, Size row) {
        const Size active = at.active(i), K = Cell::G * job.sizes.H;
        const auto of = [&](Size r) -> NormedRow<Real> {
            const Size kept = 2 * at.kept(i, r), to = (row + r) * da_stride, out = r * da_stride;
            return {{dz + to, da + to},
                    {out_z + out, out_a + out},
                    job.normalised + kept * K,
                    job.scales + kept};
        };
        const auto take = [&]<int num>(const NormedRow<Real>(&rows)[num]) {
            norm_gradients_of<Cell>(rows, sums.of_norm(), weights + packed.at_gains, states.units,
                                    job.sizes.H);
        };
        Size r = 0;
        for (; r + 2 <= active; r += 2) take({of(r), of(r + 1)});
        if (r < active) take({of(r)});
    }

    // dh += mask * (da W_hh) for this member's units: the gradient of the state before step i.
    void state_gradients(Size i, Size row) {
        const Size active = at.active(i), P_h = job.sizes.P, K = FirstGates<Cell>::G * job.sizes.H;
        const Matrix<const Real> da_i{da + row * da_stride, da_stride};
        if (active == 0) return;
        to_and_fro(mine_hh, i, [&](Size p) __attribute__((always_inline)) {
            // rows of dh are longer than H by more than what fills up the last vector
            const Size column = p * Back::width;
            const Matrix<Real> dh_p{states.dh + column, h_stride};
            const Matrix<Real> to = has_mask() ? Matrix<Real>{tile, Back::width} : dh_p;
            const Matrix<const Real> start = has_mask() ? Matrix<const Real>{states.zeros, 0} : to;
            Back::multiply_step(P_h - column, active == 1, to, start, da_i,
                                weights + packed.at_hh + p * Back::elements(K), active, K);
            if (has_mask()) add_masked(column, smaller(Back::width, P_h - column), active);
        });
        states.cut_at_resets(job, at, i, sums.dh_fresh, sums.dc_fresh);
    }

    // dh += mask * tile for `count` units from `first` on
    APART void add_masked(Size first, Size count, Size active) {
        for (Size r = 0; r < active; ++r) {
            const Real* mask = mask_of(r) + first;
            Real* dh_r = states.dh + r * h_stride + first;
            for (Size v = 0; v < count; ++v) dh_r[v] += mask[v] * tile[r * Back::width + v];
        }
    }

    // dx = dz W_ih for this member's panels of inputs
    void input_gradients(const Block& block) {
        if (!job.dx) return;
        const Size I = job.sizes.I, K = Cell::G * job.sizes.H;
        Real* dx = job.dx + at.d * job.sizes.N * I;
        for (Size q = mine_ih.begin; q < mine_ih.end; ++q) {
            const Size column = q * Back::width, count = smaller(Back::width, I - column);
            Back::with_columns(count, [&](auto used) {
                used.multiply({tile, Back::width}, {states.zeros, 0}, {dz, da_stride},
                              weights + q * Back::elements(K), block.rows, K);
            });
            at.for_rows(block, [&](Size i, Size r, Size n) {
                std::memcpy(dx + at.place(i, r) * I + column, tile + n * Back::width,
                            count * sizeof(Real));
            });
        }
    }

    const Backward<Real>& job;
    Direction at;
    Group group;
    Options<Cell, Real, has_options> options;
    Packed packed;
    const Real* weights;                        // packed, of this direction
    Share mine_ih{}, mine_hh{}, mine_second{};  // panels of x, of h, and of the second product
    StatesBackward<Cell, Real> states;
    Size h_stride, da_stride, de_stride, block_rows, used;
    Real *dz, *da;        // [R, G, H] of the block
    Real *de, *m;         // [R, P], [R, H] of the second product; m: dm first
    Real *out_z, *out_a;  // [B, G, H] of a step, behind LayerNorm
    Real* tile;           // [R, width] of this member
    Real* masked;         // [side, H] of this member
    WeightSums<Cell, Real> sums;
};

}  // namespace
}  // namespace throughtime
