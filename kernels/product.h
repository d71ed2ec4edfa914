// The product behind everything: rows of numbers times weights packed for it. It knows no cell.
//
//   K depth of the product   NV vectors side by side in a panel   MR rows of a tile
//
// A panel holds `width` = NV vectors of columns of the product, [K, width], so that the inner loop
// reads the weights from front to back.
#pragma once

#include <bit>

#include "vec.h"

#define APART __attribute__((noinline))  // a body that is to have all registers to itself

namespace throughtime {
namespace {

// Rows that stand `stride` numbers apart; 0 gives the same row every time.
template <class Real>
struct Matrix {
    Real* data;
    Size stride;

    Real* row(Size r) const { return data + r * stride; }
    Matrix from_row(Size r) const { return {row(r), stride}; }
    operator Matrix<const Real>() const { return {data, stride}; }
};

template <class Real, int NV>
struct Panel {
    using V = Vec<Real>;
    static constexpr int width = NV * lanes<Real>;

    // 12 accumulators of 16 registers (24 of 32) hide the latency of a multiply-add and leave
    // room for operands.
    static constexpr int tile_rows = vector_registers * 3 / 4 / NV;

    // Depth of the part of a panel that stays in a 32 KB cache, beside a tile's rows.
    static constexpr Size block = 26 * 1024 / (NV * vector_bytes + tile_rows * sizeof(Real));

    static constexpr Size elements(Size K) { return K * width; }

    // out [rows, width] = start [rows, width] + a [rows, K] W, for one panel W; start may be out.
    // Every sum runs over k in order, so that a row's bits do not depend on the rows beside it.
    static void multiply(Matrix<Real> out, Matrix<const Real> start, Matrix<const Real> a,
                         const Real* panel, Size rows, Size K) {
        const Size tiles = (rows + tile_rows - 1) / tile_rows;
        const Size blocks = larger(1, (K + block - 1) / block);
        for (Size b = 0; b < blocks; ++b) {
            const Size k = b * K / blocks, depth = (b + 1) * K / blocks - k;
            const Real* w_k = panel + k * width;
            for (Size i = 0; i < tiles; ++i) {
                const Size r = i * rows / tiles, count = (i + 1) * rows / tiles - r;
                any_tile<tile_rows>(count, out.from_row(r), start.from_row(r),
                                    Matrix<const Real>{a.row(r) + k, a.stride}, w_k, depth);
            }
            start = out;
        }
    }

    // The same for one row: the sum over k is split into interleaved sums, which hide the latency
    // as the rows of a tile do.
    static ALWAYS_INLINE void multiply_single(Real* out, const Real* start, const Real* a,
                                              const Real* panel, Size K) {
        constexpr int num = std::bit_floor(unsigned(tile_rows));
        V sum[num][NV] = {};
        const Real* w_k = panel;
        Size k = 0;
        for (; k + num <= K; k += num, w_k += num * width) {
            repeat<num>([&](auto m) __attribute__((always_inline)) {
                add_row(sum[m], a[k + m], w_k + m * width);
            });
        }
        repeat<num>([&](auto m) __attribute__((always_inline)) {
            if (k + m < K) add_row(sum[m], a[k + m], w_k + m * width);
        });
        fold<num>(sum);
        repeat<NV>([&](auto v) __attribute__((always_inline)) {
            const Size column = v * lanes<Real>;
            store(out + column, load(start + column) + sum[0][v]);
        });
    }

    // Calls body with the type of a panel that has so many columns: the last one of a matrix is no
    // wider than what they fill, in units of so many vectors.
    template <int vectors = 1, class Body>
    static void with_columns(Size columns, Body body) {
        if constexpr (NV > vectors) {
            using Narrower = Panel<Real, NV - vectors>;
            if (columns <= Narrower::width) {
                return Narrower::template with_columns<vectors>(columns, body);
            }
        }
        body(Panel{});
    }

