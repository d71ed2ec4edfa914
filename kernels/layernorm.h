// LayerNorm of the pre-activations of a row (Ba et al. 2016, equations 3 and 4), over all gates and
// units:
//
//   v^ = (v - mean) / sigma,   sigma^2 = variance + 1e-5,   out = gain * v^ + bias
//
//   dv = (gain dout - mean(gain dout) - v^ mean(v^ gain dout)) / sigma
//
// for either product, v = W_ih x and v = W_hh h.
#pragma once

#include <cmath>

#include "pack.h"
#include "step.h"

namespace throughtime {
namespace {

// The sum of a vector's numbers.
template <class Real>
Real across(Vec<Real> v) {
    Real total = 0;
    for (int l = 0; l < lanes<Real>; ++l) total += v[l];
    return total;
}

// Of the rows of one product, for one member.
template <class Cell, class Real>
class RowNorm {
    using P = ForwardPanel<Cell, Real>;
    static constexpr Size panel_units = Cell::UV * lanes<Real>;

  public:
    RowNorm() = default;

    // bias [panels, width], the gain `to_gain` numbers behind it; room for two numbers a row.
    RowNorm(const Real* bias, Size to_gain, Real* room)
        : bias(bias), gain(bias + to_gain), moments(room) {}

    // Of all rows of a product [panels, rows, width], whose panels stand `panel` numbers apart.
    APART void take_moments(const Real* product, Size panel, Size rows, Size H) {
        for (Size r = 0; r < rows; ++r) {
            const Real* row = product + r * P::width;
            const auto identity = [](auto, Vec<Real> v) { return v; };  // 0 behind the units
            const Real mean = mean_of(row, panel, H, identity);
            const Real variance = mean_of(row, panel, H, [&](auto units, Vec<Real> v) {
                Real deviations[lanes<Real>];
                store(deviations, Vec<Real>(v - mean));
                const Vec<Real> deviation = units.load(deviations);  // 0 behind the units
                return deviation * deviation;
            });
            moments[2 * r] = mean;
            moments[2 * r + 1] = 1 / std::sqrt(variance + Real(1e-5));
        }
    }

    Real scale(Size r) const { return moments[2 * r + 1]; }  // 1 / sigma

    // to [rows, width] = gain * v^ + bias for these rows of panel p, v [., width]; v^ is saved to
    // saved(0), saved(1), ... [G, H], where that is not null.
    template <class Saved>
    void normalise(Real* to, const Real* v, Size p, Share rows, Size H, Saved saved) const {
        const Size first = p * panel_units;
        for_units<Real>(first, smaller(first + panel_units, H), [&](auto units, Size u) {
            for (Size r = 0; r < rows.end - rows.begin; ++r) {
                const Real mean = moments[2 * (rows.begin + r)], scale_r = scale(rows.begin + r);
                Real* kept = saved(r);
                repeat<Cell::G>([&](auto g) __attribute__((always_inline)) {
                    const Size column = (u - first) * Cell::G + g * lanes<Real>;
                    const Size weight = p * P::width + column;
                    const Vec<Real> v_g = load(v + (rows.begin + r) * P::width + column);
                    const Vec<Real> normalised = (v_g - mean) * scale_r;
                    store(to + r * P::width + column,
                          load(gain + weight) * normalised + load(bias + weight));
                    if (kept) units.store(kept + g * H + u, normalised);
                });
            }
        });
    }

  private:
    // The mean of body(units, v) over the vectors v of a row.
    template <class Body>
    static Real mean_of(const Real* row, Size panel, Size H, Body body) {
        Vec<Real> sums[Cell::G] = {};
        for (Size first = 0; first < H; first += panel_units, row += panel) {
            for_units<Real>(first, smaller(first + panel_units, H), [&](auto units, Size u) {
                repeat<Cell::G>([&](auto g) __attribute__((always_inline)) {
                    sums[g] += body(units, load(row + (u - first) * Cell::G + g * lanes<Real>));
                });
            });
        }
        for (int g = 1; g < Cell::G; ++g) sums[0] += sums[g];
        return across<Real>(sums[0]) / Real(Cell::G * H);
    }

    const Real *bias, *gain;  // [panels, width]
    Real* moments;            // [rows, 2] mean and 1 / sigma
};

// The gradient of one product of a row: to [G, H] from `out`, that of gain * v^ + bias, for the
// units from begin to end, and added to those of bias and gain; all are [G, H] but the scale, 1 /
// sigma.
template <class Cell, class Real>
void norm_gradient(Real* to, Real* dbias, Real* dgain, const Real* out, const Real* normalised,
                   const Real* gain, Real scale, Share units, Size H) {
    constexpr Size G = Cell::G;
    Vec<Real> along_one{}, along_row{};
    for_units<Real>(0, G * H, [&](auto whole, Size k) {
        const Vec<Real> weighted = whole.load(gain + k) * whole.load(out + k);
        along_one += weighted;
        along_row += weighted * whole.load(normalised + k);
    });
    const Real mean = across<Real>(along_one) / Real(G * H);
    const Real slope = across<Real>(along_row) / Real(G * H);
    for (Size k = 0; k < G * H; k += H) {
        for_units<Real>(k + units.begin, k + units.end, [&](auto some, Size n) {
            const Vec<Real> d = some.load(out + n), v = some.load(normalised + n);
            some.store(to + n, scale * (some.load(gain + n) * d - mean - v * slope));
            add(some, dbias + n, d);
            add(some, dgain + n, Vec<Real>(d * v));
        });
    }
}

}  // namespace
}  // namespace throughtime
