// A case of a test: sizes, which rows there are, and the tensors it starts from.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels.h"

namespace throughtime {

struct Case {
    CellKind cell;
    Size T = 4, B = 3, I = 2, H = 5, D = 1;
    int threads = 1;
    bool batch_first = false, bias = true;
    std::vector<std::int64_t> lengths{};        // [B], or empty: all rows have T steps
    std::vector<std::int64_t> batch_sizes{};    // [T], or empty: the rows are not packed
    bool resets = false;                        // at every third place or so
    bool has_peepholes = false;                 // of an LSTM
    bool hands_in_dc = false;                   // gradients of c at every step
    bool draws_zoneout = false;                 // shares of every unit and step
    double keep_h_share = 0, keep_c_share = 0;  // of all of them
    Nonlinearity g = Nonlinearity::tanh;        // of the Elman cell with any
    bool has_mask = false;                      // of the recurrent product
    bool normalises = false;                    // LayerNorm
    Size projected = 0;                         // P of an LSTM, or 0: none
    bool hands_out = false;                     // the adjoints of every step

    Size G() const { return num_gates[int(cell)]; }
    Size S() const { return num_saved[int(cell)]; }
    Size Q() const { return num_peepholes[int(cell)]; }
    Size P() const { return projected ? projected : H; }
    bool is_lstm() const { return has_cell_state[int(cell)]; }
    bool has_zoneout() const { return draws_zoneout || keep_h_share != 0 || keep_c_share != 0; }
    bool tells_slope_from_y() const { return S() == 0; }  // so that y must be the cell's alone

    Size N() const {
        Size places = batch_sizes.empty() ? T * B : 0;
        for (const std::int64_t size : batch_sizes) places += size;
        return places;
    }

    Size length(Size b) const {
        if (batch_sizes.empty()) return lengths.empty() ? T : lengths[b];
        return std::count_if(batch_sizes.begin(), batch_sizes.end(),
                             [b](std::int64_t size) { return size > b; });
    }

    Size place(Size t, Size b) const {
        if (batch_sizes.empty()) return batch_first ? b * T + t : t * B + b;
        Size first = 0;
        for (Size s = 0; s < t; ++s) first += batch_sizes[s];
        return first + b;
    }

