// The adjoints of every step, which a backward run hands out to who wants to see them:
//
//   dh_t = dL/dh_t   of h as it goes on and out: from y_t, h_n and the step after
//   dc_t = dL/dc_t   of c as it goes on: from c_n, what was handed in, and the step after, where
//                    peepholes see it too; and from h_t and o_t, which follow from it. With zoneout
//                    these follow from c~_t (options.h), so that nothing comes from them.
//   dz_t = dL/dz_t   of z = W_ih x + b_ih, behind LayerNorm: that of what every gate is a function
//                    of. The candidate of a GRU is one of z_n + r a_n.
//
// dc is written where the cell computes it (options.h, lstm.h). Nothing is written where a row has
// no step.
#pragma once

#include "product.h"
#include "states.h"
#include "units.h"

namespace throughtime {
namespace {

// Whether a run, which then is one with options, hands out any.
template <class Real>
bool hands_out(const Backward<Real>& job) {
    return job.dh_all || job.dc_all || job.dz_all;
}

// dh of the rows of step i, of this member's units: before the step, what came through time.
template <class Cell, class Real>
APART void hand_out_dh(const Backward<Real>& job, const Direction& at, Size i,
                       const StatesBackward<Cell, Real>& states) {
    for (Size r = 0; r < at.active(i); ++r) {
        const Size kept = at.kept(i, r) * job.sizes.P;
        for_units<Real>(states.values.begin, states.values.end, [&](auto units, Size u) {
            Vec<Real> dh_u = units.load(states.dh + r * states.stride + u);
            if (job.dy) dh_u += units.load(job.dy + kept + u);
            bypass<Real>(units, job.dh_all + kept + u, dh_u);
        });
    }
}

// dz [G, H] of one row, of this member's units.
template <class Cell, class Real>
APART void hand_out_dz(const Backward<Real>& job, Size kept, const Real* dz, Share units) {
    Real* to = job.dz_all + kept * Cell::G * job.sizes.H;
    for (Size g = 0; g < Cell::G; ++g, to += job.sizes.H, dz += job.sizes.H) {
        for_units<Real>(units.begin, units.end,
                        [&](auto part, Size u) { bypass<Real>(part, to + u, part.load(dz + u)); });
    }
}

}  // namespace
}  // namespace throughtime
