// Sharing things out: panels to threads, vectors to panels and strips; and in which order.
#pragma once

#include "kernels.h"

namespace throughtime {
namespace {

// Things [begin, end) of some that are shared out.
struct Share {
    Size begin, end;
};

// The share of number `index` of `count`, as even as whole things allow.
constexpr Share share_of(Size things, Size index, Size count) {
    return {things * index / count, things * (index + 1) / count};
}

// Calls body(thing) for every thing of the share, at even steps from its begin and at odd ones from
// its end: a cache that cannot hold all of them still holds those that were read last.
template <class Body>
inline void to_and_fro(Share share, Size step, Body body) {
    for (Size k = share.begin; k < share.end; ++k) {
        body(step % 2 == 0 ? k : share.begin + share.end - 1 - k);
    }
}

}  // namespace
}  // namespace throughtime