    std::string name() const {
        static const char* names[num_cells] = {
            "elman_tanh", "elman_relu", "lstm", "gru", "coupled_lstm", "elman", "gru_reset_before"};
        std::string text = names[int(cell)];
        const auto add = [&](const char* letter, Size size) {
            text += std::string(" ") + letter + "=" + std::to_string(size);
        };
        add("T", T), add("B", B), add("I", I), add("H", H), add("D", D), add("threads", threads);
        if (projected) add("P", projected);
        if (batch_first) text += " batch_first";
        if (!lengths.empty()) text += " lengths";
        if (!batch_sizes.empty()) text += " packed";
        if (resets) text += " resets";
        if (cell == CellKind::elman) add("g", Size(g));
        if (has_peepholes) text += " peepholes";
        if (hands_in_dc) text += " dc";
        if (draws_zoneout) text += " zoneout";
        if (has_zoneout() && !draws_zoneout) text += " zoneout in shares";
        if (has_mask) text += " mask";
        if (normalises) text += " LayerNorm";
        if (hands_out) text += " adjoints";
        return text;
    }
};

constexpr CellKind every_cell[] = {CellKind::elman_tanh,
                                   CellKind::elman_relu,
                                   CellKind::lstm,
                                   CellKind::gru,
                                   CellKind::coupled_lstm,
                                   CellKind::elman,
                                   CellKind::gru_reset_before};

// What goes in and comes out of one forward and one backward run; shapes as in kernels.h. Of
// weights the order is weight_ih, weight_hh, bias_ih, bias_hh, peepholes, norm_ih, norm_hh,
// weight_hr.
template <class Real>
struct Tensors {
    using Tensor = std::vector<Real>;
    Tensor x, h0, c0, h_fresh, c_fresh, weights[2][8], dy, dc, dh_n, dc_n;
    Tensor mask, keep_h, keep_c;
    std::vector<std::uint8_t> reset;
    Tensor y, h_n, c_n, c, gates, normalised, scales;
    Tensor dx, dh0, dc0, dh_fresh, dc_fresh, dh_all, dc_all, dz_all, dweights[2][8];
};

// Calls body(a tensor, its elements, the scale of its numbers) for everything that goes in; what
// the case does without has no elements.
template <class Real, class Body>
void for_inputs(const Case& job, Tensors<Real>& tensors, Body body) {
    const Size N = job.N(), D = job.D, H = job.H, P = job.P();
    body(tensors.x, N * job.I, 1.0);
    body(tensors.h0, D * job.B * P, 0.5);
    body(tensors.c0, D * job.B * H, 0.5);
    body(tensors.h_fresh, D * P, 0.5);
    body(tensors.c_fresh, D * H, 0.5);
    const Size rows = job.G() * H, columns[4] = {job.I, P, 1, 1};
    for (Size d = 0; d < D; ++d) {
        for (int k = 0; k < (job.bias ? 4 : 2); ++k) {
            body(tensors.weights[d][k], rows * columns[k], 1 / std::sqrt(double(columns[k] + 1)));
        }
        body(tensors.weights[d][4], job.has_peepholes ? job.Q() * H : 0, 0.7);
        for (int k : {5, 6}) body(tensors.weights[d][k], job.normalises ? rows : 0, 0.7);
        body(tensors.weights[d][7], job.projected ? P * H : 0, 1 / std::sqrt(double(H)));
    }
    body(tensors.dy, N * D * P, 1.0);
    body(tensors.dc, job.hands_in_dc ? N * D * H : 0, 1.0);
    body(tensors.dh_n, D * job.B * P, 1.0);
    body(tensors.dc_n, D * job.B * H, 1.0);
    body(tensors.mask, job.has_mask ? D * job.B * P : 0, 1.5);
    body(tensors.keep_h, job.draws_zoneout ? N * D * P : 0, 1.0);
    body(tensors.keep_c, job.draws_zoneout ? N * D * H : 0, 1.0);
}

// The same for everything that comes out.
template <class Real, class Body>
void for_outputs(const Case& job, Tensors<Real>& tensors, Body body) {
    const Size N = job.N(), D = job.D, H = job.H, P = job.P();
    body("y", tensors.y, N * D * P);
    body("h_n", tensors.h_n, D * job.B * P);
    body("dx", tensors.dx, D * N * job.I);
    body("dh0", tensors.dh0, D * job.B * P);
    body("dh_fresh", tensors.dh_fresh, D * P);
    body("dh_all", tensors.dh_all, job.hands_out ? N * D * P : 0);
    body("dz_all", tensors.dz_all, job.hands_out ? N * D * job.G() * H : 0);
    if (job.is_lstm()) {
        body("c_n", tensors.c_n, D * job.B * H);
        body("dc0", tensors.dc0, D * job.B * H);
        body("dc_fresh", tensors.dc_fresh, D * H);
        body("dc_all", tensors.dc_all, job.hands_out ? N * D * H : 0);
    }
    for (Size d = 0; d < job.D; ++d) {
        for (int k = 0; k < (job.bias ? 4 : 2); ++k) {
            body("dweights", tensors.dweights[d][k], Size(tensors.weights[d][k].size()));
        }
        body("dpeepholes", tensors.dweights[d][4], Size(tensors.weights[d][4].size()));
        body("dweight_hr", tensors.dweights[d][7], Size(tensors.weights[d][7].size()));
        for (int k : {5, 6}) {
            body("dnorms", tensors.dweights[d][k], Size(tensors.weights[d][k].size()));
        }
    }
}

template <class Real>
Tensors<Real> draw(const Case& job) {
    std::mt19937 generator(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    Tensors<Real> tensors;
    for_inputs(job, tensors, [&](std::vector<Real>& tensor, Size elements, double scale) {
        tensor.resize(elements);
        for (Real& number : tensor) number = Real(scale * uniform(generator));
    });
    for (auto* keep : {&tensors.keep_h, &tensors.keep_c}) {
        // 0 of a quarter, 1 of another
        for (Real& share : *keep) share = std::clamp(share + Real(0.5), Real(0), Real(1));
    }
    tensors.reset.resize(job.N());
    for (std::uint8_t& reset : tensors.reset) reset = job.resets && generator() % 3 == 0;
    return tensors;
}

}  // namespace throughtime
