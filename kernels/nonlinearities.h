// The functions g that an Elman cell may have, and their slopes, as torch defines them.
#pragma once

#include "vec.h"

namespace throughtime {
namespace {

template <class Real>
ALWAYS_INLINE Vec<Real> minus_magnitude(Vec<Real> x) {
    return (Vec<Real>)((Bits<Real>)x | (Bits<Real>)broadcast(Real(-0.0)));
}

// Of x that is not above 0, or NaN: the parts of exp(x).
template <class Real>
ALWAYS_INLINE ExponentialParts<Real> exponential_below(Vec<Real> x) {
    const Vec<Real> end = broadcast(Exponential<Real>::vanishes);
    return exponential<Real>(end > x ? end : x);  // in this order NaN passes
}

template <class Real>
ALWAYS_INLINE Vec<Real> exp_below(Vec<Real> x) {
    const auto e = exponential_below<Real>(x);
    return e.scale + e.scale * e.minus_one;
}

template <class Real>
ALWAYS_INLINE Vec<Real> exp_minus_one_below(Vec<Real> x) {
    const auto e = exponential_below<Real>(x);
    return (e.scale - Real(1)) + e.scale * e.minus_one;
}

// log(1 + e) of e in [0, 1] is 2 artanh(s) with s = e / (2 + e), and artanh(s) is the series
// s + s^3 / 3 + s^5 / 5 + ..., whose terms fall ninefold at least.
template <class Real>
ALWAYS_INLINE Vec<Real> log_one_plus(Vec<Real> e) {
    constexpr int num = sizeof(Real) == 4 ? 8 : 16;
    const Vec<Real> s = e / (Real(2) + e), s2 = s * s;
    Vec<Real> series = broadcast(Real(1) / (2 * num - 1));
    repeat<num - 1>([&](auto k) __attribute__((always_inline)) {
        series = series * s2 + Real(1) / (2 * (num - 1 - k) - 1);
    });
    return (s + s) * series;
}

// exp(y^2) erfc(y) (y + 5/2) of y >= 0 as a polynomial of t = (y - 5/2) / (y + 5/2), cut off from
// its series of Chebyshev polynomials below the rounding of the type.
template <class Real>
struct ScaledErfc;
template <>
struct ScaledErfc<float> {
    static constexpr float series[] = {0x1.0dd508p+0f,  -0x1.9bfb56p-1f,  0x1.d0cef8p-2f,
                                       -0x1.5eb80ep-3f, 0x1.d09886p-6f,   0x1.12b2cep-7f,
                                       -0x1.3a665ep-8f, -0x1.b20824p-12f, 0x1.59a884p-11f,
                                       0x1.c51abep-16f, -0x1.2645dep-14f};
};
template <>
struct ScaledErfc<double> {
    static constexpr double series[] = {
        0x1.0dd50785280a5p+0,   -0x1.9bfb53c4039d2p-1,  0x1.d0cedcb8c8d74p-2,
        -0x1.5eb8eba1e05e9p-3,  0x1.d0acf6927b8c2p-6,   0x1.1305f56685feap-7,
        -0x1.3bcdce60cb6f3p-8,  -0x1.cc8b1433e12eap-12, 0x1.706a00051e8f2p-11,
        0x1.e91f87278c346p-15,  -0x1.d84e8f5a8b055p-14, -0x1.47b670ed592dcp-16,
        0x1.3234487537c2fp-16,  0x1.c5748bb57110ap-18,  -0x1.3b304d4779f7fp-19,
        -0x1.0812da3e35298p-19, 0x1.48b07bc75b91ep-26,  0x1.e6ffb59733243p-22,
        0x1.e1ad96232dd3fp-24,  -0x1.3c8b4449d7b38p-24, -0x1.3308180c13039p-25,
        0x1.ae5e0c73c60fep-28,  0x1.36f5bd9df4809p-28};
};

// The normal distribution: the share below x, and exp(-x^2 / 2), which its density is made of.
template <class Real>
struct Normal {
    Vec<Real> below, exponential;
};

template <class Real>
ALWAYS_INLINE Normal<Real> normal(Vec<Real> x) {
    constexpr int num = std::size(ScaledErfc<Real>::series);
    const Vec<Real> y = minus_magnitude<Real>(x) * Real(-0.70710678118654752440);
    const Vec<Real> scale = Real(1) / (y + Real(2.5)), t = Real(1) - Real(5) * scale;
    Vec<Real> series = broadcast(ScaledErfc<Real>::series[num - 1]);
    repeat<num - 1>([&](auto k) __attribute__((always_inline)) {
        series = series * t + ScaledErfc<Real>::series[num - 2 - k];
    });
    const Vec<Real> e = exp_below<Real>(x * x * Real(-0.5));
    const Vec<Real> tail = Real(0.5) * e * scale * series;
    return {x < Vec<Real>{} ? tail : Real(1) - tail, e};
}

// The approximation of gelu by tanh, x (1 + tanh(u)) / 2, is x sigmoid(2 u); this is 2 u.
template <class Real>
ALWAYS_INLINE Vec<Real> gelu_argument(Vec<Real> x) {
    return Real(1.59576912160573071176) * (x + Real(0.044715) * x * x * x);
}

// The next two are called, not inlined: their code is long, and a call is short beside it.

constexpr double leaky_slope = 0.01;
constexpr double softplus_ends = 20;  // from there on the identity

template <class Real>
__attribute__((noinline)) Vec<Real> value_of(Nonlinearity g, Vec<Real> x) {
    using V = Vec<Real>;
    const Real one = 1;
    switch (g) {
        case Nonlinearity::tanh:
            return tanh(x);
        case Nonlinearity::relu:
            return x < V{} ? V{} : x;
        case Nonlinearity::identity:
            return x;
        case Nonlinearity::sigmoid:
            return sigmoid(x);
        case Nonlinearity::leaky_relu:
            return x > V{} ? x : x * Real(leaky_slope);
        case Nonlinearity::elu:
            return x > V{} ? x : exp_minus_one_below<Real>(x);
        case Nonlinearity::softplus: {
            const V excess = log_one_plus<Real>(exp_below<Real>(minus_magnitude<Real>(x)));
            return x > broadcast(Real(softplus_ends)) ? x : (x > V{} ? x : V{}) + excess;
        }
        case Nonlinearity::silu:
            return x * sigmoid(x);
        case Nonlinearity::gelu:
            return x * normal<Real>(x).below;
        case Nonlinearity::gelu_tanh:
            return x * sigmoid(gelu_argument<Real>(x));
        case Nonlinearity::hardtanh: {
            const V high = broadcast(one), low = -high;
            return x < low ? low : x > high ? high : x;
        }
        case Nonlinearity::softsign:
            return x / (one - minus_magnitude<Real>(x));
    }
    return x;
}

// dh times the slope of g at x; where the slope is 0 by definition, dh may be anything.
template <class Real>
__attribute__((noinline)) Vec<Real> gradient_of(Nonlinearity g, Vec<Real> dh, Vec<Real> x) {
    using V = Vec<Real>;
    const Real one = 1;
    switch (g) {
        case Nonlinearity::tanh: {
            const V y = tanh(x);
            return dh * (one - y * y);
        }
        case Nonlinearity::relu:
            return x <= V{} ? V{} : dh;
        case Nonlinearity::identity:
            return dh;
        case Nonlinearity::sigmoid: {
            const V y = sigmoid(x);
            return dh * y * (one - y);
        }
        case Nonlinearity::leaky_relu:
            return x > V{} ? dh : dh * Real(leaky_slope);
        case Nonlinearity::elu:
            return x > V{} ? dh : dh * exp_below<Real>(x);
        case Nonlinearity::softplus:
            return x > broadcast(Real(softplus_ends)) ? dh : dh * sigmoid(x);
        case Nonlinearity::silu: {
            const V s = sigmoid(x);
            return dh * (s + x * s * sigmoid(-x));  // 1 - s would have lost digits
        }
        case Nonlinearity::gelu: {
            const Normal<Real> at = normal<Real>(x);
            return dh * (at.below + Real(0.39894228040143267794) * x * at.exponential);
        }
        case Nonlinearity::gelu_tanh: {
            const V u = gelu_argument<Real>(x), s = sigmoid(u);
            const V slope = Real(1.59576912160573071176) * (one + Real(0.134145) * x * x);
            return dh * (s + x * slope * (s * sigmoid(-u)));
        }
        case Nonlinearity::hardtanh: {
            const V high = broadcast(one), low = -high;
            return x <= low ? V{} : x >= high ? V{} : dh;
        }
        case Nonlinearity::softsign: {
            const V scale = one / (one - minus_magnitude<Real>(x));
            return dh * scale * scale;
        }
    }
    return dh;
}

}  // namespace
}  // namespace throughtime
