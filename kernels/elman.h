// The Elman cell: h = g(z + a) with g = tanh or relu.
#pragma once

#include "step.h"

namespace throughtime {
namespace {

// Both functions tell their slope from their value, so nothing else is saved.
struct Tanh {
    template <class V>
    static V value(V x) {
        return tanh(x);
    }
    template <class V>
    static V gradient(V dh, V h) {
        return dh - dh * h * h;
    }
};

struct Relu {
    template <class V>
    static V value(V x) {
        return x < V{} ? V{} : x;  // NaN passes
    }
    template <class V>
    static V gradient(V dh, V h) {
        return h <= V{} ? V{} : dh;  // the slope at 0 is 0, as in torch
    }
};

template <class Nonlinearity>
struct Elman {
    static constexpr int G = 1, S = 0, UV = vector_registers / 8;
    static constexpr bool has_c = false, splits = false;

    template <class Units, class Real>
    static Vec<Real> forward(Units, const Step<Real>& step) {
        return Nonlinearity::value(load(step.z) + load(step.a));
    }

    template <class Units, class Real>
    static Vec<Real> backward(Units units, Vec<Real> dh, const StepBackward<Real>& step) {
        units.store(step.dz, Nonlinearity::gradient(dh, units.load(step.h)));
        return Vec<Real>{};
    }
};

}  // namespace
}  // namespace throughtime
