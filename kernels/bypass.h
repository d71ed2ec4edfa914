// Stores that bypass the caches, of what nobody reads again soon: a line of memory that is written
// whole need not be read before, and what the run itself reads stays where it is.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vec.h"

namespace throughtime {
namespace {

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
