// The product behind everything: rows of numbers times weights packed for it. It knows no cell.
//
//   K depth of the product   NV vectors of columns side by side   MR rows of a tile
//
// A strip holds `width` = NV vectors of columns of the product, [K, width], so that the inner loop
// reads the weights from front to back. A panel holds the columns that belong together, in strips
// one behind the other.
#pragma once

#include <bit>

#include "share.h"
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
    Matrix from_column(Size c) const { return {data + c, stride}; }
    operator Matrix<const Real>() const { return {data, stride}; }
};

template <class Real, int NV>
struct Strip {
    using V = Vec<Real>;
    static constexpr int width = NV * lanes<Real>;

    // 12 accumulators of 16 registers (24 of 32) hide the latency of a multiply-add and leave
    // room for operands.
    static constexpr int tile_rows = vector_registers * 3 / 4 / NV;

    // Depth of the part of a strip that stays in a 32 KB cache, beside a tile's rows.
    static constexpr Size block = 26 * 1024 / (NV * vector_bytes + tile_rows * sizeof(Real));

    static constexpr Size elements(Size K) { return K * width; }

    // out [rows, width] = start [rows, width] + a [rows, K] W, for one strip W; start may be out.
    // Every sum runs over k in order, so that a row's bits do not depend on the rows beside it.
    static void multiply(Matrix<Real> out, Matrix<const Real> start, Matrix<const Real> a,
                         const Real* strip, Size rows, Size K) {
        const Size tiles = (rows + tile_rows - 1) / tile_rows;
        const Size blocks = larger(1, (K + block - 1) / block);
        for (Size b = 0; b < blocks; ++b) {
            const Size k = b * K / blocks, depth = (b + 1) * K / blocks - k;
            const Real* w_k = strip + k * width;
            for (Size i = 0; i < tiles; ++i) {
                const Size r = i * rows / tiles, count = (i + 1) * rows / tiles - r;
                const Matrix<const Real> a_k{a.row(r) + k, a.stride};
                if (prefetches && elements(K) * Size(sizeof(Real)) > near) {
                    any_tile<tile_rows, prefetches>(count, out.from_row(r), start.from_row(r), a_k,
                                                    w_k, depth);
                } else {
                    any_tile<tile_rows, false>(count, out.from_row(r), start.from_row(r), a_k, w_k,
                                               depth);
                }
            }
            start = out;
        }
    }

    // The same for one row: the sum over k is split into interleaved sums, which hide the latency
    // as the rows of a tile do.
    static ALWAYS_INLINE void multiply_single(Real* out, const Real* start, const Real* a,
                                              const Real* strip, Size K) {
        constexpr int num = std::bit_floor(unsigned(tile_rows));
        V sum[num][NV] = {};
        const Real* w_k = strip;
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

  private:
    // A strip of more bytes is likely to be one of a matrix that only the last cache holds. Tiles
    // then ask for what follows their part of the strip. With AVX2: elsewhere it was not measured.
    static constexpr Size near = 32 * 1024;
    static constexpr bool prefetches = vector_bytes == 32;
    static constexpr int lines = (width * sizeof(Real) + 63) / 64;  // of weights for one k

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
    template <int MR, bool asks_ahead, class... Arguments>
    static ALWAYS_INLINE void any_tile(Size rows, Arguments... arguments) {
        if (rows == MR) {
            tile<MR, asks_ahead>(arguments...);
        } else if constexpr (MR > 1) {
            any_tile<MR - 1, asks_ahead>(rows, arguments...);
        }
    }

    // out [MR, width] = start [MR, width] + a [MR, depth] w [depth, width]
    // The start is added last: until then it has time to arrive from wherever it is.
    template <int MR, bool asks_ahead>
    static APART void tile(Matrix<Real> out, Matrix<const Real> start, Matrix<const Real> a,
                           const Real* w, Size depth) {
        for (int m = 0; m < MR; ++m) __builtin_prefetch(start.row(m));
        V sum[MR][NV] = {};
        for (Size k = 0; k < depth; ++k, w += width) {
            for (int l = 0; asks_ahead && l < lines; ++l) {
                __builtin_prefetch(w + depth * width + l * 64 / Size(sizeof(Real)));
            }
            add_outer<MR>(sum, a.data + k, a.stride, w);
        }
        repeat<MR * NV>([&](auto i) __attribute__((always_inline)) {
            constexpr int m = i / NV, v = i % NV, column = v * lanes<Real>;
            store(out.row(m) + column, load(start.row(m) + column) + sum[m][v]);
        });
    }
};

template <class Real, int NV>
struct Panel {
    static constexpr int width = NV * lanes<Real>;

    // Three vectors and four rows make the fewest loads with 12 accumulators, and leave a cache
    // time to bring the next weights; with 24 those are four vectors and six rows.
    static constexpr int strips = num_panels(NV, has_few_registers ? 3 : 4);

    static constexpr Size elements(Size K) { return K * width; }

    // Calls body(strip, column) for every strip, whose columns begin at that one, in order; their
    // weights stand behind those of `column` columns.
    template <class Body>
    static ALWAYS_INLINE void for_strips(Body body) {
        repeat<strips>([&](auto s) __attribute__((always_inline)) {
            constexpr Share share = share_of(NV, s, strips);
            body(Strip<Real, int(share.end - share.begin)>{}, share.begin * lanes<Real>);
        });
    }

    // out [rows, width] = start [rows, width] + a [rows, K] W, for one panel W; start may be out.
    static void multiply(Matrix<Real> out, Matrix<const Real> start, Matrix<const Real> a,
                         const Real* panel, Size rows, Size K) {
        for_strips([&](auto strip, Size column) __attribute__((always_inline)) {
            strip.multiply(out.from_column(column), start.from_column(column), a,
                           panel + column * K, rows, K);
        });
    }

    static ALWAYS_INLINE void multiply_single(Real* out, const Real* start, const Real* a,
                                              const Real* panel, Size K) {
        for_strips([&](auto strip, Size column) __attribute__((always_inline)) {
            strip.multiply_single(out + column, start + column, a, panel + column * K, K);
        });
    }

    // Calls body with the type of a panel that has so many columns: one may be narrower than others
    // of its matrix.
    template <class Body>
    static void with_columns(Size columns, Body body) {
        if constexpr (NV > 1) {
            using Narrower = Panel<Real, NV - 1>;
            if (columns <= Narrower::width) return Narrower::with_columns(columns, body);
        }
        body(Panel{});
    }

    // multiply for such a panel, or multiply_single: of whom all know that it is a single row. Most
    // panels have a multiple of so many vectors; the others share one copy of the code.
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
        if (vectors > 1 && columns <= width - lanes<Real>) {
            return multiply_other(columns, is_single, out, start, a, panel, rows, K);
        }
        if (is_single) return multiply_single(out.data, start.data, a.data, panel, K);
        multiply(out, start, a, panel, rows, K);
    }

    // The width of such a panel.
    static constexpr Size width_for(Size columns) {
        return smaller(width, rounded_up(columns, lanes<Real>));
    }

  private:
    static APART void multiply_other(Size columns, bool is_single, Matrix<Real> out,
                                     Matrix<const Real> start, Matrix<const Real> a,
                                     const Real* panel, Size rows, Size K) {
        with_columns(columns, [&](auto used) {
            if (is_single) return used.multiply_single(out.data, start.data, a.data, panel, K);
            used.multiply(out, start, a, panel, rows, K);
        });
    }
};

}  // namespace
}  // namespace throughtime
