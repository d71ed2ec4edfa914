// Where one direction finds its rows: the order of the steps and the addresses.
//
// Direction 0 visits t = 0, ..., T-1, direction 1 the other way round; i counts the steps as they
// are visited. A row that ended is not visited: forward it leaves early, in reverse it joins late.
#pragma once

#include "share.h"
#include "team.h"
#include "units.h"

namespace throughtime {
namespace {

// Steps [begin, end) in the order of visiting, which have `rows` rows together.
struct Block {
    Size begin, end, rows;
};

struct Direction {
    const Sizes& sizes;
    const Rows& rows;
    Size d;
    // Row r here is row first + r * every of all: what one member of several sees.
    Size first = 0, every = 1;

    Size time(Size i) const { return d == 0 ? i : sizes.T - 1 - i; }

    Size active(Size i) const { return of_mine(rows.active[time(i)]); }

    Size batch_size() const { return of_mine(sizes.B); }

    // How many of the first `count` rows of all are rows here.
    Size of_mine(Size count) const {
        return every == 1 ? count : (count - first + every - 1) / every;
    }

    // Rows that come from the step visited before; the rows behind them begin here.
    Size carried(Size i) const { return i == 0 ? 0 : smaller(active(i), active(i - 1)); }

    // Rows that go on to the step visited next; for the rows behind them step i is the last.
    Size continuing(Size i) const { return i + 1 == sizes.T ? 0 : carried(i + 1); }

    Size of_all(Size r) const { return first + r * every; }

    Size batch(Size r) const { return rows.batch ? rows.batch[of_all(r)] : of_all(r); }

    // Index of row r of step i in the axis N.
    Size place(Size i, Size r) const { return rows.first[time(i)] + batch(r) * rows.stride; }

    // The same in the axes [N, D] of what is kept over time.
    Size kept(Size i, Size r) const { return place(i, r) * sizes.D + d; }

    // Index of row r in the axes [D, B] of a state.
    Size state(Size r) const { return d * sizes.B + batch(r); }

    // Whether row r begins afresh between the step visited before and step i. A reset at t stands
    // between t-1 and t, whichever way one comes.
    bool is_fresh(Size i, Size r) const {
        if (!rows.reset) return false;
        if (d == 0) return rows.reset[place(i, r)];
        return r < carried(i) && rows.reset[place(i - 1, r)];
    }

    // As many steps from `begin` on as have at most `most` rows together; one in any case.
    Block block_from(Size begin, Size most) const {
        Block block{begin, begin + 1, active(begin)};
        while (block.end < sizes.T && block.rows + active(block.end) <= most) {
            block.rows += active(block.end++);
        }
        return block;
    }

    // The same for the steps that end with `end`.
    Block block_to(Size end, Size most) const {
        Block block{end - 1, end, active(end - 1)};
        while (block.begin > 0 && block.rows + active(block.begin - 1) <= most) {
            block.rows += active(--block.begin);
        }
        return block;
    }

    // Calls body(i, r, n) for every row of the block, n = 0, 1, ...
    template <class Body>
    void for_rows(const Block& block, Body body) const {
        Size n = 0;
        for (Size i = block.begin; i < block.end; ++i) {
            for (Size r = 0; r < active(i); ++r) body(i, r, n++);
        }
    }
};

// The members of a team that share one direction, and the place of this member among them.
struct Group {
    int index, count;
    Barrier* barrier;

    void meet() const {
        if (count > 1) barrier->wait(index, count);
    }
};

// Work that needs no other: one of `parts` parts of the rows of one of D directions.
struct Task {
    Size direction, part, directions, parts;

    Size index() const { return part * directions + direction; }
    Size count() const { return directions * parts; }
};

static_assert(Member::num_barriers > 2 * most_parts(1 << 20),
              "a barrier for every task, and one for all");

// With several threads every task has its own, as far as they go; tasks never wait for each other.
inline Group group_for(const Member& member, const Task& task) {
    const Size index = task.index(), count = task.count();
    Barrier* barrier = member.count == 1 ? nullptr : &member.barriers[index];
    if (count == 1) return {member.index, member.count, barrier};
    if (member.index % count != index % member.count) return {0, 0, nullptr};
    const Size members = (member.count - index + count - 1) / count;
    return {int(member.index / count), int(larger(1, members)), barrier};
}

// Whether the recurrent weights of a direction stay in a core's own cache.
template <class Real>
constexpr bool stay_near(const Sizes& sizes, Size G) {
    return G * sizes.H * sizes.H * Size(sizeof(Real)) <= 1 << 20;
}

// Whether the members of a group share the rows of a step rather than its units. They need not
// meet at every step then, but each reads all weights, which rows enough must make worth while:
// more where the weights come from a shared cache.
template <class Real>
bool shares_rows(const Sizes& sizes, Size G, const Member& member) {
    const Size least_rows = stay_near<Real>(sizes, G) ? 3 : 8;
    const Size count = member.count / sizes.D;  // of a group
    return count > 1 && member.count % sizes.D == 0 && sizes.B >= least_rows * count;
}

// The most that elements(member) gives for a team of `threads`, or of fewer if no more are to be
// had.
template <class Elements>
Size most_elements(int threads, Elements elements) {
    Size most = 0;
    for (int count = 1; count <= threads; ++count) {
        most = larger(most, elements(Member{0, count, nullptr}));
    }
    return most;
}

// Distance between rows of a buffer: not a power of two, whose rows would all meet in one corner
// of a cache.
template <class Real>
constexpr Size row_stride(Size columns) {
    constexpr Size line = 64 / sizeof(Real);
    return (columns + line - 1) / line * line + line;
}

// Hands out pieces of the workspace, each from a multiple of 64 bytes on. Without a workspace it
// only counts.
template <class Real>
struct Room {
    Real* base;
    Size used = 0;

    Real* take(Size elements) {
        constexpr Size line = 64 / sizeof(Real);
        Real* piece = base ? base + used : nullptr;
        used += (elements + line - 1) / line * line;
        return piece;
    }
};

}  // namespace
}  // namespace throughtime
