// A whole sequence forward: the loop over time, generic over the cell.
//
// Time runs in blocks of steps. A block's inputs are projected in one product, z = W_ih x + b_ih;
// then each step adds W_hh h + b_hh and leaves the rest to the cell. The states live in two small
// buffers, the one of the step before and the one of this step, in the order of the rows; with a
// mask they hold mask * h, what the product reads, and the states stand beside them.
//
// The members of a direction's group share its rows, which are independent of each other, or, when
// those are few or the weights many, its units, in whole panels. A step needs all units of the
// state before, so the group then meets at a barrier once per step; everything else a member
// touches is its own.
#pragma once

#include "layernorm.h"
#include "options.h"
#include "pack.h"
#include "step.h"

namespace throughtime {
namespace {

template <class Cell, class Real>
class ForwardRun {
    using P = ForwardPanel<Cell, Real>;
    static constexpr Size panel_units = Cell::UV * lanes<Real>;
    static constexpr Size block_rows = 128;  // enough to read each weight rarely
    static constexpr Size wave_rows = 16;    // soon enough for who waits for y

  public:
    // Lays out the buffers; with a workspace of null it only counts them.
    ForwardRun(const Forward<Real>& job, Size d, const Member& member, Room<Real> room)
        : job(job),
          at{job.sizes, job.rows, d},
          group(group_for(member, {d, 0, job.sizes.D, 1})),
          normalises(job.sizes.normalises),
          options(job.keep_h, job.keep_c, job.keep_h_share, job.keep_c_share, job.peepholes[d]),
          packed(packed_forward<Cell, Real>(job.sizes)),
          weights(job.packed + d * packed.elements()) {
        const Sizes& sizes = job.sizes;
        const Size B = sizes.B, R = larger(B, block_rows), num = packed.panels_hh;
        h_stride = row_stride<Real>(sizes.H);
        x_stride = row_stride<Real>(sizes.I);
        z_panel = R * P::width;
        // what the members of a group share, or have one each
        const bool by_rows = shares_rows<Real>(sizes, Cell::G, member);
        const Size pieces = by_rows ? member.count : sizes.D, piece = by_rows ? member.index : d;
        const Size rows = by_rows ? num_panels(B, member.count / sizes.D) : B;
        const auto take = [&](Size elements) {
            return room.take(pieces * elements) + piece * elements;
        };
        for (Real*& state : read) state = take(rows * h_stride);
        Real* beside = take(rows * h_stride);
        for (int k : {0, 1}) h[k] = job.mask ? beside : read[k];
        c = Cell::has_c ? take(rows * h_stride) : nullptr;
        z = take(num * z_panel);
        x = room.take(member.count * R * x_stride) + member.index * R * x_stride;
        const auto take_own = [&](Size elements) {
            return room.take(member.count * elements) + member.index * elements;
        };
        a = take_own(B * P::width);
        if (normalises) {
            zeros = take_own(P::width);
            a_panel = rows * P::width;
            product = take(num * a_panel);
            normalised_z = take_own(B * P::width);
            const Real* biases = weights + packed.at_biases();
            const Size half = packed.biases / 2;
            for (int k : {0, 1}) norm[k] = {biases + k * half, packed.biases, take_own(2 * R)};
        }
        used = room.used;
        if (group.count == 0) return;
        if (by_rows) {
            at.first = group.index;
            at.every = group.count;
            group = {0, 1, nullptr};
        }
        mine = share_of(num, group.index, group.count);
        begin = mine.begin * panel_units;
        end = smaller(mine.end * panel_units, sizes.H);
    }

    Size elements() const { return used; }

    void run() {
        if (group.count == 0) return;
        start();
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
    }

  private:
    // The states before the first step; a row that has no step ends with them.
    void start() {
        for (Size r = 0; r < at.batch_size(); ++r) {
            const Size from = at.state(r), to = r * h_stride;
            const bool fresh = at.sizes.T > 0 && r < at.active(0) && at.is_fresh(0, r);
            for (Size u = begin; u < end; ++u) {
                job.h_n[from + u] = job.h0 ? job.h0[from + u] : Real(0);
                const Real first = fresh ? fresh_state(job.h_fresh, u) : job.h_n[from + u];
                h[0][to + u] = h[1][to + u] = first;
                if (!Cell::has_c) continue;
                job.c_n[from + u] = job.c0 ? job.c0[from + u] : Real(0);
                c[to + u] = fresh ? fresh_state(job.c_fresh, u) : job.c_n[from + u];
            }
        }
        for (int k = 0; job.mask && k < 2; ++k) mask_rows(k, at.batch_size());
        if (normalises) std::memset(zeros, 0, P::width * sizeof(Real));
        group.meet();
    }

