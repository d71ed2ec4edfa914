// How a vector of neighbouring units meets the caller's arrays: whole or in part, and on its way to
// memory by the caches or past them.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vec.h"

namespace throughtime {
namespace {

// The first `count` numbers of a vector, the others 0; and to where only so many are.
#if defined(__AVX512F__)
ALWAYS_INLINE Vec<float> load_first(Size count, const float* from) {
    return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
}
ALWAYS_INLINE Vec<double> load_first(Size count, const double* from) {
    return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), from);
}
ALWAYS_INLINE void store_first(Size count, float* to, Vec<float> v) {
    _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1), (__m512)v);
}
ALWAYS_INLINE void store_first(Size count, double* to, Vec<double> v) {
    _mm512_mask_storeu_pd(to, __mmask8((1u << count) - 1), (__m512d)v);
}
#elif defined(__AVX2__)
template <class Real>
ALWAYS_INLINE __m256i first_lanes(Size count) {
    Vec<Real> place;
    for (int l = 0; l < lanes<Real>; ++l) place[l] = Real(l);
    return (__m256i)(place < broadcast(Real(count)));
}
ALWAYS_INLINE Vec<float> load_first(Size count, const float* from) {
    return (Vec<float>)_mm256_maskload_ps(from, first_lanes<float>(count));
}
ALWAYS_INLINE Vec<double> load_first(Size count, const double* from) {
    return (Vec<double>)_mm256_maskload_pd(from, first_lanes<double>(count));
}
ALWAYS_INLINE void store_first(Size count, float* to, Vec<float> v) {
    _mm256_maskstore_ps(to, first_lanes<float>(count), (__m256)v);
}
ALWAYS_INLINE void store_first(Size count, double* to, Vec<double> v) {
    _mm256_maskstore_pd(to, first_lanes<double>(count), (__m256d)v);
}
#else
template <class Real>
ALWAYS_INLINE Vec<Real> load_first(Size count, const Real* from) {
    Real first[lanes<Real>] = {};
    for (Size l = 0; l < count; ++l) first[l] = from[l];
    return load(first);
}
template <class Real>
ALWAYS_INLINE void store_first(Size count, Real* to, Vec<Real> v) {
    for (Size l = 0; l < count; ++l) to[l] = v[l];
}
#endif

// A vector of units as a layer has it: whole, ...
template <class Real>
struct WholeVector {
    static Vec<Real> load(const Real* from) { return throughtime::load(from); }
    static void store(Real* to, Vec<Real> v) { throughtime::store(to, v); }
};

// ... or, where the layer ends within it, its first `count` units. The others read as 0.
template <class Real>
struct PartOfVector {
    Size count;
    Vec<Real> load(const Real* from) const { return load_first(count, from); }
    void store(Real* to, Vec<Real> v) const { store_first(count, to, v); }
};

// Calls body(units, u) for every vector of units from u = begin to end.
template <class Real, class Body>
ALWAYS_INLINE void for_units(Size begin, Size end, Body body) {
    Size u = begin;
    for (; u + lanes<Real> <= end; u += lanes<Real>) body(WholeVector<Real>{}, u);
    if (u < end) body(PartOfVector<Real>{end - u}, u);
}

// Stores that bypass the caches, of what nobody reads again soon: a line of memory that is written
// whole need not be read before, and what the run itself reads stays where it is.
template <class Real>
ALWAYS_INLINE void bypass(WholeVector<Real> units, Real* to, Vec<Real> v) {
#if defined(__x86_64__)
    if (reinterpret_cast<std::uintptr_t>(to) % vector_bytes == 0) {
        const auto line = reinterpret_cast<float*>(to);
#if defined(__AVX512F__)
        _mm512_stream_ps(line, (__m512)v);
#elif defined(__AVX2__)
        _mm256_stream_ps(line, (__m256)v);
#else
        _mm_stream_ps(line, (__m128)v);
#endif
        return;
    }
#endif
    units.store(to, v);
}

template <class Real>
ALWAYS_INLINE void bypass(PartOfVector<Real> units, Real* to, Vec<Real> v) {
    units.store(to, v);
}

// Where neighbouring vectors are stored at different times: only a vector that is a line of its own
// leaves at once, of others the line would go out in pieces.
template <class Real, class Units>
ALWAYS_INLINE void bypass_apart(Units units, Real* to, Vec<Real> v) {
    if constexpr (vector_bytes == 64) {
        bypass<Real>(units, to, v);
    } else {
        units.store(to, v);
    }
}

// Comes before another thread is told that it may read them: no later store overtakes those before.
inline void finish_bypass() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

}  // namespace
}  // namespace throughtime
