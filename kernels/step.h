// What a cell sees of one step: pointers to one row, moved to the first of a vector of units.
//
// A cell is a struct with
//   WithOptions   the same cell where a run has options (options.h)
//   G, S          gates of the weights, values saved per unit for the backward pass
//   UV            vectors of units in a panel of the product
//   P             rows of peepholes that it may have
//   has_c         whether it keeps a state c beside its output h
//   splits        whether the gradients of W_hh h + b_hh and of the input's part differ
//   forward       from a = W_hh h + b_hh and z = W_ih x + b_ih to the new h, which it returns
//   backward      from dh (and dc) to dz; returns the part of dh that reaches the state before
//                 on another way than the product
// `units` loads and stores a vector of units, whole or in part (vec.h).
#pragma once

#include "vec.h"

namespace throughtime {
namespace {

template <class Real>
struct Step {
    const Real* a;          // [G, lanes] one vector per gate, as is z
    const Real* z;          // [G, lanes]
    const Real* h_before;   // [H]
    Real* c;                // [H]    read: of the step before; written: the new one
    Real* gates;            // [S, H] or null
    const Real* peepholes;  // [P, H] or null
    Size H;                 // distance between gates
    Nonlinearity g;         // of the Elman cell with any
};

template <class Real>
struct StepBackward {
    Real* dz;               // [G, H]
    Real* da;               // [G, H] where it differs
    Real* dc;               // [H]    read: of c; written: of c_before
    const Real* h;          // [H]
    const Real* gates;      // [S, H]
    const Real* h_before;   // [H]
    const Real* c_before;   // [H]
    const Real* peepholes;  // [P, H] or null
    Real* dpeepholes;       // [P, H] added to
    Size H;                 // distance between gates
    Nonlinearity g;         // of the Elman cell with any
};

template <class Units, class Real>
ALWAYS_INLINE void add(Units units, Real* to, Vec<Real> v) {
    units.store(to, units.load(to) + v);
}

}  // namespace
}  // namespace throughtime
