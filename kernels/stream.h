// One step of one layer, for sequences that never end: the same panels, the same cells, and no
// block of steps to prepare. One thread: a step of some microseconds is not worth a second.
#pragma once

#include "options.h"
#include "pack.h"
#include "step.h"

namespace throughtime {
namespace {

// The product of panel p of those at `weights` for one row or several; K numbers of each.
template <class Gates, class Real, class Panels>
ALWAYS_INLINE void multiply_rows(Real* out, const Real* biases, Matrix<const Real> rows,
                                 const Real* weights, const Panels& panels, Size p, Size num_rows,
                                 Size K) {
    using Columns = ForwardPanel<Gates, Real>;
    constexpr int G = Gates::G;
    Columns::template multiply_step<G>(panels.template columns<G>(p), num_rows == 1,
                                       {out, Columns::width}, {biases + p * Columns::width, 0},
                                       rows, weights + p * Columns::elements(K), num_rows, K);
    panels.template spread_gates<G>(out, Columns::width, p, num_rows);
}

template <class Cell, class Real, bool has_options>
class StreamRun {
    using Inputs = ForwardPanel<Cell, Real>;
    using First = ForwardPanel<FirstGates<Cell>, Real>;
    using Second = ForwardPanel<Linear, Real>;

  public:
    // Lays out the workspace; with null it only counts it.
    StreamRun(const StreamStep<Real>& job, Room<Real> room)
        : job(job),
          packed(forward_layout<Cell, Real>(job.sizes)),
          panels(job.sizes.H),
          options(nullptr, nullptr, job.keep_h_share, job.keep_c_share, job.peepholes,
                  has_second<Cell>(job.sizes)) {
        const Size B = job.sizes.B;
        z_panel = Cell::G_second > 0 ? B * Inputs::width : 0;  // kept for the second half
        z = room.take(larger(B * Inputs::width, packed.panels_ih * z_panel));
        a = room.take(B * Inputs::width);
        m = room.take(has_second_product() ? B * job.sizes.H : 0);
        used = room.used;
    }

    Size elements() const { return used; }

    ALWAYS_INLINE void run() {
        const Size B = job.sizes.B, I = job.sizes.I, values = job.sizes.P;
        to_and_fro({0, packed.panels_hh}, job.turn, [&](Size p) __attribute__((always_inline)) {
            Real* z_p = z + p * z_panel;
            multiply_rows<Cell>(z_p, job.packed + packed.at_bias_ih, {job.x, I}, job.packed, panels,
                                p, B, I);
            multiply_rows<FirstGates<Cell>>(a, job.packed + packed.at_bias_hh,
                                            {job.h_before, values}, job.packed + packed.at_hh,
                                            panels, p, B, values);
            unit_steps(p, z_p);
        });
        if constexpr (can_have_second<Cell>) {
            if (has_second_product()) second_half();
        }
    }

  private:
    bool has_second_product() const { return has_options && has_second<Cell>(job.sizes); }

    // The cell's arithmetic for panel p.
    ALWAYS_INLINE void unit_steps(Size p, Real* z_p) const {
        const Size B = job.sizes.B, H = job.sizes.H;
        const auto [first, end] = panels.units_of(p);
        for_units<Real>(first, end, [&, first = first](auto units, Size u) {
            const auto step_of_row = [&](Size r) __attribute__((always_inline)) {
                return step_of(r, u, a + r * First::width + (u - first) * FirstGates<Cell>::G,
                               z_p + r * Inputs::width + (u - first) * Cell::G);
            };
            for (Size r = 0; Cell::prepares && r < B; ++r) {
                options.prepare(units, step_of_row(r), u);
            }
            for (Size r = 0; r < B; ++r) {
                Real* to = has_second_product() ? m : job.h;
                units.store(to + r * H + u, options.forward(units, step_of_row(r), r * H + u));
            }
        });
    }

    ALWAYS_INLINE Step<Real> step_of(Size r, Size u, Real* a_u, Real* z_u) const {
        const Size H = job.sizes.H;
        return {a_u, z_u,  job.h_before + r * job.sizes.P + u, job.c + r * H + u, nullptr, nullptr,
                H,   job.g};
    }

    // h from the second product, W m + b
    APART void second_half() const {
        const Size B = job.sizes.B, H = job.sizes.H, values = job.sizes.P;
        const UnitPanels<Linear, Real> values_in(values);
        for (Size p = 0; p < values_in.count; ++p) {
            multiply_rows<Linear>(a, job.packed + packed.at_bias_second, {m, H},
                                  job.packed + packed.at_second, values_in, p, B, H);
            const auto [first, end] = values_in.units_of(p);
            for_units<Real>(first, end, [&, first = first](auto units, Size u) {
                const Size q = panels.panel_of(u), in_panel = u - panels.units_of(q).begin;
                for (Size r = 0; r < B; ++r) {
                    Real* z_u = z + q * z_panel + r * Inputs::width + in_panel * Cell::G;
                    const auto step = step_of(r, u, a + r * Second::width + u - first, z_u);
                    const Size state = r * values + u;
                    units.store(job.h + state, options.forward_second(units, step, state));
                }
            });
        }
    }

    const StreamStep<Real> job;
    const Packed packed;
    const UnitPanels<Cell, Real> panels;
    const Options<Cell, Real, has_options> options;
    Size z_panel, used;
    Real *z, *a;  // [panels, B, width], of one panel where nobody asks later
    Real* m;      // [B, H]
};

template <class Cell, class Real>
void stream_step(const StreamStep<Real>& job) {
    const bool has_options = job.keep_h_share != 0 || job.keep_c_share != 0 || job.peepholes ||
                             has_second<Cell>(job.sizes);
    with_or_without<Cell>(has_options, [&](auto options) {
        StreamRun<Cell, Real, options>(job, {job.workspace}).run();
    });
}

template <class Cell, class Real>
Size stream_workspace(const Sizes& sizes) {
    StreamStep<Real> job{};
    job.sizes = sizes;
    return StreamRun<Cell, Real, true>(job, {nullptr}).elements();
}

template <class Real>
Size readout_packed(Size O, Size H) {
    using Columns = ForwardPanel<Linear, Real>;
    const Size panels = UnitPanels<Linear, Real>(O).count;
    return panels * Columns::width + panels * Columns::elements(H);
}

// to [panels, width] biases, then panels, from weight [O, H] and bias [O] or null
template <class Real>
void pack_readout(Real* to, const Real* weight, const Real* bias, Size O, Size H) {
    using Columns = ForwardPanel<Linear, Real>;
    const Size panels = UnitPanels<Linear, Real>(O).count;
    pack_bias<Linear>(to, bias, {0, panels}, O);
    pack_gates<Linear>(to + panels * Columns::width, weight, {0, panels}, O, H);
}

// y [B, O] = W h + b; workspace [B, width]
template <class Real>
void readout(Real* y, const Real* h, const Real* packed, Size B, Size O, Size H, Real* workspace) {
    using Columns = ForwardPanel<Linear, Real>;
    const UnitPanels<Linear, Real> outputs(O);
    const Real* weights = packed + outputs.count * Columns::width;
    for (Size p = 0; p < outputs.count; ++p) {
        multiply_rows<Linear>(workspace, packed, {h, H}, weights, outputs, p, B, H);
        const auto [first, end] = outputs.units_of(p);
        for (Size r = 0; r < B; ++r) {
            std::memcpy(y + r * O + first, workspace + r * Columns::width,
                        (end - first) * sizeof(Real));
        }
    }
}

}  // namespace
}  // namespace throughtime
