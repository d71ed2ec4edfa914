// The GRU: gates in the order r, u, n;  n = tanh(z_n + r a_n),  h = (1 - u) n + u h_before.
#pragma once

#include "step.h"

namespace throughtime {
namespace {

struct GRU {
    using WithOptions = GRU;
    static constexpr int G = 3, S = 4, Q = 0, UV = 1;  // saved: r, u, n and a_n
    static constexpr int G_second = 0;
    static constexpr bool projects = false, has_c = false, splits = true, prepares = true;

    // u and the sum that n is made of wait in the places of a_u and a_n.
    template <class Units, class Real>
    ALWAYS_INLINE static void prepare(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const V a_n = load(step.a + 2 * lanes<Real>);
        const V r = sigmoid(load(step.z) + load(step.a));
        const V u = sigmoid(load(step.z + lanes<Real>) + load(step.a + lanes<Real>));
        store(step.a + lanes<Real>, u);
        store(step.a + 2 * lanes<Real>, load(step.z + 2 * lanes<Real>) + r * a_n);
        if (step.gates) {
            units.store(step.gates, r);
            units.store(step.gates + H, u);
            units.store(step.gates + 3 * H, a_n);
        }
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> forward(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const V u = load(step.a + lanes<Real>), n = tanh(load(step.a + 2 * lanes<Real>));
        if (step.gates) units.store(step.gates + 2 * step.H, n);
        return (Real(1) - u) * n + u * units.load(step.h_before);
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> backward(Units units, Vec<Real> dh,
                                            const StepBackward<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const Real one = 1;
        const V r = units.load(step.gates), u = units.load(step.gates + H);
        const V n = units.load(step.gates + 2 * H), a_n = units.load(step.gates + 3 * H);
        const V dz_n = dh * (one - u) * (one - n * n);
        const V dz_r = dz_n * a_n * r * (one - r);
        const V dz_u = dh * (units.load(step.h_before) - n) * u * (one - u);
        units.store(step.dz, dz_r);
        units.store(step.dz + H, dz_u);
        units.store(step.dz + 2 * H, dz_n);
        units.store(step.da, dz_r);
        units.store(step.da + H, dz_u);
        units.store(step.da + 2 * H, dz_n * r);
        return dh * u;
    }
};

}  // namespace
}  // namespace throughtime