    // What the product reads of the first rows.
    APART void mask_rows(Size k, Size rows) {
        for (Size r = 0; r < rows; ++r) {
            const Real* mask = job.mask + at.state(r);
            const Real* from = h[k] + r * h_stride;
            Real* to = read[k] + r * h_stride;
            for (Size u = begin; u < end; ++u) to[u] = mask[u] * from[u];
        }
    }

    Real fresh_state(const Real* state, Size u) const {
        return state ? state[at.d * job.sizes.H + u] : Real(0);
    }

    // z of all rows of the block, for this member's panels
    void project(const Block& block) {
        const Size I = job.sizes.I;
        at.for_rows(block, [&](Size i, Size r, Size n) {
            if (I == 0) return;  // x may be null, and memcpy refuses that even for no bytes
            std::memcpy(x + n * x_stride, job.x + at.place(i, r) * I, I * sizeof(Real));
        });
        const Real* biases = weights + packed.at_biases();
        for (Size p = mine.begin; p < mine.end; ++p) {
            P::template with_columns<Cell::G>(
                forward_columns<Cell, Real>(p, job.sizes.H), [&](auto used) {
                    const Real* start = normalises ? zeros : biases + p * P::width;
                    used.multiply({z + p * z_panel, P::width}, {start, 0}, {x, x_stride},
                                  weights + p * P::elements(I), block.rows, I);
                });
        }
        if (!normalises) return;
        group.meet();
        norm[0].take_moments(z, z_panel, block.rows, job.sizes.H);
    }

    // Step i, whose rows begin at `row` in the block.
    void step(Size i, Size row) {
        if (at.active(i) == 0) return;
        if (normalises) {
            normalised_step(i, row);
        } else {
            const Real* biases = weights + packed.at_biases() + packed.biases / 2;
            for (Size p = mine.begin; p < mine.end; ++p) {
                product_of_state(a, biases + p * P::width, i, p);
                const Real* z_p = z + p * z_panel + row * P::width;
                options.if_plain([&](auto is_plain) __attribute__((always_inline)) {
                    unit_steps<is_plain>(i, p, z_p);
                });
            }
        }
        finish_rows(i);
    }

    // out [rows, width] = start + W_hh h for panel p
    ALWAYS_INLINE void product_of_state(Real* out, const Real* start, Size i, Size p) {
        const Size H = job.sizes.H;
        const Real* panel = weights + packed.at_hh() + p * P::elements(H);
        P::template with_columns<Cell::G>(forward_columns<Cell, Real>(p, H), [&](auto used) {
            // one of any member: the bits are those of one thread
            if (job.rows.active[at.time(i)] == 1) {
                return used.multiply_single(out, start, read[i % 2], panel, H);
            }
            used.multiply({out, P::width}, {start, 0}, {read[i % 2], h_stride}, panel, at.active(i),
                          H);
        });
    }

    // The same with LayerNorm: a row's gates follow all of its products, of all members.
    APART void normalised_step(Size i, Size row) {
        const Size H = job.sizes.H, active = at.active(i);
        for (Size p = mine.begin; p < mine.end; ++p) {
            product_of_state(product + p * a_panel, zeros, i, p);
        }
        group.meet();
        norm[1].take_moments(product, a_panel, active, H);
        for (Size r = 0; job.scales && group.index == 0 && r < active; ++r) {
            job.scales[2 * at.kept(i, r)] = norm[0].scale(row + r);
            job.scales[2 * at.kept(i, r) + 1] = norm[1].scale(r);
        }
        const auto saved = [&](Size which) {
            return [=, this, to = job.normalised](Size r) {
                return to ? to + (2 * at.kept(i, r) + which) * Cell::G * H : nullptr;
            };
        };
        for (Size p = mine.begin; p < mine.end; ++p) {
            norm[0].normalise(normalised_z, z + p * z_panel, p, {row, row + active}, H, saved(0));
            norm[1].normalise(a, product + p * a_panel, p, {0, active}, H, saved(1));
            options.if_plain([&](auto is_plain) __attribute__((always_inline)) {
                unit_steps<is_plain>(i, p, normalised_z);
            });
        }
    }

