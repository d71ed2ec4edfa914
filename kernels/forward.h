// A whole sequence forward: the loop over time, generic over the cell.
//
// Time runs in blocks of steps. A block's inputs are projected in one product, z = W_ih x + b_ih;
// then each step adds W_hh h + b_hh and leaves the rest to the cell. The states live in small
// buffers, in the order of the rows (states.h).
//
// The members of a direction's group share its rows, which are independent of each other, or, when
// those are few or the weights many, its units, in whole panels. A step needs all units of the
// state before, so the group then meets at a barrier once per step, and again before a second
// product or LayerNorm, which read what all members wrote.
#pragma once

#include "layernorm.h"
#include "options.h"
#include "pack.h"
#include "states.h"
#include "step.h"
#include "units.h"

namespace throughtime {
namespace {

template <class Cell, class Real, bool has_options>
class ForwardRun {
    using Inputs = ForwardPanel<Cell, Real>;
    using First = ForwardPanel<FirstGates<Cell>, Real>;
    using Second = ForwardPanel<Linear, Real>;
    static constexpr Size block_rows = 128;  // enough to read each weight rarely
    static constexpr Size wave_rows = 16;    // soon enough for who waits for y

  public:
    // Lays out the buffers; with a workspace of null it only counts them.
    ForwardRun(const Forward<Real>& job, Size d, const Member& member, Room<Real> room)
        : job(job),
          at{job.sizes, job.rows, d},
          group(group_for(member, {d, 0, job.sizes.D, 1})),
          options(job.keep_h, job.keep_c, job.keep_h_share, job.keep_c_share, job.peepholes[d],
                  has_second<Cell>(job.sizes)),
          packed(forward_layout<Cell, Real>(job.sizes)),
          panels(job.sizes.H),
          weights(job.packed + d * packed.elements) {
        const Sizes& sizes = job.sizes;
        const Size B = sizes.B, R = larger(B, block_rows), num = packed.panels_hh;
        x_stride = row_stride<Real>(sizes.I);
        z_panel = R * Inputs::width;
        // what the members of a group share, or have one each
        const bool by_rows = shares_rows<Real>(sizes, Cell::G, member);
        const Size pieces = by_rows ? member.count : sizes.D, piece = by_rows ? member.index : d;
        const Size rows = by_rows ? num_panels(B, member.count / sizes.D) : B;
        const auto take = [&](Size elements) {
            return room.take(pieces * elements) + piece * elements;
        };
        states.lay_out(job, rows, take);
        m = has_second_product() ? take(rows * states.stride) : nullptr;
        z = take(num * z_panel);
        x = room.take(member.count * R * x_stride) + member.index * R * x_stride;
        const auto take_own = [&](Size elements) {
            return room.take(member.count * elements) + member.index * elements;
        };
        a = take_own(B * Inputs::width);
        if (normalises()) norms = {sizes, rows, R, weights, packed, take, take_own};
        used = room.used;
        if (group.count == 0) return;
        if (by_rows) {
            at.first = group.index;
            at.every = group.count;
            group = {0, 1, nullptr};
        }
        mine = share_of(num, group.index, group.count);
        states.units = panels.units_of(mine);
        states.values = states.units;
        if (!has_second_product()) return;
        mine_second = share_of(packed.panels_second, group.index, group.count);
        states.values = UnitPanels<Linear, Real>(sizes.P).units_of(mine_second);
    }

    Size elements() const { return used; }

    void run() {
        if (group.count == 0) return;
        states.start(job, at);
        if (normalises()) std::memset(norms.zeros, 0, Inputs::width * sizeof(Real));
        group.meet();
        const bool is_wave = job.x_done || job.y_done;
        int blocks = 0;
        for (Size i = 0; i < job.sizes.T;) {
            const Block block = at.block_from(i, is_wave ? wave_rows : block_rows);
            ++blocks;
            if (job.x_done) job.x_done->wait_for(blocks);
            project(block);
            for (Size row = 0; i < block.end; row += at.active(i++)) {
                step(i, row);
                group.meet();
            }
            if (job.y_done) job.y_done->reach(blocks);
        }
        if (normalises()) finish_bypass();
    }

  private:
    bool normalises() const { return has_options && job.sizes.normalises; }
    bool has_second_product() const { return has_options && has_second<Cell>(job.sizes); }

