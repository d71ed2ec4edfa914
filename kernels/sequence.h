// A whole sequence, forward and backward: the loops over time, generic over the cell.
//
// Both passes split the units of a direction between the members of its group, in whole panels.
// A step needs the states (backward: the gate gradients) of all units of the step visited before,
// so the group meets at a barrier once per step; everything else a member touches is its own.
#pragma once

#include "direction.h"
#include "step.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
using ForwardPanel = Panel<Real, Cell::G * Cell::UV>;

// Two vectors of units and tiles of six rows: fine enough to split few units evenly.
template <class Real>
using BackwardPanel = Panel<Real, 2>;

template <class Cell, class Real>
Workspace forward_workspace(const Sizes& sizes) {
    return workspace_for<ForwardPanel<Cell, Real>>(Cell::G * sizes.H, sizes.H, sizes.B);
}

template <class Cell, class Real>
Workspace backward_workspace(const Sizes& sizes) {
    return workspace_for<BackwardPanel<Real>>(sizes.H, Cell::G * sizes.H, sizes.B);
}

// to [D, B, H] = from, or 0 where that is null: the units [begin, end) of one direction
template <class Real>
void copy_state(Real* to, const Real* from, const Direction& at, Size begin, Size end) {
    for (Size r = 0; r < at.sizes.B; ++r) {
        for (Size u = at.state(r) + begin; u < at.state(r) + end; ++u) to[u] = from ? from[u] : 0;
    }
}

// The arithmetic of one step for a vector of units, u and following, of every active row.
// a [B, stride] holds W_hh h + b_hh
template <class Cell, class Units, class Real>
void forward_units(Units units, const Real* a, Size stride, const Forward<Real>& job,
                   const Direction& at, Size i, Size u) {
    const Size H = at.sizes.H, active = at.active(i);
    for (Size r = 0; r < active; ++r) {
        const Size place = at.place(i, r);
        Step<Real> step{};
        step.H = H;
        step.h = job.y + place * H + u;
        step.z = job.z + place * Cell::G * H + u;
        step.h_before = at.before<Real>(job.y, job.h0, i, r) + u;
        if (job.gates) step.gates = job.gates + place * Cell::S * H + u;
        if constexpr (Cell::has_c) {
            // Where no c is kept over time, c_n holds the newest.
            step.c = (job.c ? job.c + place * H : job.c_n + at.state(r)) + u;
            step.c_before = (job.c ? at.before<Real>(job.c, job.c0, i, r) : step.c - u) + u;
        }
        Cell::forward(units, a + r * stride, step);
    }
}

// One step of the units of panel p; tile [B, width]
template <class Cell, class Real>
void forward_panel(const Forward<Real>& job, const Direction& at, Size i, Size p, const Real* panel,
                   Real* tile) {
    using P = ForwardPanel<Cell, Real>;
    const Size H = at.sizes.H, D = at.sizes.D;
    const Size carried = at.carried(i), started = at.active(i) - carried;
    if (at.sizes.B == 1) {
        P::multiply_single(tile, at.before<Real>(job.y, job.h0, i, 0), panel, H);
    } else {
        if (carried > 0) {
            P::multiply(tile, job.y + at.place(i - 1, 0) * H, D * H, panel, carried, H);
        }
        P::multiply(tile + carried * P::width, job.h0 + at.state(carried), H, panel, started, H);
    }
    const Size begin = p * Cell::UV * lanes<Real>;
    for_units<Real>(begin, smaller(begin + Cell::UV * lanes<Real>, H), [&](auto units, Size u) {
        forward_units<Cell>(units, tile + (u - begin) * Cell::G, P::width, job, at, i, u);
    });
}

// h_n and c_n of every row are those of its last step; units [begin, end)
template <class Cell, class Real>
void keep_last_states(const Forward<Real>& job, const Direction& at, Size begin, Size end) {
    for (Size i = 0; i < at.sizes.T; ++i) {
        for (Size r = at.continuing(i); r < at.active(i); ++r) {
            const Size from = at.place(i, r) * at.sizes.H;
            for (Size u = begin; u < end; ++u) job.h_n[at.state(r) + u] = job.y[from + u];
            if (!Cell::has_c || !job.c) continue;
            for (Size u = begin; u < end; ++u) job.c_n[at.state(r) + u] = job.c[from + u];
        }
    }
}

