// The states of a run's rows between its steps: what they begin with, what a reset makes of them,
// and what is left of them where a row ends. Backward the same of their gradients.
#pragma once

#include "rows.h"

namespace throughtime {
namespace {

// to = mask * from for these units
template <class Real>
void apply_mask(Real* to, const Real* mask, const Real* from, Share units) {
    for (Size u = units.begin; u < units.end; ++u) to[u] = mask[u] * from[u];
}

template <class Cell, class Real, bool has_options>
struct States {
    Real* h[2];               // [B, P] before step i: h[i % 2]; one buffer where there is a mask
    Real* read[2];            // [B, P] what the product reads of them, h or mask * h
    Real* c;                  // [B, H]
    Size stride;              // of their rows
    Share values{}, units{};  // this member's, of h and of c

    // For so many rows; take(elements) hands out room.
    template <class Take>
    void lay_out(const Forward<Real>& job, Size rows, Take take) {
        stride = row_stride<Real>(job.sizes.H);
        for (Real*& state : read) state = take(rows * stride);
        Real* beside = take(rows * stride);
        for (int k : {0, 1}) h[k] = has_mask(job) ? beside : read[k];
        c = Cell::has_c ? take(rows * stride) : nullptr;
    }

    // The states before the first step; a row that has no step ends with them.
    void start(const Forward<Real>& job, const Direction& at) {
        for (Size r = 0; r < at.batch_size(); ++r) {
            const Size to = r * stride;
            const bool fresh = at.sizes.T > 0 && r < at.active(0) && at.is_fresh(0, r);
            for (Size u = values.begin; u < values.end; ++u) {
                const Size from = at.state(r) * job.sizes.P + u;
                job.h_n[from] = job.h0 ? job.h0[from] : Real(0);
                const Real first = fresh ? fresh_h(job, at, u) : job.h_n[from];
                h[0][to + u] = h[1][to + u] = first;
            }
            for (Size u = units.begin; Cell::has_c && u < units.end; ++u) {
                const Size from = at.state(r) * job.sizes.H + u;
                job.c_n[from] = job.c0 ? job.c0[from] : Real(0);
                c[to + u] = fresh ? fresh_c(job, at, u) : job.c_n[from];
            }
        }
        for (int k = 0; has_mask(job) && k < 2; ++k) mask_rows(job, at, k, at.batch_size());
    }

    // Keeps the last states of rows that end with step i, and begins afresh those that are reset.
    void finish_step(const Forward<Real>& job, const Direction& at, Size i) {
        const Size continuing = at.continuing(i);
        Real* h_new = h[(i + 1) % 2];
        for (Size r = continuing; r < at.active(i); ++r) {
            const Size at_h = at.state(r) * job.sizes.P, at_c = at.state(r) * job.sizes.H;
            for (Size u = values.begin; u < values.end; ++u) {
                job.h_n[at_h + u] = h_new[r * stride + u];
            }
            for (Size u = units.begin; Cell::has_c && u < units.end; ++u) {
                job.c_n[at_c + u] = c[r * stride + u];
            }
        }
        for (Size r = 0; job.rows.reset && r < continuing; ++r) {
            if (!at.is_fresh(i + 1, r)) continue;
            for (Size u = values.begin; u < values.end; ++u) {
                h_new[r * stride + u] = fresh_h(job, at, u);
            }
            for (Size u = units.begin; Cell::has_c && u < units.end; ++u) {
                c[r * stride + u] = fresh_c(job, at, u);
            }
        }
        if (has_mask(job)) mask_rows(job, at, (i + 1) % 2, at.active(i));
    }

  private:
    static bool has_mask(const Forward<Real>& job) { return has_options && job.mask; }

    void mask_rows(const Forward<Real>& job, const Direction& at, Size k, Size rows) {
        for (Size r = 0; r < rows; ++r) {
            const Real* mask = job.mask + at.state(r) * job.sizes.P;
            apply_mask(read[k] + r * stride, mask, h[k] + r * stride, values);
        }
    }

    static Real fresh_h(const Forward<Real>& job, const Direction& at, Size u) {
        return job.h_fresh ? job.h_fresh[at.d * job.sizes.P + u] : Real(0);
    }
    static Real fresh_c(const Forward<Real>& job, const Direction& at, Size u) {
        return job.c_fresh ? job.c_fresh[at.d * job.sizes.H + u] : Real(0);
    }
};

template <class Cell, class Real>
struct StatesBackward {
    Real *dh, *dc;            // [B, P], [B, H] after the step that comes next
    Size stride;              // of their rows
    Real* zeros;              // [H] states that are not given
    Share values{}, units{};  // this member's, of h and of c

    // The gradients behind the last step.
    void start(const Backward<Real>& job, const Direction& at) {
        for (Size r = 0; r < at.batch_size(); ++r) {
            for (Size u = values.begin; u < values.end; ++u) {
                const Size from = at.state(r) * job.sizes.P + u;
                dh[r * stride + u] = job.dh_n ? job.dh_n[from] : Real(0);
            }
            for (Size u = units.begin; Cell::has_c && u < units.end; ++u) {
                const Size from = at.state(r) * job.sizes.H + u;
                dc[r * stride + u] = job.dc_n ? job.dc_n[from] : Real(0);
            }
        }
    }

    // The states, [P] and [H], that row r of step i started from.
    const Real* h_before(const Backward<Real>& job, const Direction& at, Size i, Size r) const {
        return before(at, i, r, job.y, job.h0, job.h_fresh, job.sizes.P);
    }
    const Real* c_before(const Backward<Real>& job, const Direction& at, Size i, Size r) const {
        if (!Cell::has_c) return nullptr;
        return before(at, i, r, job.c, job.c0, job.c_fresh, job.sizes.H);
    }

    // Where row r begins afresh, its gradient belongs to the fresh state, not to the step before.
    void cut_at_resets(const Backward<Real>& job, const Direction& at, Size i, Real* dh_fresh,
                       Real* dc_fresh) {
        for (Size r = 0; job.rows.reset && r < at.active(i); ++r) {
            if (!at.is_fresh(i, r)) continue;
            cut(dh + r * stride, dh_fresh, values);
            if (Cell::has_c) cut(dc + r * stride, dc_fresh, units);
        }
    }

    // The gradients of the states before the first step.
    void finish(const Backward<Real>& job, const Direction& at) const {
        for (Size r = 0; r < at.batch_size(); ++r) {
            const auto give = [&](Real* to, const Real* from, Size width, Share share) {
                if (!to) return;
                std::memcpy(to + at.state(r) * width + share.begin, from + r * stride + share.begin,
                            (share.end - share.begin) * sizeof(Real));
            };
            give(job.dh0, dh, job.sizes.P, values);
            give(job.dc0, dc, job.sizes.H, units);
        }
    }

  private:
    const Real* before(const Direction& at, Size i, Size r, const Real* over_time,
                       const Real* initial, const Real* fresh, Size width) const {
        if (at.is_fresh(i, r)) return fresh ? fresh + at.d * width : zeros;
        if (r < at.carried(i)) return over_time + at.kept(i - 1, r) * width;
        return initial ? initial + at.state(r) * width : zeros;
    }

    static void cut(Real* gradient, Real* of_fresh, Share share) {
        for (Size u = share.begin; u < share.end; ++u) of_fresh[u] += gradient[u];
        std::memset(gradient + share.begin, 0, (share.end - share.begin) * sizeof(Real));
    }
};

}  // namespace
}  // namespace throughtime
