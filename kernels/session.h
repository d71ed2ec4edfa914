// A stack of layers and a readout that live from step to step: the state of one stream.
#pragma once

#include <mutex>
#include <vector>

#include "dispatch.h"

namespace throughtime {

template <class Real>
class Session {
  public:
    // For `rows` streams side by side, in the variant that is chosen now.
    explicit Session(Size rows);

    // Puts a layer on top; its weights are copied. Shares and g as in StreamStep.
    void add_layer(CellKind cell, const Weights<Real>& weights, Size I, Size H,
                   Real keep_h_share = 0, Real keep_c_share = 0,
                   Nonlinearity g = Nonlinearity::tanh);

    // Ends the stack with y = W h + b.
    void add_readout(const Real* weight, const Real* bias, Size O, Size H);

    // Feeds x [rows, inputs] and writes y [rows, outputs].
    void step(const Real* x, Real* y);

    // The states of these rows become 0, between two steps.
    void reset(const std::vector<Size>& rows);

    // All states one after the other: of every layer h [rows, H] and, of an LSTM, c [rows, H].
    void read_state(Real* to);
    void write_state(const Real* from);

    Size rows() const { return rows_; }
    Size inputs() const { return layers_.empty() ? 0 : layers_.front().sizes.I; }
    Size outputs() const;
    Size state_elements() const;

    // Numbers of weights that a step reads: how long it will take.
    Size num_weights() const;

  private:
    struct Layer {
        CellKind cell;
        Sizes sizes;
        Real keep_h_share, keep_c_share;
        Nonlinearity g;
        Buffer packed, state, peepholes;  // state: h, the other h, c
        bool has_c() const { return has_cell_state[int(cell)]; }
        Size elements() const { return sizes.B * sizes.H; }
        Real* h(Size which) const { return static_cast<Real*>(state.data()) + which * elements(); }
        Real* c() const { return h(2); }
    };

    // Calls body(layer, its numbers) for h and c of every layer, in the order of the state.
    template <class Body>
    void for_states(Body body);

    Size rows_, newest_ = 0;  // which of the two h
    const Functions<Real>& functions_;
    std::vector<Layer> layers_;
    Buffer readout_, workspace_;
    Size readout_outputs_ = 0;
    std::mutex one_at_a_time_;
};

}  // namespace throughtime
