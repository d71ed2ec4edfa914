// The Elman cell: h = g(z + a), with g = tanh or relu, or any.
#pragma once

#include "nonlinearities.h"
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

template <class Function>
struct Elman {
    using WithOptions = Elman;
    static constexpr int G = 1, S = 0, Q = 0, UV = has_few_registers ? 3 : 4;
    static constexpr int G_second = 0;
    static constexpr bool projects = false, has_c = false, splits = false, prepares = false;

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> forward(Units, const Step<Real>& step) {
        return Function::value(load(step.z) + load(step.a));
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> backward(Units units, Vec<Real> dh,
                                            const StepBackward<Real>& step) {
        units.store(step.dz, Function::gradient(dh, units.load(step.h)));
        return Vec<Real>{};
    }
};

// With a g of the run. Not every slope can be told from a value, so z + a is saved.
struct AnyElman {
    using WithOptions = AnyElman;
    static constexpr int G = 1, S = 1, Q = 0, UV = Elman<Tanh>::UV;
    static constexpr int G_second = 0;
    static constexpr bool projects = false, has_c = false, splits = false, prepares = false;

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> forward(Units units, const Step<Real>& step) {
        const Vec<Real> sum = load(step.z) + load(step.a);
        if (step.gates) units.store(step.gates, sum);
        return value_of<Real>(step.g, sum);
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> backward(Units units, Vec<Real> dh,
                                            const StepBackward<Real>& step) {
        units.store(step.dz, gradient_of<Real>(step.g, dh, units.load(step.gates)));
        return Vec<Real>{};
    }
};

}  // namespace
}  // namespace throughtime
