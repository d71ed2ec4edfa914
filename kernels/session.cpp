// Streams: buffers that are allocated once, and a step that only computes.
#include "session.h"

#include <algorithm>
#include <cstring>

#include "denormals.h"
#include "team.h"

namespace throughtime {

template <class Real>
Session<Real>::Session(Size rows)
    : rows_(rows), functions_(chosen_functions<Real>()), workspace_(rows * 1024) {}

template <class Real>
void Session<Real>::add_layer(CellKind cell, const Weights<Real>& weights, Size I, Size H, Size P,
                              Real keep_h_share, Real keep_c_share, Nonlinearity g) {
    const std::lock_guard lock(one_at_a_time_);
    const Sizes sizes{rows_, 1, rows_, 1, I, H, P};
    const CellFunctions<Real>& functions = functions_.cells[int(cell)];
    Layer layer{cell,
                sizes,
                keep_h_share,
                keep_c_share,
                g,
                Buffer(functions.forward.packed(sizes) * sizeof(Real)),
                Buffer(rows_ * (2 * P + H) * sizeof(Real)),
                Buffer(weights.peepholes ? num_peepholes[int(cell)] * H * sizeof(Real) : 0)};
    if (weights.peepholes) {
        std::memcpy(layer.peepholes.data(), weights.peepholes, layer.peepholes.bytes());
    }
    functions.forward.pack({static_cast<Real*>(layer.packed.data()), {weights}, sizes},
                           {0, 1, nullptr});
    std::memset(layer.state.data(), 0, layer.state.bytes());
    const std::size_t room = functions.stream_workspace(sizes) * sizeof(Real);
    if (room > workspace_.bytes()) workspace_ = Buffer(room);
    layers_.push_back(std::move(layer));
}

template <class Real>
void Session<Real>::add_readout(const Real* weight, const Real* bias, Size O, Size H) {
    const std::lock_guard lock(one_at_a_time_);
    readout_ = Buffer(functions_.readout.packed(O, H) * sizeof(Real));
    functions_.readout.pack(static_cast<Real*>(readout_.data()), weight, bias, O, H);
    readout_outputs_ = O;
}

template <class Real>
void Session<Real>::step(const Real* x, Real* y) {
    const std::lock_guard lock(one_at_a_time_);
    const FlushDenormals flush;
    Real* workspace = static_cast<Real*>(workspace_.data());
    const Size next = 1 - newest_;
    for (const Layer& layer : layers_) {
        functions_.cells[int(layer.cell)].stream_step(
            {layer.h(next), layer.c(), x, layer.h(newest_), layer.keep_h_share, layer.keep_c_share,
             layer.g, static_cast<Real*>(layer.packed.data()),
             layer.peepholes.bytes() ? static_cast<Real*>(layer.peepholes.data()) : nullptr,
             layer.sizes, next, workspace});
        x = layer.h(next);
    }
    newest_ = next;
    const Layer& top = layers_.back();
    if (readout_outputs_ > 0) {
        functions_.readout.run(y, x, static_cast<Real*>(readout_.data()), rows_, readout_outputs_,
                               top.sizes.P, workspace);
    } else {
        std::memcpy(y, x, top.h_elements() * sizeof(Real));
    }
}

template <class Real>
template <class Body>
void Session<Real>::for_states(Body body) {
    for (Layer& layer : layers_) {
        body(layer.sizes.P, layer.h(newest_));
        if (layer.has_c()) body(layer.sizes.H, layer.c());
    }
}

template <class Real>
void Session<Real>::reset(const std::vector<Size>& rows) {
    const std::lock_guard lock(one_at_a_time_);
    for_states([&](Size row, Real* state) {
        for (const Size r : rows) std::fill_n(state + r * row, row, Real(0));
    });
}

template <class Real>
void Session<Real>::read_state(Real* to) {
    const std::lock_guard lock(one_at_a_time_);
    for_states([&](Size row, const Real* state) { to = std::copy_n(state, rows_ * row, to); });
}

template <class Real>
void Session<Real>::write_state(const Real* from) {
    const std::lock_guard lock(one_at_a_time_);
    for_states([&](Size row, Real* state) {
        std::copy_n(from, rows_ * row, state);
        from += rows_ * row;
    });
}

template <class Real>
Size Session<Real>::outputs() const {
    if (readout_outputs_ > 0) return readout_outputs_;
    return layers_.empty() ? 0 : layers_.back().sizes.P;
}

template <class Real>
Size Session<Real>::state_elements() const {
    Size elements = 0;
    for (const Layer& layer : layers_) elements += layer.h_elements() + layer.c_elements();
    return elements;
}

template <class Real>
Size Session<Real>::num_weights() const {
    std::size_t bytes = readout_.bytes();
    for (const Layer& layer : layers_) bytes += layer.packed.bytes();
    return Size(bytes / sizeof(Real));
}

template class Session<float>;
template class Session<double>;

}  // namespace throughtime
