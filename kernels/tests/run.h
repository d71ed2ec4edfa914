// The kernels on a case's tensors, through the border that the Python module uses.
#pragma once

#include <limits>

#include "case.h"
#include "dispatch.h"
#include "lengths.h"

namespace throughtime {

// The packed weights of one layer, as the module keeps them.
struct Layer {
    PackedCopy forward, backward;
};

// Makes room for what comes out. Nobody writes to what has places where a row has ended: 0.
template <class Real>
void make_room(const Case& job, Tensors<Real>& tensors) {
    for_outputs(job, tensors, [&](const char*, std::vector<Real>& tensor, Size elements) {
        const std::vector<Real>* placed[] = {&tensors.y, &tensors.dx, &tensors.dh_all,
                                             &tensors.dc_all, &tensors.dz_all};
        const bool has_padding = std::count(std::begin(placed), std::end(placed), &tensor) > 0;
        tensor.assign(elements, has_padding ? 0 : std::numeric_limits<Real>::quiet_NaN());
    });
    tensors.c.resize(job.is_lstm() ? job.N() * job.D * job.H : 0);
    tensors.gates.resize(job.N() * job.D * job.S() * job.H);
    tensors.normalised.resize(job.normalises ? 2 * job.N() * job.D * job.G() * job.H : 0);
    tensors.scales.resize(job.normalises ? 2 * job.N() * job.D : 0);
}

inline RowTables tables_of(const Case& job) {
    if (!job.batch_sizes.empty()) return RowTables::packed(job.batch_sizes.data(), job.T);
    return RowTables::dense(job.T, job.B, job.batch_first,
                            job.lengths.empty() ? nullptr : job.lengths.data());
}

inline Sizes sizes_of(const Case& job) {
    return {job.N(), job.T, job.B, job.D, job.I, job.H, job.P(), job.normalises};
}

// Null where the tensor is empty.
template <class Real>
std::vector<Weights<Real>> weights_of(const Case& job, const Tensors<Real>& tensors) {
    std::vector<Weights<Real>> weights;
    for (Size d = 0; d < job.D; ++d) {
        const auto& w = tensors.weights[d];
        weights.push_back({w[0].data(), w[1].data(), w[2].data(), w[3].data(), w[4].data(),
                           w[5].data(), w[6].data(), w[7].data()});
    }
    return weights;
}

template <class Real>
Forward<Real> forward_job(const Case& job, Tensors<Real>& tensors, const RowTables& tables) {
    return {.y = tensors.y.data(),
            .h_n = tensors.h_n.data(),
            .c_n = tensors.c_n.data(),
            .c = tensors.c.data(),
            .gates = tensors.gates.data(),
            .x = tensors.x.data(),
            .h0 = tensors.h0.data(),
            .c0 = tensors.c0.data(),
            .h_fresh = tensors.h_fresh.data(),
            .c_fresh = tensors.c_fresh.data(),
            .mask = tensors.mask.data(),
            .keep_h = tensors.keep_h.data(),
            .keep_c = tensors.keep_c.data(),
            .normalised = tensors.normalised.data(),
            .scales = tensors.scales.data(),
            .keep_h_share = Real(job.keep_h_share),
            .keep_c_share = Real(job.keep_c_share),
            .g = job.g,
            .packed = nullptr,
            .peepholes = {},
            .sizes = sizes_of(job),
            .rows = tables.rows(tensors.reset.data()),
            .workspace = nullptr,
            .x_done = nullptr,
            .y_done = nullptr};
}

template <class Real>
void run_forward(const Case& job, Tensors<Real>& tensors, Layer& layer) {
    const RowTables tables = tables_of(job);
    run_pass<Real>(job.cell, forward_job(job, tensors, tables), weights_of(job, tensors).data(),
                   layer.forward, job.threads);
}

template <class Real>
Backward<Real> backward_job(const Case& job, Tensors<Real>& tensors, const RowTables& tables) {
    Backward<Real> backward{.weights = {},
                            .sums = nullptr,
                            .adds = false,
                            .dx = tensors.dx.data(),
                            .dh0 = tensors.dh0.data(),
                            .dc0 = tensors.dc0.data(),
                            .dh_fresh = tensors.dh_fresh.data(),
                            .dc_fresh = tensors.dc_fresh.data(),
                            .dh_all = tensors.dh_all.data(),
                            .dc_all = tensors.dc_all.data(),
                            .dz_all = tensors.dz_all.data(),
                            .dy = tensors.dy.data(),
                            .dc = tensors.dc.data(),
                            .dh_n = tensors.dh_n.data(),
                            .dc_n = tensors.dc_n.data(),
                            .x = tensors.x.data(),
                            .y = tensors.y.data(),
                            .c = tensors.c.data(),
                            .gates = tensors.gates.data(),
                            .h0 = tensors.h0.data(),
                            .c0 = tensors.c0.data(),
                            .h_fresh = tensors.h_fresh.data(),
                            .c_fresh = tensors.c_fresh.data(),
                            .mask = tensors.mask.data(),
                            .keep_h = tensors.keep_h.data(),
                            .keep_c = tensors.keep_c.data(),
                            .normalised = tensors.normalised.data(),
                            .scales = tensors.scales.data(),
                            .keep_h_share = Real(job.keep_h_share),
                            .keep_c_share = Real(job.keep_c_share),
                            .g = job.g,
                            .packed = nullptr,
                            .peepholes = {},
                            .sizes = sizes_of(job),
                            .rows = tables.rows(tensors.reset.data()),
                            .workspace = nullptr};
    for (Size d = 0; d < job.D; ++d) {
        auto& dw = tensors.dweights[d];
        backward.weights[d] = {dw[0].data(), dw[1].data(), dw[2].data(), dw[3].data(),
                               dw[4].data(), dw[5].data(), dw[6].data(), dw[7].data()};
    }
    return backward;
}

template <class Real>
void run_backward(const Case& job, Tensors<Real>& tensors, Layer& layer) {
    const RowTables tables = tables_of(job);
    run_pass<Real>(job.cell, backward_job(job, tensors, tables), weights_of(job, tensors).data(),
                   layer.backward, job.threads);
}

}  // namespace throughtime