    // The cell's arithmetic for panel p.
    template <bool is_plain>
    ALWAYS_INLINE void unit_steps(Size i, Size p, const Real* z_p) {
        const Size first = p * panel_units, active = at.active(i);
        for_units<Real>(first, smaller(first + panel_units, job.sizes.H), [&](auto units, Size u) {
            for (Size r = 0; r < active; ++r) {
                const Size offset = r * P::width + (u - first) * Cell::G;
                unit_step<is_plain>(units, i, r, u, a + offset, z_p + offset);
            }
        });
    }

    // The same for a vector of units, u and following, of row r.
    template <bool is_plain, class Units>
    ALWAYS_INLINE void unit_step(Units units, Size i, Size r, Size u, const Real* a_u,
                                 const Real* z_u) {
        const Size H = job.sizes.H, kept = at.kept(i, r), state = r * h_stride + u;
        Step<Real> step{a_u, z_u, h[i % 2] + state, nullptr, nullptr, nullptr, H, job.g};
        if (Cell::has_c) step.c = c + state;
        if (job.gates) step.gates = job.gates + kept * Cell::S * H + u;
        const Vec<Real> h_new = options.template forward<is_plain>(units, step, kept * H + u, u);
        units.store(h[(i + 1) % 2] + state, h_new);
        units.store(job.y + kept * H + u, h_new);
        if (Cell::has_c && job.c) units.store(job.c + kept * H + u, units.load(step.c));
    }

    // Keeps the last states of rows that end with step i, and begins afresh those that are reset.
    void finish_rows(Size i) {
        const Size continuing = at.continuing(i);
        Real* h_new = h[(i + 1) % 2];
        for (Size r = continuing; r < at.active(i); ++r) {
            for (Size u = begin; u < end; ++u) {
                job.h_n[at.state(r) + u] = h_new[r * h_stride + u];
                if (Cell::has_c) job.c_n[at.state(r) + u] = c[r * h_stride + u];
            }
        }
        for (Size r = 0; job.rows.reset && r < continuing; ++r) {
            if (!at.is_fresh(i + 1, r)) continue;
            for (Size u = begin; u < end; ++u) {
                h_new[r * h_stride + u] = fresh_state(job.h_fresh, u);
                if (Cell::has_c) c[r * h_stride + u] = fresh_state(job.c_fresh, u);
            }
        }
        if (job.mask) mask_rows((i + 1) % 2, at.active(i));
    }

    const Forward<Real>& job;
    Direction at;
    Group group;
    bool normalises;
    Options<Cell, Real> options;
    Packed<P> packed;
    const Real* weights;      // packed, of this direction
    Share mine{};             // panels
    Size begin = 0, end = 0;  // units
    Size h_stride, x_stride, z_panel, used;
    Real* h[2];     // [B, H] either; one buffer where there is a mask
    Real* read[2];  // [B, H] h, or mask * h
    Real* c;        // [B, H]
    Real* z;        // [panels, R, width]
    Real* x;        // [R, I] of this member
    Real* a;        // [B, width] of this member
    // with LayerNorm
    Size a_panel = 0;
    Real* zeros;                  // [width] of this member
    Real* product;                // [panels, B, width] W_hh h
    Real* normalised_z;           // [B, width] of this member
    RowNorm<Cell, Real> norm[2];  // of W_ih x, of W_hh h
};

template <class Cell, class Real>
Size forward_workspace(const Sizes& sizes, int threads) {
    return workspace_of<ForwardRun<Cell, Real>, Forward<Real>>(sizes, threads);
}

// One member's part of a forward run.
template <class Cell, class Real>
void forward(const Forward<Real>& job, const Member& member) {
    for (Size d = 0; d < job.sizes.D; ++d) {
        ForwardRun<Cell, Real>(job, d, member, {job.workspace}).run();
    }
}

}  // namespace
}  // namespace throughtime
