// A whole sequence backward: the loop over time, generic over the cell.
//
// Time runs back in blocks of steps. Each step turns dh into the gradients of its gates, da, and
// sends da W_hh to the step before. Once a block is done, its da, still in the cache, gives the
// block's part of the gradients of the weights (weight_sums.h) and of the inputs, dx = dz W_ih.
//
// Several runs over pieces of a sequence, of whole blocks counted from its end and from the last
// piece on, can go on with the same sums and then give the bits of one run.
//
// The rows of a direction are worked on in parts (row_parts), which never wait for each other.
// Members of one part share its units, as in forward.h.
#pragma once

#include "options.h"
#include "step.h"
#include "weight_sums.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class BackwardRun {
    using P = BackwardPanel<Real>;

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
        da = Cell::splits ? shared(R * da_stride) : dz;
        tile = room.take(lane.count() * member.count * R * P::width);
        tile += (lane.index() * member.count + group.index) * R * P::width;
        zeros = shared(larger(H, P::width));
        sums = WeightSums<Cell, Real>(sizes, R, da_stride, shared);
        sums.keep_in(job.sums, lane, shared);
        options = {
            job.keep_h,      job.keep_c, job.keep_h_share, job.keep_c_share, job.peepholes[at.d],
            sums.dpeepholes, job.dc};
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
                state_gradients(i, row);
            }
            const bool is_first = end == job.sizes.T && !job.adds;
            sums.add(dz, da, block.rows, is_first, group);
            if (job.peepholes[at.d]) sums.add_peepholes(this->begin, this->end, is_first);
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
        sums.start_peepholes(begin, end);
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
        constexpr Size side = WeightSums<Cell, Real>::side;
        const Real *x_rows[side], *h_rows[side];
        at.for_rows(block, [&](Size i, Size r, Size n) {
            const Size k = n % side;
            x_rows[k] = job.x + at.place(i, r) * job.sizes.I;
            h_rows[k] = before(job.y, job.h0, job.h_fresh, i, r);
            const bool is_full = k + 1 == side || n + 1 == block.rows;
            if (is_full && n / side % group.count == group.index) {
                sums.take_rows(n - k, k + 1, x_rows, h_rows);
            }
        });
    }

    // da of this member's part of step i, whose rows begin at `row` in the block. dh and dc hold
    // what arrives from the steps after; what bypasses the product is left there for the step
    // before.
    template <bool is_plain>
    ALWAYS_INLINE void gate_gradients(Size i, Size row) {
        const Size H = job.sizes.H, active = at.active(i);
        for (Size r = 0; r < active; ++r) {
            const Size kept = at.kept(i, r), state = r * h_stride;
            const Real* h_before = before(job.y, job.h0, job.h_fresh, i, r);
            const Real* c_before = Cell::has_c ? before(job.c, job.c0, job.c_fresh, i, r) : nullptr;
            for_units<Real>(begin, end, [&](auto units, Size u) {
                StepBackward<Real> step{};
                step.H = H;
                step.g = job.g;
                step.dz = dz + (row + r) * da_stride + u;
                step.da = da + (row + r) * da_stride + u;
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

    // dh += da W_hh for this member's units: the gradient of the state before step i.
    void state_gradients(Size i, Size row) {
        const Size active = at.active(i), H = job.sizes.H, K = Cell::G * H;
        const Matrix<const Real> da_i{da + row * da_stride, da_stride};
        for (Size p = mine_hh.begin; p < mine_hh.end && active; ++p) {
            const Real* panel = weights + packed.at_hh() + p * P::elements(K);
            // rows of dh are longer than H by more than the last panel's columns
            const Matrix<Real> to{dh + p * P::width, h_stride};
            P::with_columns(H - p * P::width, [&](auto used) {
                if (active == 1) return used.multiply_single(to.data, to.data, da_i.data, panel, K);
                used.multiply(to, to, da_i, panel, active, K);
            });
        }
        cut_at_resets(i);
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
    Real *dh, *dc;  // [B, H] gradients of the state after the step that comes next
    Real *dz, *da;  // [R, G, H] of the block
    Real* tile;     // [R, width] of this member
    Real* zeros;    // [H]
    WeightSums<Cell, Real> sums;
};

// Parts of a direction's rows for the backward pass. Sizes alone decide, so that the sums over the
// parts have the same bits for any number of threads. Every part reads all weights and sums all of
// their gradients: where these leave a core's own cache, units are shared instead.
template <class Cell, class Real>
Size row_parts(const Sizes& sizes) {
    constexpr Size own_cache = (1 << 20) / sizeof(Real);
    return Cell::G * sizes.H * sizes.H > own_cache ? 1 : most_parts(sizes.B);
}

// Elements of the sums that runs hand to each other.
template <class Cell, class Real>
Size gradient_sums(const Sizes& sizes) {
    return sizes.D * row_parts<Cell, Real>(sizes) * WeightSums<Cell, Real>::elements(sizes);
}

template <class Cell, class Real>
Size backward_workspace(const Sizes& sizes, int threads) {
    Backward<Real> job{};
    job.sizes = sizes;
    Size most = 0;
    for (int count = 1; count <= threads; ++count) {
        const Lane lane{0, 0, sizes.D, row_parts<Cell, Real>(sizes)};
        const BackwardRun<Cell, Real> run(job, lane, {0, count, nullptr}, {nullptr});
        most = larger(most, run.elements());
    }
    return most;
}

// One member's part of a backward run.
template <class Cell, class Real>
void backward(const Backward<Real>& job, const Member& member) {
    const Size D = job.sizes.D, parts = row_parts<Cell, Real>(job.sizes);
    const auto run_of = [&](Size d, Size part) {
        return BackwardRun<Cell, Real>(job, {d, part, D, parts}, member, {job.workspace});
    };
    for (Size part = 0; part < parts; ++part) {
        for (Size d = 0; d < D; ++d) run_of(d, part).run();
    }
    member.meet();
    for (Size d = 0; d < D; ++d) {
        const WeightSums<Cell, Real> total = run_of(d, 0).weight_sums();
        for (Size part = 1; part < parts; ++part) {
            const WeightSums<Cell, Real> other = run_of(d, part).weight_sums();
            if (job.weights[d].weight_hh) total.add_part(other, member);
            if (member.index > 0) continue;
            total.add_fresh(other);
            if (job.weights[d].peepholes) total.add_peepholes_of(other);
        }
        total.write(job.weights[d], member);
        if (member.index > 0) continue;
        total.write_fresh(job.dh_fresh, job.dc_fresh, d);
        total.write_peepholes(job.weights[d].peepholes);
    }
}

}  // namespace
}  // namespace throughtime
