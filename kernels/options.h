// What a cell may have beside its equations, apart from them: a run without options pays one
// branch for many units, and its code is the cell's alone.
//
// Zoneout: a share k of the state before stays, of either state of the cell,
//
//   h = k_h h_before + (1 - k_h) h~,   c = k_c c_before + (1 - k_c) c~,
//
// where h~ and c~ are what the cell gives. In training k is drawn, 0 or 1 per unit and step; for
// inference it is the share of ones, one number (Krueger et al. 2017, equation 3).
//
// Peepholes are the cell's own arithmetic (lstm.h); gradients of c may be handed in at every step.
#pragma once

#include <type_traits>

#include "step.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class Options {
    using Optional = typename Cell::WithOptions;

  public:
    Options() = default;
    Options(const Real* keep_h, const Real* keep_c, Real h_share, Real c_share,
            const Real* peepholes, Real* dpeepholes = nullptr, const Real* dc = nullptr)
        : keep_h(keep_h),
          keep_c(keep_c),
          h_share(h_share),
          c_share(c_share),
          peepholes(peepholes),
          dpeepholes(dpeepholes),
          dc(dc),
          has_zoneout(keep_h || keep_c || h_share != 0 || c_share != 0),
          is_plain(!has_zoneout && !peepholes && !dc) {}

    // Calls body(std::true_type) where there are none, else body(std::false_type). Both must be
    // inlined: a run whose address is known elsewhere is read anew after every store.
    template <class Body>
    ALWAYS_INLINE void if_plain(Body body) const {
        if (is_plain) {
            body(std::true_type{});
        } else {
            body(std::false_type{});
        }
    }

    // The step of the units u and following, `at` in the axes [N, D, H]: returns h, writes c.
    template <bool is_plain, class Units>
    ALWAYS_INLINE Vec<Real> forward(Units units, const Step<Real>& step, Size at, Size u) const {
        if constexpr (is_plain) {
            return Cell::forward(units, step);
        } else {
            return forward_with(units, step, at, u);
        }
    }

    // From dh (and dc) to dz, as the cell's own.
    template <bool is_plain, class Units>
    ALWAYS_INLINE Vec<Real> backward(Units units, Vec<Real> dh, const StepBackward<Real>& step,
                                     Size at, Size u) const {
        if constexpr (is_plain) {
            return Cell::backward(units, dh, step);
        } else {
            return backward_with(units, dh, step, at, u);
        }
    }

  private:
    template <class Units>
    ALWAYS_INLINE Vec<Real> forward_with(Units units, Step<Real> step, Size at, Size u) const {
        if (peepholes) step.peepholes = peepholes + u;
        Vec<Real> c_before{};
        if constexpr (Cell::has_c) c_before = units.load(step.c);
        const Vec<Real> h_new = Optional::forward(units, step);
        if (!has_zoneout) return h_new;
        if constexpr (Cell::has_c) {
            units.store(step.c, mix(share_of_c(units, at), c_before, units.load(step.c)));
        }
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
        }
        Vec<Real> dh_kept{}, dc_kept{};
        if (has_zoneout) {
            dh_kept = share_of_h(units, at) * dh;
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

    const Real *keep_h, *keep_c;  // [N, D, H] or null
    Real h_share, c_share;        // where these are null
    const Real* peepholes;        // [P, H] or null
    Real* dpeepholes;             // [P, H] added to
    const Real* dc;               // [N, D, H] or null
    bool has_zoneout, is_plain;
};

}  // namespace
}  // namespace throughtime
