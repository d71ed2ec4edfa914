// The LSTM: gates in the order i, f, g, o;  c = f c_before + i g,  h = o tanh(c).
//
// Peepholes let the gates see the cell state: i and f that of before, o the new one (Gers and
// Schmidhuber 2000), p_i c_before, p_f c_before and p_o c beside the rest. The coupled LSTM has
// i = 1 - f and the gates f, g, o (Greff et al. 2017, CIFG). With a projection h = W_hr m of
// m = o tanh(c) (Sak et al. 2014).
#pragma once

#include "step.h"
#include "units.h"

namespace throughtime {
namespace {

template <bool is_coupled, bool has_options = false>
struct AnyLSTM {
    using WithOptions = AnyLSTM<is_coupled, true>;
    static constexpr int at_f = is_coupled ? 0 : 1, at_g = at_f + 1, at_o = at_f + 2;
    static constexpr int G = at_o + 1, S = G, Q = at_f + 2;
    static constexpr int UV = has_few_registers && G == 4 ? 3 : 1;
    static constexpr int peephole_f = at_f, peephole_o = at_f + 1;  // i comes first here too
    static constexpr int G_second = 0;
    static constexpr bool projects = true, has_c = true, splits = false, prepares = true;

    // c and o wait in the places of a_g and a_o.
    template <class Units, class Real>
    ALWAYS_INLINE static void prepare(Units units, const Step<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const auto pre_activation = [&](int gate) __attribute__((always_inline)) {
            return load(step.z + gate * lanes<Real>) + load(step.a + gate * lanes<Real>);
        };
        const V c_before = units.load(step.c);
        V sum_i = pre_activation(0), sum_f = pre_activation(at_f);
        if (has_options && step.peepholes) {
            sum_i += units.load(step.peepholes) * c_before;
            sum_f += units.load(step.peepholes + peephole_f * H) * c_before;
        }
        const V f = sigmoid(sum_f), i = is_coupled ? Real(1) - f : sigmoid(sum_i);
        const V g = tanh(pre_activation(at_g));
        const V c = f * c_before + i * g;
        V sum_o = pre_activation(at_o);
        if (has_options && step.peepholes) sum_o += units.load(step.peepholes + peephole_o * H) * c;
        const V o = sigmoid(sum_o);
        store(step.a + at_g * lanes<Real>, c);
        store(step.a + at_o * lanes<Real>, o);
        if (step.gates) {
            if (!is_coupled) units.store(step.gates, i);
            units.store(step.gates + at_f * H, f);
            units.store(step.gates + at_g * H, g);
            units.store(step.gates + at_o * H, o);
        }
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> forward(Units units, const Step<Real>& step) {
        const Vec<Real> c = load(step.a + at_g * lanes<Real>);
        units.store(step.c, c);
        return load(step.a + at_o * lanes<Real>) * tanh(c);
    }

    template <class Units, class Real>
    static Vec<Real> forward_second(Units, const Step<Real>& step) {
        return load(step.a);
    }

    template <class Units, class Real>
    static Vec<Real> backward_second(Units units, Vec<Real> dh, const StepBackward<Real>& step) {
        units.store(step.de, dh);
        return Vec<Real>{};
    }

    template <class Units, class Real>
    ALWAYS_INLINE static Vec<Real> backward(Units units, Vec<Real> dh,
                                            const StepBackward<Real>& step) {
        using V = Vec<Real>;
        const Size H = step.H;
        const Real one = 1;
        const V f = units.load(step.gates + at_f * H), g = units.load(step.gates + at_g * H);
        const V o = units.load(step.gates + at_o * H);
        const V i = is_coupled ? one - f : units.load(step.gates);
        const V c_before = units.load(step.c_before), dc_given = units.load(step.dc);
        V kept = f * c_before, written = i * g;
        pin<Real>(kept);
        pin<Real>(written);          // or which one is rounded is up to the compiler, run by run
        const V c = kept + written;  // zoneout may have saved another
        const V tanh_c = tanh(c);
        const V slope_o = o * (one - tanh_c * tanh_c), slope_g = i * (one - g * g);
        const V dz_o = dh * tanh_c * o * (one - o);
        V dc = dc_given + dh * slope_o;
        if (has_options && step.peepholes) dc += units.load(step.peepholes + peephole_o * H) * dz_o;
        if (has_options && step.dc_all) bypass<Real>(units, step.dc_all, dc);
        const V dz_i = dc * g * i * (one - i);
        const V dz_f =
            is_coupled ? dc * (c_before - g) * f * (one - f) : dc * c_before * f * (one - f);
        if (!is_coupled) units.store(step.dz, dz_i);
        units.store(step.dz + at_f * H, dz_f);
        units.store(step.dz + at_g * H, dc * slope_g);
        units.store(step.dz + at_o * H, dz_o);
        V dc_before = dc * f;
        if (has_options && step.peepholes) {
            if (!is_coupled) {
                dc_before += units.load(step.peepholes) * dz_i;
                add(units, step.dpeepholes, dz_i * c_before);
            }
            dc_before += units.load(step.peepholes + peephole_f * H) * dz_f;
            add(units, step.dpeepholes + peephole_f * H, dz_f * c_before);
            add(units, step.dpeepholes + peephole_o * H, dz_o * c);
        }
        units.store(step.dc, dc_before);
        if (has_options && step.m) units.store(step.m, o * tanh_c);
        return V{};
    }
};

using LSTM = AnyLSTM<false>;
using CoupledLSTM = AnyLSTM<true>;

}  // namespace
}  // namespace throughtime
