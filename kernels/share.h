// Sharing things out: panels to threads, vectors to panels and strips.
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

}  // namespace
}  // namespace throughtime
