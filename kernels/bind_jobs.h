// The jobs of the kernels out of lists of addresses, in the order of _kernels.pyi.
#pragma once

#include "bind_pointers.h"
#include "kernels.h"
#include "memory.h"

namespace throughtime {

inline constexpr Size num_weights = 8;  // of a direction, in the order of Weights

// What a call is about beside its tensors.
struct CallFacts {
    CellKind kind;
    Nonlinearity g;
    Sizes sizes;
    Rows rows;
    double keep_h_share, keep_c_share;
};

// By direction.
template <class Real>
std::vector<Weights<Real>> weights_of(const std::vector<Address>& addresses, Size D) {
    std::vector<Weights<Real>> weights;
    Pointers<const Real> next(addresses);
    for (Size d = 0; d < D; ++d) {
        weights.push_back({next(), next(), next(), next(), next(), next(), next(), next()});
    }
    return weights;
}

// All but where the weights are packed, and room.
template <class Real>
Forward<Real> forward_job(const std::vector<Address>& tensors, const CallFacts& call) {
    Pointers<Real> next(tensors);
    Forward<Real> job{.y = next(),
                      .h_n = next(),
                      .c_n = next(),
                      .c = next(),
                      .gates = next(),
                      .x = next(),
                      .h0 = next(),
                      .c0 = next(),
                      .h_fresh = next(),
                      .c_fresh = next(),
                      .mask = next(),
                      .keep_h = next(),
                      .keep_c = next(),
                      .normalised = next(),
                      .scales = next(),
                      .keep_h_share = Real(call.keep_h_share),
                      .keep_c_share = Real(call.keep_c_share),
                      .g = call.g,
                      .packed = nullptr,
                      .peepholes = {},
                      .sizes = call.sizes,
                      .rows = call.rows,
                      .workspace = nullptr,
                      .x_done = nullptr,
                      .y_done = nullptr};
    const std::size_t kept = job.sizes.N * call.sizes.D * call.sizes.H * sizeof(Real);
    advise_huge_pages(job.y, job.sizes.N * call.sizes.D * call.sizes.P * sizeof(Real));
    advise_huge_pages(job.c, kept);
    advise_huge_pages(job.gates, num_saved[int(call.kind)] * kept);
    advise_huge_pages(job.normalised, 2 * num_gates[int(call.kind)] * kept);
    return job;
}

// The same, and but for sums that go on from call to call.
template <class Real>
Backward<Real> backward_job(const std::vector<Address>& gradients,
                            const std::vector<Address>& tensors, const CallFacts& call) {
    Pointers<Real> next(tensors), gradient(gradients);
    Backward<Real> job{.weights = {},
                       .sums = nullptr,
                       .adds = false,
                       .dx = next(),
                       .dh0 = next(),
                       .dc0 = next(),
                       .dh_fresh = next(),
                       .dc_fresh = next(),
                       .dh_all = next(),
                       .dc_all = next(),
                       .dz_all = next(),
                       .dy = next(),
                       .dc = next(),
                       .dh_n = next(),
                       .dc_n = next(),
                       .x = next(),
                       .y = next(),
                       .c = next(),
                       .gates = next(),
                       .h0 = next(),
                       .c0 = next(),
                       .h_fresh = next(),
                       .c_fresh = next(),
                       .mask = next(),
                       .keep_h = next(),
                       .keep_c = next(),
                       .normalised = next(),
                       .scales = next(),
                       .keep_h_share = Real(call.keep_h_share),
                       .keep_c_share = Real(call.keep_c_share),
                       .g = call.g,
                       .packed = nullptr,
                       .peepholes = {},
                       .sizes = call.sizes,
                       .rows = call.rows,
                       .workspace = nullptr};
    for (Size d = 0; d < call.sizes.D; ++d) {
        job.weights[d] = {gradient(), gradient(), gradient(), gradient(),
                          gradient(), gradient(), gradient(), gradient()};
    }
    // of the adjoints, which lie in one piece
    const Size width =
        call.sizes.P + (job.dc_all ? call.sizes.H : 0) + num_gates[int(call.kind)] * call.sizes.H;
    advise_huge_pages(job.dh_all, job.sizes.N * call.sizes.D * width * sizeof(Real));
    return job;
}

}  // namespace throughtime
