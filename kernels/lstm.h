// The LSTM: gates in the order i, f, g, o;  c = f c_before + i g,  h = o tanh(c).
#pragma once

#include "step.h"

namespace throughtime {
namespace {

struct LSTM {
    static constexpr int G = 4, S = 4, UV = 1;
    static constexpr bool has_c = true, splits = false;

    template <class Units, class Real>
    static Vec<Real> forward(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const auto pre_activation = [&](int gate) __attribute__((always_inline)) {
            return load(step.z + gate * lanes<Real>) + load(step.a + gate * lanes<Real>);
        };
        const V i = sigmoid(pre_activation(0)), f = sigmoid(pre_activation(1));
        const V g = tanh(pre_activation(2)), o = sigmoid(pre_activation(3));
        const V c = f * units.load(step.c) + i * g;
        units.store(step.c, c);
        if (step.gates) {
            units.store(step.gates, i);
            units.store(step.gates + H, f);
            units.store(step.gates + 2 * H, g);
            units.store(step.gates + 3 * H, o);
        }
        return o * tanh(c);
    }

    template <class Units, class Real>
    static Vec<Real> backward(Units units, Vec<Real> dh, const StepBackward<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const Real one = 1;
        const V i = units.load(step.gates), f = units.load(step.gates + H);
        const V g = units.load(step.gates + 2 * H), o = units.load(step.gates + 3 * H);
        const V tanh_c = tanh(units.load(step.c));
        const V dc = units.load(step.dc) + dh * o * (one - tanh_c * tanh_c);
        units.store(step.dz, dc * g * i * (one - i));
        units.store(step.dz + H, dc * units.load(step.c_before) * f * (one - f));
        units.store(step.dz + 2 * H, dc * i * (one - g * g));
        units.store(step.dz + 3 * H, dh * tanh_c * o * (one - o));
        units.store(step.dc, dc * f);
        return V{};
    }
};

}  // namespace
}  // namespace throughtime
