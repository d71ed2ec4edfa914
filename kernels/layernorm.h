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
#include "units.h"

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
    using Columns = ForwardPanel<Cell, Real>;

  public:
    RowNorm() = default;

    // bias [panels, width], the gain `to_gain` numbers behind it; room for two numbers a row.
    RowNorm(const Real* bias, Size to_gain, Real* room)
        : bias(bias), gain(bias + to_gain), moments(room) {}

    // Of all rows of a product [panels, rows, width], whose panels stand `panel` numbers apart.
    APART void take_moments(const Real* product, Size panel, Size rows, Size H) {
        for (Size r = 0; r < rows; ++r) {
            const Real* row = product + r * Columns::width;
            const Real mean = mean_of(row, panel, H, [](Vec<Real> v) { return v; });
            const Real variance = mean_of(row, panel, H, [=](Vec<Real> v) {
                const Vec<Real> deviation = v - mean;
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
        const auto [first, end] = UnitPanels<Cell, Real>(H).units_of(p);
        for_units<Real>(first, end, [&, first = first](auto units, Size u) {
            for (Size r = 0; r < rows.end - rows.begin; ++r) {
                const Real mean = moments[2 * (rows.begin + r)], scale_r = scale(rows.begin + r);
                Real* kept = saved(r);
                repeat<Cell::G>([&](auto g) __attribute__((always_inline)) {
                    const Size column = (u - first) * Cell::G + g * lanes<Real>;
                    const Size weight = p * Columns::width + column;
                    const Vec<Real> v_g = load(v + (rows.begin + r) * Columns::width + column);
                    const Vec<Real> normalised = (v_g - mean) * scale_r;
                    store(to + r * Columns::width + column,
                          load(gain + weight) * normalised + load(bias + weight));
                    if (kept) bypass_apart<Real>(units, kept + g * H + u, normalised);
                });
            }
        });
    }

  private:
    // The mean of body(v) over a row's numbers v.
    template <class Body>
    static Real mean_of(const Real* row, Size panel, Size H, Body body) {
        Vec<Real> sums[Cell::G] = {};
        const UnitPanels<Cell, Real> panels(H);
        for (Size p = 0; p < panels.count; ++p, row += panel) {
            const auto [first, end] = panels.units_of(p);
            for_units<Real>(first, end, [&, first = first](auto units, Size u) {
                repeat<Cell::G>([&](auto g) __attribute__((always_inline)) {
                    Real found[lanes<Real>];
                    const Real* v = row + (u - first) * Cell::G + g * lanes<Real>;
                    store(found, body(load(v)));
                    sums[g] += units.load(found);  // 0 behind the units
                });
            });
        }
        for (int g = 1; g < Cell::G; ++g) sums[0] += sums[g];
        return across<Real>(sums[0]) / Real(Cell::G * H);
    }

    const Real *bias, *gain;  // [panels, width]
    Real* moments;            // [rows, 2] mean and 1 / sigma
};

// What a forward run has for it beside the products themselves.
template <class Cell, class Real>
struct ForwardNorms {
    ForwardNorms() = default;

    // For so many rows of a step, and R of a block; take(elements) hands out room that the members
    // share, take_own room of this member.
    template <class Take, class TakeOwn>
    ForwardNorms(const Sizes& sizes, Size rows, Size R, const Real* weights, const Packed& packed,
                 Take take, TakeOwn take_own)
        : a_panel(rows * width),
          zeros(take_own(width)),
          product(take(packed.panels_hh * a_panel)),
          normalised_z(take_own(sizes.B * width)),
          of_z(weights + packed.at_bias_ih, packed.to_gains, take_own(2 * R)),
          of_a(weights + packed.at_bias_hh, packed.to_gains, take_own(2 * R)) {}

    static constexpr Size width = ForwardPanel<Cell, Real>::width;
    Size a_panel;                    // between panels of W_hh h
    Real* zeros;                     // [width]
    Real* product;                   // [panels, rows, width] W_hh h
    Real* normalised_z;              // [B, width]
    RowNorm<Cell, Real> of_z, of_a;  // of W_ih x, of W_hh h
};

// A row whose gradient is taken, of both products, W_ih x (0) and W_hh h (1).
template <class Real>
struct NormedRow {
    Real* to[2];             // [G, H] written: dv
    const Real* out[2];      // [G, H] the gradient of gain * v^ + bias
    const Real* normalised;  // [2, G, H] v^
    const Real* scales;      // [2] 1 / sigma
};

// The gradients of rows, and added to `sums` [4, G, H] those of the biases of both products and of
// their gains, for the units from begin to end; gains [2, G, H].
template <class Cell, class Real, int num>
void norm_gradients_of(const NormedRow<Real> (&rows)[num], Real* sums, const Real* gains,
                       Share units, Size H) {
    const Size K = Cell::G * H;
    Vec<Real> along_one[num][2] = {}, along_row[num][2] = {};
    for_units<Real>(0, K, [&](auto whole, Size k) {
        repeat<2 * num>([&](auto n) __attribute__((always_inline)) {
            constexpr int of = n / num, r = n % num;
            const Vec<Real> d = whole.load(rows[r].out[of] + k);
            const Vec<Real> weighted = whole.load(gains + of * K + k) * d;
            along_one[r][of] += weighted;
            along_row[r][of] += weighted * whole.load(rows[r].normalised + of * K + k);
        });
    });
    Real mean[num][2], slope[num][2];
    for (int r = 0; r < num; ++r) {
        for (int of : {0, 1}) {
            mean[r][of] = across<Real>(along_one[r][of]) / Real(K);
            slope[r][of] = across<Real>(along_row[r][of]) / Real(K);
        }
    }
    for (Size k = 0; k < K; k += H) {
        for_units<Real>(k + units.begin, k + units.end, [&](auto some, Size n) {
            repeat<2>([&](auto of) __attribute__((always_inline)) {
                Real *bias = sums + of * K + n, *gain = bias + 2 * K;
                Vec<Real> dbias = some.load(bias), dgain = some.load(gain);
                repeat<num>([&](auto r) __attribute__((always_inline)) {
                    const NormedRow<Real>& row = rows[r];
                    const Vec<Real> d = some.load(row.out[of] + n);
                    const Vec<Real> v = some.load(row.normalised + of * K + n);
                    const Vec<Real> weighted = some.load(gains + of * K + n) * d;
                    some.store(row.to[of] + n,
                               row.scales[of] * (weighted - mean[r][of] - v * slope[r][of]));
                    dbias += d;
                    dgain += d * v;
                });
                some.store(bias, dbias);
                some.store(gain, dgain);
            });
        });
    }
}

}  // namespace
}  // namespace throughtime
