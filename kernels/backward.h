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

#include "layernorm.h"
#include "options.h"
#include "step.h"
#include "weight_sums.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class BackwardRun {
    using P = BackwardPanel<Real>;
    static constexpr Size side = WeightSums<Cell, Real>::side;

  public:
    // Lays out the buffers; with a workspace of null it only counts them.
    BackwardRun(const Backward<Real>& job, Lane lane, const Member& member, Room<Real> room)
        : job(job),
          at{job.sizes, job.rows, lane.direction, lane.part, lane.parts},
          group(group_for(member, lane)),
          packed(packed_backward<Cell, Real>(job.sizes)),
          weights(job.packed + lane.direction * packed.elements()),
          h_stride(row_stride<Real>(job.sizes.H)),
          da_stride(row_stride<Real>(rounded_up(Cell::G * job.sizes.H, P::width))) {
        const Sizes& sizes = job.sizes;
        const Size B = num_panels(sizes.B, lane.parts), H = sizes.H;
        block_rows = block_steps(sizes.B, lane.parts) * at.batch_size();
        const Size R = larger(B, smaller(block_steps(sizes.B, lane.parts), sizes.T) * B);
        const auto shared = [&](Size elements) {
            return room.take(lane.count() * elements) + lane.index() * elements;
        };
        dh = shared(B * h_stride);
        dc = Cell::has_c ? shared(B * h_stride) : nullptr;
        dz = shared(R * da_stride);
        da = Cell::splits || sizes.normalises ? shared(R * da_stride) : dz;
        out_z = sizes.normalises ? shared(B * da_stride) : nullptr;
        out_a = sizes.normalises && Cell::splits ? shared(B * da_stride) : out_z;
        tile = room.take(lane.count() * member.count * R * P::width);
        tile += (lane.index() * member.count + group.index) * R * P::width;
        masked = room.take(lane.count() * member.count * side * h_stride);
        masked += (lane.index() * member.count + group.index) * side * h_stride;
        zeros = shared(larger(H, P::width));
        sums = WeightSums<Cell, Real>(sizes, R, da_stride, shared);
        sums.keep_in(job.sums, lane, shared);
        options = {job.keep_h,
                   job.keep_c,
                   job.keep_h_share,
                   job.keep_c_share,
                   job.peepholes[at.d],
                   sums.of_peepholes(),
                   job.dc};
        used = room.used;
        if (group.count == 0) return;
        mine_ih = share_of(packed.panels_ih, group.index, group.count);
        mine_hh = share_of(packed.panels_hh, group.index, group.count);
        begin = mine_hh.begin * P::width;
        end = smaller(mine_hh.end * P::width, H);
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
                options.if_plain([&](auto is_plain) __attribute__((always_inline)) {
                    gate_gradients<is_plain>(i, row);
                });
                group.meet();
                if (job.sizes.normalises) {
                    norm_gradients(i, row);
                    group.meet();
                }
                state_gradients(i, row);
            }
            const bool is_first = end == job.sizes.T && !job.adds;
            sums.add(dz, da, block.rows, is_first, group);
            if (job.peepholes[at.d] || job.sizes.normalises) {
                sums.add_by_unit(this->begin, this->end, is_first);
            }
            input_gradients(block);
            group.meet();  // before the buffers are written again
            end = block.begin;
        }
        finish();
    }

    const WeightSums<Cell, Real>& weight_sums() const { return sums; }

  private:
    void start() {
        if (group.index == 0) {
            std::memset(zeros, 0, bytes(larger(job.sizes.H, P::width)));
            sums.start(job.sizes.T == 0 && !job.adds);
        }
        for (Size r = 0; r < at.batch_size(); ++r) {
            for (Size u = begin; u < end; ++u) {
                dh[r * h_stride + u] = job.dh_n ? job.dh_n[at.state(r) + u] : Real(0);
                if (!Cell::has_c) continue;
                dc[r * h_stride + u] = job.dc_n ? job.dc_n[at.state(r) + u] : Real(0);
            }
        }
        group.meet();
    }

    static std::size_t bytes(Size elements) { return std::size_t(elements) * sizeof(Real); }

    // The state that row r of step i started from.
    const Real* before(const Real* over_time, const Real* initial, const Real* fresh, Size i,
                       Size r) const {
        const Size H = job.sizes.H;
        if (at.is_fresh(i, r)) return fresh ? fresh + at.d * H : zeros;
        if (r < at.carried(i)) return over_time + at.kept(i - 1, r) * H;
        return initial ? initial + at.state(r) : zeros;
    }

    // Inputs and states of the block, which the sums read by columns.
    void take_inputs(const Block& block) {
        const Real *x_rows[side], *h_rows[side];
        at.for_rows(block, [&](Size i, Size r, Size n) {
            if (n / side % group.count != group.index) return;
            const Size k = n % side;
            x_rows[k] = job.x + at.place(i, r) * job.sizes.I;
            h_rows[k] = before(job.y, job.h0, job.h_fresh, i, r);
            if (job.mask) h_rows[k] = mask_row(masked + k * h_stride, h_rows[k], r);
            if (k + 1 == side || n + 1 == block.rows) sums.take_rows(n - k, k + 1, x_rows, h_rows);
        });
    }

    // to [H] = mask * h of row r, what the product read
    APART const Real* mask_row(Real* to, const Real* h, Size r) const {
        const Real* mask = job.mask + at.state(r);
        for (Size u = 0; u < job.sizes.H; ++u) to[u] = mask[u] * h[u];
        return to;
    }

    // da of this member's part of step i, whose rows begin at `row` in the block. dh and dc hold
    // what arrives from the steps after; what bypasses the product is left there for the step
    // before.
    template <bool is_plain>
    ALWAYS_INLINE void gate_gradients(Size i, Size row) {
        const Size H = job.sizes.H, active = at.active(i);
        for (Size r = 0; r < active; ++r) {
            const Size kept = at.kept(i, r), state = r * h_stride;
            Real *dz_r = dz + (row + r) * da_stride, *da_r = da + (row + r) * da_stride;
            if (job.sizes.normalises) dz_r = out_z + r * da_stride, da_r = out_a + r * da_stride;
            const Real* h_before = before(job.y, job.h0, job.h_fresh, i, r);
            const Real* c_before = Cell::has_c ? before(job.c, job.c0, job.c_fresh, i, r) : nullptr;
            for_units<Real>(begin, end, [&](auto units, Size u) {
                StepBackward<Real> step{};
                step.H = H;
                step.g = job.g;
                step.dz = dz_r + u;
                step.da = da_r + u;
                step.h = job.y + kept * H + u;
                step.h_before = h_before + u;
                if (Cell::S > 0) step.gates = job.gates + kept * Cell::S * H + u;
                if constexpr (Cell::has_c) {
                    step.dc = dc + state + u;
                    step.c_before = c_before + u;
                }
                Vec<Real> dh_u = units.load(dh + state + u);
                if (job.dy) dh_u += units.load(job.dy + kept * H + u);
                const Size at_u = kept * H + u;
                units.store(dh + state + u,
                            options.template backward<is_plain>(units, dh_u, step, at_u, u));
            });
        }
    }

    // dz and da of this member's units from the gradients behind LayerNorm, whose rows are whole.
    APART void norm_gradients(Size i, Size row) {
        const Size H = job.sizes.H, K = Cell::G * H;
        for (Size r = 0; r < at.active(i); ++r) {
            const Size kept = 2 * at.kept(i, r), n = (row + r) * da_stride;
            for (int k : {0, 1}) {
                norm_gradient<Cell>((k == 0 ? dz : da) + n, sums.of_bias(k), sums.of_gain(k),
                                    (k == 0 ? out_z : out_a) + r * da_stride,
                                    job.normalised + (kept + k) * K,
                                    weights + packed.at_gains() + k * K, job.scales[kept + k],
                                    Share{begin, end}, H);
            }
        }
    }

    // dh += mask * (da W_hh) for this member's units: the gradient of the state before step i.
    void state_gradients(Size i, Size row) {
        const Size active = at.active(i), H = job.sizes.H, K = Cell::G * H;
        const Matrix<const Real> da_i{da + row * da_stride, da_stride};
        for (Size p = mine_hh.begin; p < mine_hh.end && active; ++p) {
            const Real* panel = weights + packed.at_hh() + p * P::elements(K);
            // rows of dh are longer than H by more than the last panel's columns
            const Matrix<Real> dh_p{dh + p * P::width, h_stride};
            const Matrix<Real> to = job.mask ? Matrix<Real>{tile, P::width} : dh_p;
            const Matrix<const Real> start = job.mask ? Matrix<const Real>{zeros, 0} : to;
            P::with_columns(H - p * P::width, [&](auto used) {
                if (active == 1) {
                    return used.multiply_single(to.data, start.data, da_i.data, panel, K);
                }
                used.multiply(to, start, da_i, panel, active, K);
            });
            if (job.mask) add_masked(p * P::width, smaller(P::width, H - p * P::width), active);
        }
        cut_at_resets(i);
    }

    // dh += mask * tile for `count` units from `first` on
    APART void add_masked(Size first, Size count, Size active) {
        for (Size r = 0; r < active; ++r) {
            const Real* mask = job.mask + at.state(r) + first;
            Real* dh_r = dh + r * h_stride + first;
            for (Size v = 0; v < count; ++v) dh_r[v] += mask[v] * tile[r * P::width + v];
        }
    }

    // Where row r begins afresh, its gradient belongs to the fresh state, not to the step before.
    void cut_at_resets(Size i) {
        for (Size r = 0; job.rows.reset && r < at.active(i); ++r) {
            if (!at.is_fresh(i, r)) continue;
            cut(dh + r * h_stride, sums.dh_fresh);
            if (Cell::has_c) cut(dc + r * h_stride, sums.dc_fresh);
        }
    }

    void cut(Real* gradient, Real* of_fresh) {
        for (Size u = begin; u < end; ++u) of_fresh[u] += gradient[u];
        std::memset(gradient + begin, 0, bytes(end - begin));
    }

    // dx = dz W_ih for this member's panels of inputs
    void input_gradients(const Block& block) {
        if (!job.dx) return;
        const Size I = job.sizes.I, K = Cell::G * job.sizes.H;
        Real* dx = job.dx + at.d * job.sizes.N * I;
        for (Size q = mine_ih.begin; q < mine_ih.end; ++q) {
            const Size column = q * P::width, count = smaller(P::width, I - column);
            P::with_columns(count, [&](auto used) {
                used.multiply({tile, P::width}, {zeros, 0}, {dz, da_stride},
                              weights + q * P::elements(K), block.rows, K);
            });
            at.for_rows(block, [&](Size i, Size r, Size n) {
                std::memcpy(dx + at.place(i, r) * I + column, tile + n * P::width, bytes(count));
            });
        }
    }

    void finish() {
        for (Size r = 0; r < at.batch_size(); ++r) {
            const Size from = r * h_stride + begin, to = at.state(r) + begin;
            if (job.dh0) std::memcpy(job.dh0 + to, dh + from, bytes(end - begin));
            if (job.dc0) std::memcpy(job.dc0 + to, dc + from, bytes(end - begin));
        }
    }

    const Backward<Real>& job;
    Direction at;
    Group group;
    Options<Cell, Real> options;
    Packed<P> packed;
    const Real* weights;         // packed, of this direction
    Share mine_ih{}, mine_hh{};  // panels of inputs, and of units
    Size begin = 0, end = 0;     // units
    Size h_stride, da_stride, block_rows, used;
    Real *dh, *dc;        // [B, H] gradients of the state after the step that comes next
    Real *dz, *da;        // [R, G, H] of the block
    Real *out_z, *out_a;  // [B, G, H] of a step, behind LayerNorm
    Real* tile;           // [R, width] of this member
    Real* masked;         // [side, H] of this member
    Real* zeros;          // [H]
    WeightSums<Cell, Real> sums;
};

}  // namespace
}  // namespace throughtime
