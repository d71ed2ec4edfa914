// The rows of every step (kernels.h: Rows), from what callers know: lengths or sizes of steps.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels.h"

namespace throughtime {

class RowTables {
  public:
    // Rows that stand one step after the other, sizes[t] of step t; sizes never increase.
    static RowTables packed(const std::int64_t* sizes, Size T) {
        RowTables tables(T, std::accumulate(sizes, sizes + T, Size(0)));
        std::copy(sizes, sizes + T, tables.active_.begin());
        std::exclusive_scan(sizes, sizes + T, tables.first_.begin(), Size(0));
        return tables;
    }

    // Rows in [T, B], or [B, T] with batch_first; row b has lengths[b] steps, or T with null.
    static RowTables dense(Size T, Size B, bool batch_first, const std::int64_t* lengths) {
        RowTables tables(T, T * B);
        tables.stride_ = batch_first ? T : 1;
        for (Size t = 0; t < T; ++t) tables.first_[t] = batch_first ? t : t * B;
        std::fill(tables.active_.begin(), tables.active_.end(), B);
        if (lengths) tables.sort(lengths, B);
        return tables;
    }

    Rows rows(const std::uint8_t* reset) const {
        return {active_.data(), first_.data(), batch_.empty() ? nullptr : batch_.data(), stride_,
                reset};
    }

    Size places() const { return places_; }  // N

  private:
    RowTables(Size T, Size places) : active_(T), first_(T), places_(places) {}

    void sort(const std::int64_t* lengths, Size B) {
        batch_.resize(B);
        std::iota(batch_.begin(), batch_.end(), Size(0));
        std::stable_sort(batch_.begin(), batch_.end(),
                         [&](Size a, Size b) { return lengths[a] > lengths[b]; });
        Size rows = B;
        for (Size t = 0; t < Size(active_.size()); ++t) {
            while (rows > 0 && lengths[batch_[rows - 1]] <= t) --rows;
            active_[t] = rows;
        }
    }

    std::vector<Size> active_, first_, batch_;
    Size stride_ = 1, places_;
};

}  // namespace throughtime
