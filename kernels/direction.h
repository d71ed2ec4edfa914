// Where one direction finds its rows: the order of the steps and the addresses.
//
// Direction 0 visits t = 0, ..., T-1, direction 1 the other way round; i counts the steps as they
// are visited. A row that ended is not visited: forward it leaves early, in reverse it joins late.
#pragma once

#include "pack.h"
#include "team.h"

namespace throughtime {
namespace {

struct Direction {
    Sizes sizes;
    Size d;

    Size time(Size i) const { return d == 0 ? i : sizes.T - 1 - i; }

    Size active(Size i) const { return sizes.offset[time(i) + 1] - sizes.offset[time(i)]; }

    // Rows that come from the step visited before; the rows behind them start from h0 and c0.
    Size carried(Size i) const { return i == 0 ? 0 : smaller(active(i), active(i - 1)); }

    // Rows that go on to the step visited next; for the rows behind them step i is the last.
    Size continuing(Size i) const { return i + 1 == sizes.T ? 0 : carried(i + 1); }

    // Index of row r of step i in the axes [N, D] of everything that is kept over time.
    Size place(Size i, Size r) const { return (sizes.offset[time(i)] + r) * sizes.D + d; }

    // Offset of row r in a state [D, B, H].
    Size state(Size r) const { return (d * sizes.B + r) * sizes.H; }

    // The state that row r of step i starts from: of the step before, or the initial one.
    template <class Real>
    const Real* before(const Real* over_time, const Real* initial, Size i, Size r) const {
        return r < carried(i) ? over_time + place(i - 1, r) * sizes.H : initial + state(r);
    }
};

// The members of a team that share one direction, and the place of this member among them.
struct Group {
    int index, count;
    Barrier* barrier;
};

// With several threads every direction has its own, which never wait for the other direction.
inline Group group_for(const Member& member, Size d, Size D) {
    if (D == 1 || member.count == 1) return {member.index, member.count, &member.barriers[d]};
    if (member.index % D != d) return {0, 0, nullptr};
    return {int(member.index / D), int((member.count - d + D - 1) / D), &member.barriers[d]};
}

// One buffer of the caller: the packed weights of every direction, then a tile per thread.
struct Workspace {
    Size packed, tile;  // elements of one of each

    Size elements(Size D, int threads) const { return D * packed + threads * tile; }
    Size packed_at(Size d) const { return d * packed; }
    Size tile_at(Size D, int member) const { return D * packed + member * tile; }
};

// Room for the product of B rows, K deep and `columns` wide.
template <class P>
constexpr Workspace workspace_for(Size columns, Size K, Size B) {
    return {num_panels(columns, P::width) * P::elements(K), B * P::width};
}

}  // namespace
}  // namespace throughtime
