// One sum of products over all steps and rows, [N, count] = sum of gradients^T factors, in panels
// one after the other in memory. The sum over a block begins at 0 and is added to the whole.
#pragma once

#include "pack.h"

namespace throughtime {
namespace {

template <class Real>
struct PanelSums {
    using Back = BackwardPanel<Real>;
    static constexpr Size chunk_rows = 192;  // of the sums, in a core's own cache

    Size N = 0, count = 0, R = 0;  // gradients and factors of a row, rows of a block at most
    Real* sums = nullptr;          // [panels, count, width]
    Real* right = nullptr;         // [panels, R, width] gradients of the block
    Real* zeros = nullptr;         // [width]

    Size panels() const { return num_panels(N, Back::width); }
    Size elements() const { return panels() * count * Back::width; }

    template <class Take>
    void lay_out(Take take) {
        right = take(panels() * Back::elements(R));
        zeros = take(Back::width);
    }

    void start(bool clears) {
        for (Size v = 0; v < Back::width; ++v) zeros[v] = 0;
        for (Size k = 0; k < elements() && clears; ++k) sums[k] = 0;
    }

    // The gradients of a block's rows, for the panels of `mine`.
    void take(Matrix<const Real> gradients, Size rows, Share mine) {
        for (Size n = 0; n < rows; ++n) pack_row(right, gradients.row(n), n, R, N, mine);
    }

    // Adds their products with num factors, which stand as columns [num, rows], from sum `at` on.
    void add(Matrix<const Real> factors, Size at, Size num, Size rows, bool is_first, Share mine) {
        for (Size m = 0; m < num; m += chunk_rows) {
            const Matrix<const Real> left = factors.from_row(m);
            for (Size q = mine.begin; q < mine.end; ++q) {
                Real* to = sums + (q * count + at + m) * Back::width;
                const Matrix<const Real> start =
                    is_first ? Matrix<const Real>{zeros, 0} : Matrix<const Real>{to, Back::width};
                Back::with_columns(N - q * Back::width, [&](auto used) {
                    used.multiply({to, Back::width}, start, left, right + q * Back::elements(R),
                                  smaller(chunk_rows, num - m), rows);
                });
            }
        }
    }

    void add_part(const PanelSums& part, const Member& member) const {
        const Share mine = share_of(panels(), member.index, member.count);
        const Size panel = count * Back::width;
        for (Size k = mine.begin * panel; k < mine.end * panel; ++k) sums[k] += part.sums[k];
    }

    // Writes this member's share of gradient [columns, num], the sums from `at` on of the first
    // columns; null: not wanted.
    void write(Real* gradient, Size at, Size num, Size columns, const Member& member) const {
        const Share mine = share_of(panels(), member.index, member.count);
        for (Size q = mine.begin; q < mine.end && gradient; ++q) {
            const Size first = q * Back::width;
            const Real* from = sums + (q * count + at) * Back::width;
            const auto row = [=](Size k) { return from + k * Back::width; };
            if (first >= columns) break;
            transpose(gradient + first * num, num, row, num, smaller(Back::width, columns - first));
        }
    }
};

}  // namespace
}  // namespace throughtime