    // z of all rows of the block, for this member's panels
    void project(const Block& block) {
        const Size I = job.sizes.I;
        at.for_rows(block, [&](Size i, Size r, Size n) {
            if (I == 0) return;  // x may be null, and memcpy refuses that even for no bytes
            std::memcpy(x + n * x_stride, job.x + at.place(i, r) * I, I * sizeof(Real));
        });
        const Real* biases = weights + packed.at_bias_ih;
        for (Size p = mine.begin; p < mine.end; ++p) {
            Inputs::with_columns(panels.columns(p), [&](auto used) {
                const Real* start = normalises() ? norms.zeros : biases + p * Inputs::width;
                used.multiply({z + p * z_panel, Inputs::width}, {start, 0}, {x, x_stride},
                              weights + p * Inputs::elements(I), block.rows, I);
            });
            panels.spread_gates(z + p * z_panel, Inputs::width, p, block.rows);
        }
        if (!normalises()) return;
        group.meet();
        norms.of_z.take_moments(z, z_panel, block.rows, job.sizes.H);
    }

    // Step i, whose rows begin at `row` in the block.
    void step(Size i, Size row) {
        const Size active = at.active(i);
        if (active == 0) return;
        if (normalises()) {
            normalised_step(i, row, active);
        } else {
            const Real* biases = weights + packed.at_bias_hh;
            const bool single = is_single(i);
            to_and_fro(mine, i, [&](Size p) __attribute__((always_inline)) {
                product_of_state(a, biases + p * First::width, i, p, active, single);
                unit_steps(i, p, active, z + p * z_panel + row * Inputs::width);
            });
        }
        if constexpr (can_have_second<Cell>) {
            if (has_second_product()) second_half(i, row, active);
        }
        states.finish_step(job, at, i);
    }

    // One row of all, whoever its member is: the bits are those of one thread.
    bool is_single(Size i) const { return job.rows.active[at.time(i)] == 1; }

    // out [rows, width] = start + W_hh h for panel p
    ALWAYS_INLINE void product_of_state(Real* out, const Real* start, Size i, Size p, Size active,
                                        bool single) {
        constexpr int G = FirstGates<Cell>::G;
        First::template multiply_step<G>(panels.template columns<G>(p), single, {out, First::width},
                                         {start, 0}, {states.read[i % 2], states.stride},
                                         weights + packed.at_hh + p * First::elements(job.sizes.P),
                                         active, job.sizes.P);
        panels.template spread_gates<G>(out, First::width, p, active);
    }

    // The same with LayerNorm: a row's gates follow all of its products, of all members.
    APART void normalised_step(Size i, Size row, Size active) {
        const Size H = job.sizes.H;
        to_and_fro(mine, i, [&](Size p) {
            product_of_state(norms.product + p * norms.a_panel, norms.zeros, i, p, active,
                             is_single(i));
        });
        group.meet();
        norms.of_a.take_moments(norms.product, norms.a_panel, active, H);
        for (Size r = 0; job.scales && group.index == 0 && r < active; ++r) {
            job.scales[2 * at.kept(i, r)] = norms.of_z.scale(row + r);
            job.scales[2 * at.kept(i, r) + 1] = norms.of_a.scale(r);
        }
        const auto saved = [&](Size which) {
            return [=, this, to = job.normalised](Size r) {
                return to ? to + (2 * at.kept(i, r) + which) * Cell::G * H : nullptr;
            };
        };
        for (Size p = mine.begin; p < mine.end; ++p) {
            norms.of_z.normalise(norms.normalised_z, z + p * z_panel, p, {row, row + active}, H,
                                 saved(0));
            norms.of_a.normalise(a, norms.product + p * norms.a_panel, p, {0, active}, H, saved(1));
            unit_steps(i, p, active, norms.normalised_z);
        }
    }

    // The cell's arithmetic for panel p.
    ALWAYS_INLINE void unit_steps(Size i, Size p, Size active, Real* z_p) {
        const auto [first, end] = panels.units_of(p);
        for_units<Real>(first, end, [&, first = first](auto units, Size u) {
            const auto step_of_row = [&](Size r) __attribute__((always_inline)) {
                return step_of(i, r, u, a + r * First::width + (u - first) * FirstGates<Cell>::G,
                               z_p + r * Inputs::width + (u - first) * Cell::G);
            };
            for (Size r = 0; Cell::prepares && r < active; ++r) {
                options.prepare(units, step_of_row(r), u);
            }
            for (Size r = 0; r < active; ++r) finish_units(units, step_of_row(r), i, r, u);
        });
    }

