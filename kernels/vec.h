// A vector of neighbouring units, and tanh and sigmoid of it. All vector tricks live here but for
// those of its way to and from the caller's arrays (units.h).
//
// The unnamed namespace of these headers is on purpose: variant.cpp is compiled once per
// instruction set, and no linker may mix the copies.
#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>
#include <utility>

#include "kernels.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

namespace throughtime {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, vector_registers = 32;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, vector_registers = 16;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, vector_registers = 32;
#else
constexpr int vector_bytes = 16, vector_registers = 16;  // SSE2, or what the compiler makes of it
#endif

constexpr bool has_few_registers = vector_registers < 32;

constexpr Size smaller(Size a, Size b) {
    return a < b ? a : b;
}
constexpr Size larger(Size a, Size b) {
    return a > b ? a : b;
}

constexpr Size num_panels(Size columns, Size width) {
    return (columns + width - 1) / width;
}

constexpr Size rounded_up(Size columns, Size width) {
    return num_panels(columns, width) * width;
}

template <class Real>
constexpr int lanes = vector_bytes / int(sizeof(Real));

template <class Real>
struct VectorOf;
template <>
struct VectorOf<float> {
    typedef float Type __attribute__((vector_size(vector_bytes)));
    typedef std::uint32_t Bits __attribute__((vector_size(vector_bytes)));
};
template <>
struct VectorOf<double> {
    typedef double Type __attribute__((vector_size(vector_bytes)));
    typedef std::uint64_t Bits __attribute__((vector_size(vector_bytes)));
};
template <class Real>
using Vec = typename VectorOf<Real>::Type;
template <class Real>
using Bits = typename VectorOf<Real>::Bits;

template <class Real>
ALWAYS_INLINE Vec<Real> load(const Real* from) {
    Vec<Real> v;
    std::memcpy(&v, from, sizeof v);  // any alignment
    return v;
}

template <class Real>
ALWAYS_INLINE void store(Real* to, Vec<Real> v) {
    std::memcpy(to, &v, sizeof v);
}

template <class Real>
ALWAYS_INLINE Vec<Real> broadcast(Real x) {
    return x - Vec<Real>{};  // not 0 + x: that would lose the sign of -0
}

// Keeps a loaded vector in a register: GCC would rather load it again for every use.
template <class Real>
ALWAYS_INLINE void pin(Vec<Real>& v) {
#if defined(__x86_64__)
    asm("" : "+v"(v));  // any of the 32 registers of AVX-512; "x" means the first 16
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
}

// body(0), ..., body(n-1) with constant indices: an array of vectors indexed by a loop's
// variable would be kept in memory.
template <int n, class Body>
ALWAYS_INLINE void repeat(Body body) {
    [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
        (body(std::integral_constant<int, i>{}), ...);
    }(std::make_integer_sequence<int, n>{});
}

// One stage of a transposition: of each pair of numbers that stand d lanes and d vectors apart, the
// one behind in its vector changes places with the one ahead in the other.
template <class Real, int d, int... l>
ALWAYS_INLINE void swap_corners(Vec<Real>& a, Vec<Real>& b, std::integer_sequence<int, l...>) {
    constexpr int num = lanes<Real>;
    const Vec<Real> above = __builtin_shufflevector(a, b, (l & d ? num + l - d : l)...);
    b = __builtin_shufflevector(a, b, (l & d ? num + l : l + d)...);
    a = above;
}

// Transposes as many vectors as each has lanes.
template <class Real, int d = lanes<Real> / 2>
ALWAYS_INLINE void transpose_square(Vec<Real> (&square)[lanes<Real>]) {
    if constexpr (d > 0) {
        repeat<lanes<Real>>([&](auto k) __attribute__((always_inline)) {
            if constexpr ((k & d) == 0) {
                swap_corners<Real, d>(square[k], square[k + d],
                                      std::make_integer_sequence<int, lanes<Real>>{});
            }
        });
        transpose_square<Real, d / 2>(square);
    }
}

// A number that tells bytes from others, whatever their type; bytes is a multiple of 4.
// Every step is a bijection of its lane, so that one changed word never goes unseen; the shift
// carries high bits down again, without which two changed signs in one lane would cancel.
inline std::uint64_t fingerprint(const void* from, Size bytes) {
    typedef std::uint32_t Words __attribute__((vector_size(vector_bytes)));
    constexpr int num = 8, width = lanes<float>;
    const Size words = bytes / Size(sizeof(std::int32_t));
    const float* at = static_cast<const float*>(from);
    const Words factor = Words{} + 0x2C1B3C6Du;  // odd
    Words state[num] = {};
    Size i = 0;
    for (; i + num * width <= words; i += num * width) {
        repeat<num>([&](auto k) __attribute__((always_inline)) {
            state[k] = (state[k] ^ (Words)load(at + i + k * width)) * factor;
            state[k] ^= state[k] >> 15;
        });
    }
    std::uint64_t result = std::uint64_t(bytes);
    const auto mix = [&](std::uint32_t word) {
        result = (result ^ word) * 0x9E3779B97F4A7C15u;
        result ^= result >> 29;
    };
    for (; i < words; ++i) {
        std::uint32_t word;
        std::memcpy(&word, at + i, sizeof word);
        mix(word);
    }
    for (int k = 0; k < num; ++k) {
        for (int l = 0; l < width; ++l) mix(state[k][l]);
    }
    return result;
}

// exp(x) = 2^n exp(r) with n whole and |r| <= ln(2) / 2. There exp(r) - 1 = r + r^2 series(r), with
// a relative error below the rounding of the type. In double the series is Taylor's, 1/2! + r/3! +
// r^2/4! + ...; in float the polynomial of its degree with the least error (by Remez), 2e-8.
template <class Real>
struct Exponential;
template <>
struct Exponential<float> {
    static constexpr float series[] = {0x1.fffffep-2f, 0x1.5554b0p-3f, 0x1.555674p-5f,
                                       0x1.1227b0p-7f, 0x1.6bebfep-10f};
    static constexpr int mantissa_bits = 23, exponent_bias = 127;
    static constexpr float to_whole = 0x1.8p23f;  // adding it rounds to a whole number
    static constexpr float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;
    static constexpr float overflows = 89, vanishes = -88;  // exp is infinity, and 0
    static constexpr float tanh_is_one = 20;                // of x / 2
};
template <>
struct Exponential<double> {
    static constexpr double series[] = {1.0 / 2,        1.0 / 6,         1.0 / 24,
                                        1.0 / 120,      1.0 / 720,       1.0 / 5040,
                                        1.0 / 40320,    1.0 / 362880,    1.0 / 3628800,
                                        1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    static constexpr int mantissa_bits = 52, exponent_bias = 1023;
    static constexpr double to_whole = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double overflows = 710, vanishes = -709;
    static constexpr double tanh_is_one = 40;
};

// Splits exp(x) = scale * (1 + minus_one), so that exp(x) - 1 can be had without cancellation.
template <class Real>
struct ExponentialParts {
    Vec<Real> scale, minus_one;
};

// x within [vanishes, overflows], or NaN, which stays in minus_one.
template <class Real>
ALWAYS_INLINE ExponentialParts<Real> exponential(Vec<Real> x) {
    using E = Exponential<Real>;
    constexpr Real log2_e = Real(1.4426950408889634074);
    const Vec<Real> shifted = x * log2_e + E::to_whole;
    const Vec<Real> n = shifted - E::to_whole;
    const Vec<Real> r = (x - n * E::ln2_high) - n * E::ln2_low;
    // Horner's rule over pairs of terms: half the wait of one over single terms.
    const Vec<Real> r2 = r * r;
    constexpr int num = std::size(E::series), pairs = num / 2;
    const auto pair = [&](int k) __attribute__((always_inline)) {
        return E::series[2 * k] + E::series[2 * k + 1] * r;
    };
    Vec<Real> series = num % 2 ? broadcast(E::series[num - 1]) : pair(pairs - 1);
    repeat<pairs - (num % 2 == 0)>([&](auto k) __attribute__((always_inline)) {
        series = series * r2 + pair(pairs - 1 - (num % 2 == 0) - k);
    });
    // n stands in the last bits of `shifted`: moved into the exponent it makes 2^n.
    const auto exponent = ((Bits<Real>)shifted + E::exponent_bias) << E::mantissa_bits;
    return {(Vec<Real>)exponent, r2 * series + r};
}

// tanh |x| = (1 - e) / (1 + e) with e = exp(-2 |x|); the sign is put back at the end. As |x| grows
// the numerator never falls and the denominator never rises, however they are rounded, so that
// tanh never turns back. With exp(2 |x|) both would rise, and near 1 the quotient would waver.
template <class Real>
ALWAYS_INLINE Vec<Real> tanh_of(Vec<Real> x) {
    const Bits<Real> sign_bit = (Bits<Real>)broadcast(Real(-0.0));
    const Vec<Real> end = broadcast(-Exponential<Real>::tanh_is_one);
    Vec<Real> minus_twice = (Vec<Real>)((Bits<Real>)(x + x) | sign_bit);
    minus_twice = end > minus_twice ? end : minus_twice;  // in this order NaN passes
    const auto e = exponential<Real>(minus_twice);
    const Vec<Real> one_minus_e = (Real(1) - e.scale) - e.scale * e.minus_one;
    const Vec<Real> magnitude = one_minus_e / (Real(2) - one_minus_e);
    return (Vec<Real>)((Bits<Real>)magnitude | ((Bits<Real>)x & sign_bit));
}

// 1 / (1 + exp(-x)); at the ends exp is exactly 0 or infinity and the quotient 1 or 0.
template <class Real>
ALWAYS_INLINE Vec<Real> sigmoid_of(Vec<Real> x) {
    const Vec<Real> low = broadcast(Exponential<Real>::vanishes);
    const Vec<Real> high = broadcast(Exponential<Real>::overflows);
    Vec<Real> minus_x = -x;
    minus_x = high < minus_x ? high : minus_x;
    minus_x = low > minus_x ? low : minus_x;
    const auto e = exponential<Real>(minus_x);
    return Real(1) / (Real(1) + e.scale * (Real(1) + e.minus_one));
}

// Overloads, since the type of a vector's numbers cannot be deduced from the vector.
ALWAYS_INLINE Vec<float> tanh(Vec<float> x) {
    return tanh_of<float>(x);
}
ALWAYS_INLINE Vec<double> tanh(Vec<double> x) {
    return tanh_of<double>(x);
}
ALWAYS_INLINE Vec<float> sigmoid(Vec<float> x) {
    return sigmoid_of<float>(x);
}
ALWAYS_INLINE Vec<double> sigmoid(Vec<double> x) {
    return sigmoid_of<double>(x);
}

}  // namespace
}  // namespace throughtime
