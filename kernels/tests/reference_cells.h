// The definition of the cells, one unit at one step, in double, with the derivatives written out.
#pragma once

#include "case.h"

namespace throughtime {

double sigmoid(double x);

// The share of a state before that stays, beside what the cell gives.
double mix(double share, double before, double now);

// The functions g of Elman cells, and their slopes.
double value_of(Nonlinearity g, double x);
double slope_of(Nonlinearity g, double x);

// z = W_ih x + b_ih and a = W_hh h + b_hh hold one number per gate.
struct Unit {
    double z[4], a[4], gate[4], i;              // i: of the LSTMs
    double h_before, c_before, keep_h, keep_c;  // shares of both that stay
    double peephole[3];                         // in the order of the gates
    double h_new, c_new, h, c;                  // what the cell gives, and what becomes of it
    double dz[4], da[4], dh_before, dc_before, dpeephole[3];
    double dc_new, dc;  // of c_new, from h_new too, and of c
};

// Fills in what comes of z, a, the states before and the shares.
void unit_forward(const Case& job, Unit& unit);

// From the gradients of h and c those of z, a and of what bypasses the product. A slope that
// jumps is taken at `slope_at`.
void unit_backward(const Case& job, Unit& unit, double dh, double dc, double slope_at);

}  // namespace throughtime