    // multiply for such a panel, or multiply_single: of whom all know that it is a single row.
    template <int vectors = 1>
    static ALWAYS_INLINE void multiply_step(Size columns, bool is_single, Matrix<Real> out,
                                            Matrix<const Real> start, Matrix<const Real> a,
                                            const Real* panel, Size rows, Size K) {
        if constexpr (NV > vectors) {
            using Narrower = Panel<Real, NV - vectors>;
            if (columns <= Narrower::width) {
                return Narrower::template multiply_step<vectors>(columns, is_single, out, start, a,
                                                                 panel, rows, K);
            }
        }
        if (is_single) return multiply_single(out.data, start.data, a.data, panel, K);
        multiply(out, start, a, panel, rows, K);
    }

    // The width of such a panel.
    static constexpr Size width_for(Size columns) {
        return smaller(width, rounded_up(columns, lanes<Real>));
    }

  private:
    // sum [width] += a_k w_k [width]
    static ALWAYS_INLINE void add_row(V (&sum)[NV], Real a_k, const Real* w_k) {
        const V factor = broadcast(a_k);
        repeat<NV>([&](auto v) __attribute__((always_inline)) {
            sum[v] += factor * load(w_k + v * lanes<Real>);
        });
    }

    // sum[0] = the sum of the first `num` of them, pair by pair
    template <int num>
    static ALWAYS_INLINE void fold(V (*sum)[NV]) {
        if constexpr (num > 1) {
            repeat<num / 2 * NV>([&](auto i) __attribute__((always_inline)) {
                sum[i / NV][i % NV] += sum[i / NV + num / 2][i % NV];
            });
            fold<num / 2>(sum);
        }
    }

    // sum [MR, width] += a_k [MR] w_k [width]
    // The shorter side is held in registers while the longer one passes through a single one:
    // with 12 accumulators, 4 of 16 registers are left.
    template <int MR>
    static ALWAYS_INLINE void add_outer(V (&sum)[MR][NV], const Real* a_k, Size a_stride,
                                        const Real* w_k) {
        V held[MR < NV ? MR : NV];
        if constexpr (MR < NV) {
            repeat<MR>([&](auto m) __attribute__((always_inline)) {
                held[m] = broadcast(a_k[m * a_stride]);
            });
            repeat<NV>([&](auto v) __attribute__((always_inline)) {
                V w_kv = load(w_k + v * lanes<Real>);
                pin<Real>(w_kv);
                repeat<MR>([&](auto m)
                               __attribute__((always_inline)) { sum[m][v] += held[m] * w_kv; });
            });
        } else {
            repeat<NV>([&](auto v) __attribute__((always_inline)) {
                held[v] = load(w_k + v * lanes<Real>);
                pin<Real>(held[v]);
            });
            repeat<MR>([&](auto m) __attribute__((always_inline)) {
                const V a_mk = broadcast(a_k[m * a_stride]);
                repeat<NV>([&](auto v)
                               __attribute__((always_inline)) { sum[m][v] += a_mk * held[v]; });
            });
        }
    }

    // A tile of exactly `rows` rows, at most MR: the tile sizes are compiled one by one.
    template <int MR, class... Arguments>
    static ALWAYS_INLINE void any_tile(Size rows, Arguments... arguments) {
        if (rows == MR) {
            tile<MR>(arguments...);
        } else if constexpr (MR > 1) {
            any_tile<MR - 1>(rows, arguments...);
        }
    }

    // out [MR, width] = start [MR, width] + a [MR, depth] w [depth, width]
    // The start is added last: until then it has time to arrive from wherever it is.
    template <int MR>
    static APART void tile(Matrix<Real> out, Matrix<const Real> start, Matrix<const Real> a,
                           const Real* w, Size depth) {
        for (int m = 0; m < MR; ++m) __builtin_prefetch(start.row(m));
        V sum[MR][NV] = {};
        for (Size k = 0; k < depth; ++k, w += width) add_outer<MR>(sum, a.data + k, a.stride, w);
        repeat<MR * NV>([&](auto i) __attribute__((always_inline)) {
            constexpr int m = i / NV, v = i % NV, column = v * lanes<Real>;
            store(out.row(m) + column, load(start.row(m) + column) + sum[m][v]);
        });
    }
};

}  // namespace
}  // namespace throughtime
