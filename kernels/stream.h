// One step of one layer, for sequences that never end: the same panels, the same cells, and no
// block of steps to prepare. One thread: a step of some microseconds is not worth a second.
#pragma once

#include "options.h"
#include "pack.h"
#include "step.h"

namespace throughtime {
namespace {

// The product of a panel of so many columns for one row or several.
template <class Cell, class Real>
void multiply_rows(Real* out, const Real* bias, const Real* rows, const Real* panel, Size num_rows,
                   Size K, Size columns) {
    using P = ForwardPanel<Cell, Real>;
    P::template with_columns<Cell::G>(columns, [&](auto used) {
        if (num_rows == 1) return used.multiply_single(out, bias, rows, panel, K);
        used.multiply({out, P::width}, {bias, 0}, {rows, K}, panel, num_rows, K);
    });
}

template <class Cell, class Real>
void stream_step(const StreamStep<Real>& job) {
    using P = ForwardPanel<Cell, Real>;
    constexpr Size panel_units = Cell::UV * lanes<Real>;
    const Size B = job.sizes.B, I = job.sizes.I, H = job.sizes.H;
    const auto packed = packed_forward<Cell, Real>(job.sizes);
    const Real* biases = job.packed + packed.at_biases();
    const Options<Cell, Real> options(nullptr, nullptr, job.keep_h_share, job.keep_c_share,
                                      job.peepholes);
    Real *z = job.workspace, *a = z + B * P::width;
    for (Size p = 0; p < packed.panels_hh; ++p) {
        const Size columns = forward_columns<Cell, Real>(p, H);
        multiply_rows<Cell>(z, biases + p * P::width, job.x, job.packed + p * P::elements(I), B, I,
                            columns);
        multiply_rows<Cell>(a, biases + packed.biases / 2 + p * P::width, job.h_before,
                            job.packed + packed.at_hh() + p * P::elements(H), B, H, columns);
        const Size first = p * panel_units;
        options.if_plain([&](auto is_plain) __attribute__((always_inline)) {
            for_units<Real>(first, smaller(first + panel_units, H), [&](auto units, Size u) {
                for (Size r = 0; r < B; ++r) {
                    const Size offset = r * P::width + (u - first) * Cell::G, state = r * H + u;
                    const Step<Real> step{a + offset,
                                          z + offset,
                                          job.h_before + state,
                                          job.c + state,
                                          nullptr,
                                          nullptr,
                                          H,
                                          job.g};
                    units.store(job.h + state,
                                options.template forward<is_plain>(units, step, state, u));
                }
            });
        });
    }
}

// Room for z and a of one panel.
template <class Cell, class Real>
Size stream_workspace(const Sizes& sizes) {
    return 2 * sizes.B * ForwardPanel<Cell, Real>::width;
}

// A linear readout is packed like the inputs of a cell with one gate.
struct Readout {
    static constexpr int G = 1, UV = 2;
};

template <class Real>
Size readout_packed(Size O, Size H) {
    using P = ForwardPanel<Readout, Real>;
    const Size panels = num_panels(O, P::width);
    return panels * P::width + panels * P::elements(H);
}

// to [panels, width] biases, then panels, from weight [O, H] and bias [O] or null
template <class Real>
void pack_readout(Real* to, const Real* weight, const Real* bias, Size O, Size H) {
    using P = ForwardPanel<Readout, Real>;
    const Size panels = num_panels(O, P::width);
    pack_bias<Readout>(to, bias, {0, panels}, O);
    pack_gates<Readout>(to + panels * P::width, weight, {0, panels}, O, H);
}

// y [B, O] = W h + b; workspace [B, width]
template <class Real>
void readout(Real* y, const Real* h, const Real* packed, Size B, Size O, Size H, Real* workspace) {
    using P = ForwardPanel<Readout, Real>;
    const Size panels = num_panels(O, P::width);
    for (Size p = 0; p < panels; ++p) {
        multiply_rows<Readout>(workspace, packed + p * P::width, h,
                               packed + panels * P::width + p * P::elements(H), B, H,
                               forward_columns<Readout, Real>(p, O));
        const Size first = p * P::width;
        for (Size r = 0; r < B; ++r) {
            std::memcpy(y + r * O + first, workspace + r * P::width,
                        smaller(P::width, O - first) * sizeof(Real));
        }
    }
}

}  // namespace
}  // namespace throughtime
