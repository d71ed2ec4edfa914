// Streams: a stack of two layers and a readout, step by step, against the definition.
#include "check.h"
#include "reference.h"
#include "run.h"
#include "session.h"
#include "tests.h"

namespace throughtime {
namespace {

constexpr Size O = 3;  // outputs of the readout

// y [T, B, O] = W h + b
std::vector<double> read_out(const std::vector<double>& h, const std::vector<double>& weight,
                             const std::vector<double>& bias, Size H) {
    std::vector<double> y;
    for (const double* row = h.data(); row < h.data() + h.size(); row += H) {
        for (Size o = 0; o < O; ++o) {
            double sum = bias[o];
            for (Size k = 0; k < H; ++k) sum += weight[o * H + k] * row[k];
            y.push_back(sum);
        }
    }
    return y;
}

// A stream begins with zeros.
Tensors<double> draw_layer(const Case& job) {
    Tensors<double> tensors = draw<double>(job);
    for (auto* state : {&tensors.h0, &tensors.c0}) std::fill(state->begin(), state->end(), 0);
    return tensors;
}

void test_session(CellKind cell, Size B, Size H, double keep_h_share) {
    Case first{cell, 6, B, 3, H}, second{cell, 6, B, H, H + 2};
    second.keep_h_share = keep_h_share, second.keep_c_share = keep_h_share / 2;
    second.has_peepholes = second.is_lstm() && keep_h_share > 0;
    Tensors<double> lower = draw_layer(first), upper = draw_layer(second);
    const std::vector<double> weight(&upper.dy[0], &upper.dy[0] + O * second.H), bias{0.5, -1, 2};
    run_reference(first, lower, std::vector<double>(lower.dy.size(), 1));
    upper.x = lower.y;
    run_reference(second, upper, std::vector<double>(upper.dy.size(), 1));
    const std::vector<double> expected = read_out(upper.y, weight, bias, second.H);

    Session<double> session(B);
    session.add_layer(cell, weights_of(first, lower)[0], first.I, first.H);
    session.add_layer(cell, weights_of(second, upper)[0], second.I, second.H, second.keep_h_share,
                      second.keep_c_share);
    session.add_readout(weight.data(), bias.data(), O, second.H);
    std::vector<double> y(B * O), state(session.state_elements());
    const auto agrees = [&](Size t) {
        session.step(lower.x.data() + t * B * first.I, y.data());
        double error = 0;
        for (Size k = 0; k < B * O; ++k) {
            error = std::max(error, std::abs(y[k] - expected[t * B * O + k]));
        }
        return error < 1e-12;
    };
    for (Size t = 0; t < 3; ++t) CHECK(agrees(t), first.name() + " as a stream");
    session.read_state(state.data());
    for (Size t = 3; t < 6; ++t) CHECK(agrees(t), first.name() + " as a stream");
    session.write_state(state.data());
    CHECK(agrees(3), first.name() + " from a state that was read");
    for (Size b = 0; b < B; ++b) session.reset({b});
    CHECK(agrees(0), first.name() + " after a reset");
}

}  // namespace

void test_sessions() {
    for (const CellKind cell : every_cell) {
        for (const Size B : {1, 2, 7}) {
            for (const Size H : {1, 5, 33, 100}) {
                for (const double share : {0.0, 0.25}) test_session(cell, B, H, share);
            }
        }
    }
}

}  // namespace throughtime
