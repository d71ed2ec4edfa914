// What a cell sees of one step: pointers to one row, moved to the first of a vector of units.
//
// A cell is a struct with
//   WithOptions   the same cell where a run has options (options.h)
//   G, S          gates of the weights, values saved per unit for the backward pass
//   UV            most vectors of units in a panel of the product
//   Q             rows of peepholes that it may have
//   G_second      gates, the last ones, whose recurrent product is a second one of the step
//   projects      whether a second product may make h of what `forward` returns
//   has_c         whether it keeps a state c beside its output h
//   splits        whether the gradients of W_hh h + b_hh and of the input's part differ
//   prepares      whether it has the function that follows
//   prepare       the first half of `forward`, done for all rows of a panel before the second, so
//                 that a processor computes several at once; its results wait in a
//   forward       from a = W_hh h + b_hh and z = W_ih x + b_ih to the new h, which it returns
//   backward      from dh (and dc) to dz; returns the part of dh that reaches the state before
//                 on another way than the product
// and, where there is a second product, e = W m + b (forward.h, backward.h),
//   forward           returns m
//   forward_second    from a = e to the new h, which it returns
//   backward_second   from dh to de; returns the part of dh that reaches the state before on
//                     another way than e
//   backward          from that part, or of a projection dm, to dz; writes m
// `units` loads and stores a vector of units, whole or in part (vec.h).
#pragma once

#include "units.h"

namespace throughtime {
namespace {

template <class Real>
struct Step {
    Real* a;                // [G, lanes] one vector per gate, as is z; either may be written
    Real* z;                // [G, lanes]
    const Real* h_before;   // [H]
    Real* c;                // [H]    read: of the step before; written: the new one
    Real* gates;            // [S, H] or null
    const Real* peepholes;  // [Q, H] or null
    Size H;                 // distance between gates
    Nonlinearity g;         // of the Elman cell with any
};

template <class Real>
struct StepBackward {
    Real* dz;               // [G, H]
    Real* da;               // [G, H] where it differs
    Real* dc;               // [H]    read: of c; written: of c_before
    Real* dc_all;           // [H] or null; written: of c with what comes from h
    const Real* h;          // [H]
    const Real* gates;      // [S, H]
    const Real* h_before;   // [H]
    const Real* c_before;   // [H]
    const Real* peepholes;  // [Q, H] or null
    Real* dpeepholes;       // [Q, H] added to
    Real* de;               // [P]    of the second product
    Real* m;                // [H]    read: dm; written: m; or null
    Size H;                 // distance between gates
    Nonlinearity g;         // of the Elman cell with any
};

template <class Units, class Real>
ALWAYS_INLINE void add(Units units, Real* to, Vec<Real> v) {
    units.store(to, units.load(to) + v);
}

}  // namespace
}  // namespace throughtime
