// Copies the recurrent weights into panels, once per call.
//
// Forward: the gates of a unit stand side by side, so that the cell's arithmetic finds all of
// them in one place. Backward: the product with the transpose, whose columns are the units.
// Units beyond H, which fill up the last panel, get weights of 0.
#pragma once

#include "product.h"

namespace throughtime {
namespace {

// Panels [begin, end) of a product of `columns` columns.
struct Share {
    Size begin, end;
};

constexpr Size num_panels(Size columns, Size width) {
    return (columns + width - 1) / width;
}

// The share of member `index` of `count`, as even as whole panels allow.
constexpr Share share_of(Size panels, int index, int count) {
    return {panels * index / count, panels * (index + 1) / count};
}

// packed [panels, 1+H, UV, G, lanes] · weight_hh [G, H, H] · bias_hh [G, H] or null
// One panel holds UV vectors of units.
template <int G, int UV, class Real>
void pack_forward(Real* packed, const Real* weight_hh, const Real* bias_hh, Share share, Size H) {
    using P = Panel<Real, G * UV>;
    constexpr Size line = 64 / sizeof(Real);  // numbers of a cache line, read together
    for (Size p = share.begin; p < share.end; ++p) {
        Real* panel = packed + p * P::elements(H);
        for (Size k0 = 0; k0 < H; k0 += line) {
            for (Size column = 0; column < P::width; ++column) {
                const Size vector = column / lanes<Real>, g = vector % G;
                const Size u = (p * UV + vector / G) * lanes<Real> + column % lanes<Real>;
                const Real* row = weight_hh + (g * H + u) * H;
                Real* to = panel + column;
                if (k0 == 0) to[0] = u < H && bias_hh ? bias_hh[g * H + u] : Real(0);
                for (Size k = k0; k < smaller(k0 + line, H); ++k) {
                    to[(1 + k) * P::width] = u < H ? row[k] : Real(0);
                }
            }
        }
    }
}

// packed [panels, 1+G*H, NV, lanes] · weight_hh [G*H, H]
template <int NV, class Real>
void pack_backward(Real* packed, const Real* weight_hh, Share share, Size G, Size H) {
    using P = Panel<Real, NV>;
    for (Size p = share.begin; p < share.end; ++p) {
        Real* to = packed + p * P::elements(G * H);
        const Size u = p * P::width, units = smaller(P::width, H - u);
        std::memset(to, 0, P::width * sizeof(Real));  // no bias
        for (Size k = 0; k < G * H; ++k) {
            to += P::width;
            std::memcpy(to, weight_hh + k * H + u, units * sizeof(Real));
            std::memset(to + units, 0, (P::width - units) * sizeof(Real));
        }
    }
}

}  // namespace
}  // namespace throughtime