// One member's part of a forward run.
template <class Cell, class Real>
void forward(const Forward<Real>& job, const Member& member) {
    using P = ForwardPanel<Cell, Real>;
    const Size H = job.sizes.H, D = job.sizes.D, units = Cell::UV * lanes<Real>;
    const Workspace workspace = forward_workspace<Cell, Real>(job.sizes);
    Real* tile = job.workspace + workspace.tile_at(D, member.index);
    for (Size d = 0; d < D; ++d) {
        const Group group = group_for(member, d, D);
        if (group.count == 0) continue;
        const Direction at{job.sizes, d};
        const Share share = share_of(num_panels(H, units), group.index, group.count);
        const Size begin = share.begin * units, end = smaller(share.end * units, H);
        Real* packed = job.workspace + workspace.packed_at(d);
        const Real* bias_hh = job.bias_hh ? job.bias_hh + d * Cell::G * H : nullptr;
        pack_forward<Cell::G, Cell::UV>(packed, job.weight_hh + d * Cell::G * H * H, bias_hh, share,
                                        H);
        copy_state(job.h_n, job.h0, at, begin, end);
        if (Cell::has_c) copy_state(job.c_n, job.c0, at, begin, end);
        for (Size i = 0; i < job.sizes.T; ++i) {
            for (Size p = share.begin; p < share.end; ++p) {
                forward_panel<Cell>(job, at, i, p, packed + p * P::elements(H), tile);
            }
            group.barrier->wait(group.count);
        }
        keep_last_states<Cell>(job, at, begin, end);
    }
}

// The gate gradients of one row of step i, units [begin, end). dh0 and dc0 hold what arrives
// from the steps after; what bypasses the product is left there for the step before.
template <class Cell, class Real>
void backward_row(const Backward<Real>& job, const Direction& at, Size i, Size r, Size begin,
                  Size end) {
    const Size H = at.sizes.H, place = at.place(i, r);
    Real* dh_r = job.dh0 + at.state(r);
    const Real* h_before = at.before<Real>(job.y, job.h0, i, r);
    const Real* c_before = Cell::has_c ? at.before<Real>(job.c, job.c0, i, r) : nullptr;
    for_units<Real>(begin, end, [&](auto units, Size u) {
        StepBackward<Real> step{};
        step.H = H;
        step.dz = job.dz + place * Cell::G * H + u;
        step.h = job.y + place * H + u;
        step.h_before = h_before + u;
        if (Cell::S > 0) step.gates = job.gates + place * Cell::S * H + u;
        if (job.da) step.da = job.da + place * Cell::G * H + u;
        if constexpr (Cell::has_c) {
            step.dc = job.dc0 + at.state(r) + u;
            step.c = job.c + place * H + u;
            step.c_before = c_before + u;
        }
        Vec<Real> dh = units.load(dh_r + u);
        if (job.dy) dh += units.load(job.dy + place * H + u);
        units.store(dh_r + u, Cell::backward(units, dh, step));
    });
}

// dh0 += da W_hh for the units of panel p and the rows of step i; tile [B, width]
template <class Cell, class Real>
void backward_panel(const Backward<Real>& job, const Direction& at, Size i, Size p,
                    const Real* panel, Real* tile) {
    using P = BackwardPanel<Real>;
    const Size H = at.sizes.H, K = Cell::G * H, active = at.active(i);
    const Real* da = (job.da ? job.da : job.dz) + at.place(i, 0) * K;
    if (at.sizes.B == 1) {
        P::multiply_single(tile, da, panel, K);
    } else {
        P::multiply(tile, da, at.sizes.D * K, panel, active, K);
    }
    const Size begin = p * P::width, end = smaller(begin + P::width, H);
    for (Size r = 0; r < active; ++r) {
        Real* dh_r = job.dh0 + at.state(r);
        for_units<Real>(begin, end, [&](auto units, Size u) {
            units.store(dh_r + u, units.load(dh_r + u) + load(tile + r * P::width + u - begin));
        });
    }
}

// One member's part of a backward run.
template <class Cell, class Real>
void backward(const Backward<Real>& job, const Member& member) {
    using P = BackwardPanel<Real>;
    const Size H = job.sizes.H, D = job.sizes.D, K = Cell::G * H;
    const Workspace workspace = backward_workspace<Cell, Real>(job.sizes);
    Real* tile = job.workspace + workspace.tile_at(D, member.index);
    for (Size d = 0; d < D; ++d) {
        const Group group = group_for(member, d, D);
        if (group.count == 0) continue;
        const Direction at{job.sizes, d};
        const Share share = share_of(num_panels(H, P::width), group.index, group.count);
        const Size begin = share.begin * P::width, end = smaller(share.end * P::width, H);
        Real* packed = job.workspace + workspace.packed_at(d);
        pack_backward<2>(packed, job.weight_hh + d * K * H, share, Cell::G, H);
        copy_state(job.dh0, job.dh_n, at, begin, end);
        if (Cell::has_c) copy_state(job.dc0, job.dc_n, at, begin, end);
        for (Size i = job.sizes.T - 1; i >= 0; --i) {
            for (Size r = 0; r < at.active(i); ++r) {
                backward_row<Cell>(job, at, i, r, begin, end);
            }
            group.barrier->wait(group.count);
            for (Size p = share.begin; p < share.end; ++p) {
                backward_panel<Cell>(job, at, i, p, packed + p * P::elements(K), tile);
            }
        }
    }
}

}  // namespace
}  // namespace throughtime