    // The second half of it for a vector of units, u and following, of row r.
    template <class Units>
    ALWAYS_INLINE void finish_units(Units units, const Step<Real>& step, Size i, Size r, Size u) {
        const Size H = job.sizes.H, kept = at.kept(i, r), state = r * states.stride + u;
        const Vec<Real> result = options.forward(units, step, kept * H + u);
        if (has_second_product()) {
            const Size masks = at.state(r) * job.sizes.P + u;
            const bool is_masked = Cell::G_second > 0 && job.mask;
            units.store(m + state, is_masked ? result * units.load(job.mask + masks) : result);
        } else {
            keep_h(units, i, state, kept * H + u, result);
        }
        if (Cell::has_c && job.c) units.store(job.c + kept * H + u, units.load(step.c));
    }

    ALWAYS_INLINE Step<Real> step_of(Size i, Size r, Size u, Real* a_u, Real* z_u) const {
        const Size H = job.sizes.H, kept = at.kept(i, r), state = r * states.stride + u;
        Step<Real> step{a_u, z_u, states.h[i % 2] + state, nullptr, nullptr, nullptr, H, job.g};
        if (Cell::has_c) step.c = states.c + state;
        if (job.gates) step.gates = job.gates + kept * Cell::S * H + u;
        return step;
    }

    // `at_y` in the axes [N, D, P]
    template <class Units>
    ALWAYS_INLINE void keep_h(Units units, Size i, Size state, Size at_y, Vec<Real> h_new) {
        units.store(states.h[(i + 1) % 2] + state, h_new);
        units.store(job.y + at_y, h_new);
    }

    // h from the second product, W m + b, once all units of m are there.
    APART void second_half(Size i, Size row, Size active) {
        const Size H = job.sizes.H, values = job.sizes.P;
        const UnitPanels<Linear, Real> values_in(values);
        group.meet();
        for (Size p = mine_second.begin; p < mine_second.end; ++p) {
            Second::multiply_step(values_in.columns(p), is_single(i), {a, Second::width},
                                  {weights + packed.at_bias_second + p * Second::width, 0},
                                  {m, states.stride},
                                  weights + packed.at_second + p * Second::elements(H), active, H);
            const auto [first, end] = values_in.units_of(p);
            for_units<Real>(first, end, [&, first = first](auto units, Size u) {
                for (Size r = 0; r < active; ++r) {
                    Real* a_u = a + r * Second::width + u - first;
                    const Size state = r * states.stride + u, at_y = at.kept(i, r) * values + u;
                    const auto step = step_of(i, r, u, a_u, z_at(row + r, u));
                    keep_h(units, i, state, at_y, options.forward_second(units, step, at_y));
                }
            });
        }
    }

    // Where z of the gates of a vector of units is, in a row of the block.
    Real* z_at(Size row, Size u) const {
        const Size p = panels.panel_of(u), first = panels.units_of(p).begin;
        return z + p * z_panel + row * Inputs::width + (u - first) * Cell::G;
    }

    const Forward<Real>& job;
    Direction at;
    Group group;
    Options<Cell, Real, has_options> options;
    Packed packed;
    UnitPanels<Cell, Real> panels;
    const Real* weights;          // packed, of this direction
    Share mine{}, mine_second{};  // panels
    States<Cell, Real, has_options> states;
    Size x_stride, z_panel, used;
    Real* m;  // [B, H] what the second product reads, or null
    Real* z;  // [panels, R, width]
    Real* x;  // [R, I] of this member
    Real* a;  // [B, width] of this member
    ForwardNorms<Cell, Real> norms;
};

template <class Cell, class Real>
Size forward_workspace(const Sizes& sizes, int threads) {
    Forward<Real> job{};
    job.sizes = sizes;
    return most_elements(threads, [&](const Member& member) {
        return ForwardRun<Cell, Real, true>(job, 0, member, {nullptr}).elements();
    });
}

// One member's part of a forward run.
template <class Cell, class Real>
void forward(const Forward<Real>& job, const Member& member) {
    for (Size d = 0; d < job.sizes.D; ++d) {
        with_or_without<Cell>(has_options<Cell>(job, d), [&](auto options) {
            ForwardRun<Cell, Real, options>(job, d, member, {job.workspace}).run();
        });
    }
}

}  // namespace
}  // namespace throughtime
