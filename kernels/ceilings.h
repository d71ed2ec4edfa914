// What this processor can do at best: the measure of every kernel.
#pragma once

#include "vec.h"

namespace throughtime {
namespace {

// Runs `rounds` rounds of independent multiply-adds, as many as a tile has; returns how many
// operations on numbers that were (two each).
inline double multiply_adds(Size rounds, float* out) {
    constexpr int num = vector_registers * 3 / 4;
    Vec<float> sums[num], factor = broadcast(1.0f - 1e-7f), summand = broadcast(1e-7f);
    repeat<num>([&](auto i) __attribute__((always_inline)) { sums[i] = broadcast(float(i)); });
    for (Size r = 0; r < rounds; ++r) {
        repeat<num>([&](auto i)
                        __attribute__((always_inline)) { sums[i] = sums[i] * factor + summand; });
    }
    Vec<float> total{};
    repeat<num>([&](auto i) __attribute__((always_inline)) { total += sums[i]; });
    store(out, total);
    return 2.0 * num * lanes<float> * double(rounds);
}

// Reads `bytes` bytes `rounds` times, as a product with one row reads its weights; returns how
// many bytes that were.
inline double read_through(const float* from, Size bytes, Size rounds, float* out) {
    constexpr int num = 8;
    constexpr Size step = num * lanes<float>;
    Vec<float> sums[num] = {};
    const Size steps = bytes / Size(sizeof(float)) / step;
    for (Size r = 0; r < rounds; ++r) {
        const float* at = from;
        for (Size k = 0; k < steps; ++k, at += step) {
            repeat<num>([&](auto i) __attribute__((always_inline)) {
                sums[i] += load(at + i * lanes<float>);
            });
        }
    }
    Vec<float> total{};
    repeat<num>([&](auto i) __attribute__((always_inline)) { total += sums[i]; });
    store(out, total);
    return double(rounds) * double(steps) * step * sizeof(float);
}

}  // namespace
}  // namespace throughtime
