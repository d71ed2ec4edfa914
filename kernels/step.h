// What a cell sees of one step: pointers to one row, moved to the first of a vector of units.
//
// A cell is a struct with
//   G, S          gates of the weights, gates saved for the backward pass
//   UV            vectors of units in a panel of the product
//   has_c         whether it keeps a state c beside its output h
//   forward       from a = W_hh h + b_hh and the step's input z to the new state
//   backward      from dh (and dc) to dz; returns the part of dh that reaches the state before
//                 on another way than the product
// `units` loads and stores a vector of units, whole or in part (vec.h).
#pragma once

#include "vec.h"

namespace throughtime {
namespace {

template <class Real>
struct Step {
    Real* h;               // [H]
    Real* c;               // [H]    may be c_before
    Real* gates;           // [S, H] or null
    const Real* z;         // [G, H]
    const Real* h_before;  // [H]
    const Real* c_before;  // [H]
    Size H;                // distance between gates
};

template <class Real>
struct StepBackward {
    Real* dz;              // [G, H]
    Real* da;              // [G, H] GRU only
    Real* dc;              // [H]    read: of c; written: of c_before
    const Real* h;         // [H]
    const Real* c;         // [H]
    const Real* gates;     // [S, H]
    const Real* h_before;  // [H]
    const Real* c_before;  // [H]
    Size H;                // distance between gates
};

}  // namespace
}  // namespace throughtime
