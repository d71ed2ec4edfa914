// What a cell may have beside its equations, apart from them. A run is compiled twice, with options
// and without any (where a cell can do without). The latter's code is the cell's alone and is
// inlined whole, so that its fields can stay in registers.
//
// Zoneout: a share k of the state before stays, of either state of the cell,
//
//   h = k_h h_before + (1 - k_h) h~,   c = k_c c_before + (1 - k_c) c~,
//
// where h~ and c~ are what the cell gives. In training k is drawn, 0 or 1 per unit and step; for
// inference it is the share of ones, one number (Krueger et al. 2017, equation 3).
//
// Peepholes are the cell's own arithmetic (lstm.h); gradients of c may be handed in at every step,
// and out (adjoints.h): with zoneout h follows from c~, without it from c.
#pragma once

#include <type_traits>

#include "pack.h"
#include "step.h"
#include "units.h"

namespace throughtime {
namespace {

// Whether direction d of a run, forward or backward, has any.
template <class Cell, class Job>
bool has_options(const Job& job, Size d) {
    const bool has_zoneout =
        job.keep_h || job.keep_c || job.keep_h_share != 0 || job.keep_c_share != 0;
    return has_zoneout || job.mask || job.sizes.normalises || job.peepholes[d] ||
           has_second<Cell>(job.sizes);
}

// Calls body(std::true_type) for a run that has options, else body(std::false_type).
template <class Cell, class Body>
void with_or_without(bool options, Body body) {
    if constexpr (Cell::G_second == 0) {  // a second product is one
        if (!options) return body(std::false_type{});
    }
    body(std::true_type{});
}

template <class Cell, class Real, bool has_any>
class Options {
    using Optional = typename Cell::WithOptions;

  public:
    Options() = default;
    Options(const Real* keep_h, const Real* keep_c, Real h_share, Real c_share,
            const Real* peepholes, bool second)
        : keep_h(keep_h),
          keep_c(keep_c),
          h_share(h_share),
          c_share(c_share),
          peepholes(peepholes),
          second(second),
          has_zoneout(keep_h || keep_c || h_share != 0 || c_share != 0),
          leaves_cell(!has_zoneout && !peepholes && !second) {}

    // Of direction d of a backward run.
    Options(const Backward<Real>& job, Size d, bool second, Real* dpeepholes)
        : Options(job.keep_h, job.keep_c, job.keep_h_share, job.keep_c_share, job.peepholes[d],
                  second) {
        this->dpeepholes = dpeepholes;
        dc = job.dc;
        dc_all = job.dc_all;
        leaves_cell = leaves_cell && !dc && !dc_all;
    }

    // The first half of `forward`.
    template <class Units>
    ALWAYS_INLINE void prepare(Units units, const Step<Real>& step, Size u) const {
        if constexpr (Cell::prepares) {
            if (is_plain()) return Cell::prepare(units, step);
            prepare_with(units, step, u);
        }
    }

    // The step of the units u and following, `at` in the axes [N, D, H]: returns h, writes c.
    template <class Units>
    ALWAYS_INLINE Vec<Real> forward(Units units, const Step<Real>& step, Size at) const {
        if (is_plain()) return Cell::forward(units, step);
        return forward_with(units, step, at);
    }

    // From dh (and dc) to dz, as the cell's own.
    template <class Units>
    ALWAYS_INLINE Vec<Real> backward(Units units, Vec<Real> dh, const StepBackward<Real>& step,
                                     Size at, Size u) const {
        if (is_plain()) return Cell::backward(units, dh, step);
        return backward_with(units, dh, step, at, u);
    }

    // The second half of a step, `at` in the axes [N, D, P].
    template <class Units>
    Vec<Real> forward_second(Units units, const Step<Real>& step, Size at) const {
        const Vec<Real> h_new = Cell::forward_second(units, step);
        if (!has_zoneout) return h_new;
        return mix(share_of_h(units, at), units.load(step.h_before), h_new);
    }
    template <class Units>
    Vec<Real> backward_second(Units units, Vec<Real> dh, const StepBackward<Real>& step,
                              Size at) const {
        if (!has_zoneout) return Cell::backward_second(units, dh, step);
        const Vec<Real> dh_kept = share_of_h(units, at) * dh;
        return Cell::backward_second(units, dh - dh_kept, step) + dh_kept;
    }

  private:
    // Whether the cell's arithmetic is its own, whatever stands around it.
    ALWAYS_INLINE bool is_plain() const { return !has_any || (Cell::G_second == 0 && leaves_cell); }

    template <class Units>
    ALWAYS_INLINE void prepare_with(Units units, Step<Real> step, Size u) const {
        if (peepholes) step.peepholes = peepholes + u;
        Optional::prepare(units, step);
    }

    template <class Units>
    ALWAYS_INLINE Vec<Real> forward_with(Units units, const Step<Real>& step, Size at) const {
        Vec<Real> c_before{};
        if constexpr (Cell::has_c) c_before = units.load(step.c);
        const Vec<Real> h_new = Optional::forward(units, step);
        if (!has_zoneout) return h_new;
        if constexpr (Cell::has_c) {
            units.store(step.c, mix(share_of_c(units, at), c_before, units.load(step.c)));
        }
        if (second) return h_new;  // m yet
        return mix(share_of_h(units, at), units.load(step.h_before), h_new);
    }

    // What stays bypasses the cell.
    template <class Units>
    ALWAYS_INLINE Vec<Real> backward_with(Units units, Vec<Real> dh, StepBackward<Real> step,
                                          Size at, Size u) const {
        if (peepholes) {
            step.peepholes = peepholes + u;
            step.dpeepholes = dpeepholes + u;
        }
        if constexpr (Cell::has_c) {
            if (dc) add(units, step.dc, units.load(dc + at));
            if (dc_all && !has_zoneout) step.dc_all = dc_all + at;
            if (dc_all && has_zoneout) bypass<Real>(units, dc_all + at, units.load(step.dc));
        }
        Vec<Real> dh_kept{}, dc_kept{};
        if (has_zoneout) {
            if (!second) dh_kept = share_of_h(units, at) * dh;
            if constexpr (Cell::has_c) {
                dc_kept = share_of_c(units, at) * units.load(step.dc);
                add(units, step.dc, -dc_kept);
            }
        }
        const Vec<Real> dh_before = Optional::backward(units, dh - dh_kept, step);
        if (!has_zoneout) return dh_before;
        if constexpr (Cell::has_c) add(units, step.dc, dc_kept);
        return dh_before + dh_kept;
    }

    static Vec<Real> mix(Vec<Real> share, Vec<Real> before, Vec<Real> now) {
        return share * before + (Real(1) - share) * now;
    }

    template <class Units>
    Vec<Real> share_of_h(Units units, Size at) const {
        return keep_h ? units.load(keep_h + at) : broadcast(h_share);
    }
    template <class Units>
    Vec<Real> share_of_c(Units units, Size at) const {
        return keep_c ? units.load(keep_c + at) : broadcast(c_share);
    }

    const Real* keep_h;          // [N, D, P] or null
    const Real* keep_c;          // [N, D, H] or null
    Real h_share, c_share;       // where these are null
    const Real* peepholes;       // [Q, H] or null
    Real* dpeepholes = nullptr;  // [Q, H] added to
    const Real* dc = nullptr;    // [N, D, H] or null
    Real* dc_all = nullptr;      // [N, D, H] or null
    bool second;                 // product in every step
    bool has_zoneout;
    bool leaves_cell;  // as it is
};

}  // namespace
}  // namespace throughtime
