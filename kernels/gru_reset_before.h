// The GRU whose reset gate stands before the product, of gates in the order r, u, n:
//   n = tanh(z_n + W_hn (r h_before) + b_hn),  h = (1 - u) n + u h_before.
#pragma once

#include "step.h"

namespace throughtime {
namespace {

struct GRUResetBefore {
    using WithOptions = GRUResetBefore;
    static constexpr int G = 3, S = 3, Q = 0, UV = 1;  // saved: r, u, n
    static constexpr int G_second = 1;                 // m = r h_before
    static constexpr bool projects = false, has_c = false, splits = false, prepares = false;

    // u waits in the place of z_u for the second half.
    template <class Units, class Real>
    static Vec<Real> forward(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const V r = sigmoid(load(step.z) + load(step.a));
        const V u = sigmoid(load(step.z + lanes<Real>) + load(step.a + lanes<Real>));
        store(step.z + lanes<Real>, u);
        if (step.gates) {
            units.store(step.gates, r);
            units.store(step.gates + step.H, u);
        }
        return r * units.load(step.h_before);
    }

    template <class Units, class Real>
    static Vec<Real> forward_second(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const V u = load(step.z + lanes<Real>);
        const V n = tanh(load(step.z + 2 * lanes<Real>) + load(step.a));
        if (step.gates) units.store(step.gates + 2 * step.H, n);
        return (Real(1) - u) * n + u * units.load(step.h_before);
    }

    template <class Units, class Real>
    static Vec<Real> backward_second(Units units, Vec<Real> dh, const StepBackward<Real>& step) {
        using V = Vec<Real>;
        const Real one = 1;
        const V u = units.load(step.gates + step.H), n = units.load(step.gates + 2 * step.H);
        units.store(step.dz + step.H, dh * (units.load(step.h_before) - n) * u * (one - u));
        units.store(step.de, dh * (one - u) * (one - n * n));
        return dh * u;
    }

    template <class Units, class Real>
    static Vec<Real> backward(Units units, Vec<Real> dh, const StepBackward<Real>& step) {
        using V = Vec<Real>;
        const V r = units.load(step.gates), h_before = units.load(step.h_before);
        const V dm = units.load(step.m);
        units.store(step.dz, dm * h_before * r * (Real(1) - r));
        units.store(step.m, r * h_before);
        return dh + dm * r;
    }
};

}  // namespace
}  // namespace throughtime
