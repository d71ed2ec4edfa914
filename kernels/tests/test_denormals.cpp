// Numbers below the smallest normal one: 0 within a call, and the caller's business outside it.
#include "check.h"
#include "denormals.h"
#include "run.h"
#include "session.h"
#include "tests.h"

namespace throughtime {
namespace {

constexpr float smallest_normal = std::numeric_limits<float>::min();

// h = relu(0.5 h_before) falls below 1e-38 after some 130 steps.
Case decay(int threads) {
    Case job{CellKind::elman_relu, 200, 2, 0, 40, 1, threads};
    job.bias = false;
    return job;
}

Tensors<float> draw_decay(const Case& job) {
    Tensors<float> tensors = draw<float>(job);
    std::fill(tensors.h0.begin(), tensors.h0.end(), 1.0f);
    for (Size m = 0; m < job.H; ++m) {
        for (Size k = 0; k < job.H; ++k) tensors.weights[0][1][m * job.H + k] = m == k ? 0.5f : 0;
    }
    make_room(job, tensors);
    return tensors;
}

void test_a_state_that_decays(int threads) {
    const Case job = decay(threads);
    Tensors<float> tensors = draw_decay(job);
    Layer layer;
    run_forward(job, tensors, layer);
    int num_denormal = 0, num_wrong = 0;
    for (Size t = 0; t < job.T; ++t) {
        for (Size k = 0; k < job.B * job.H; ++k) {
            const float h = tensors.y[t * job.B * job.H + k];
            num_denormal += h != 0 && std::abs(h) < smallest_normal;
            num_wrong += !(std::abs(h - std::ldexp(1.0, -int(t) - 1)) < 1e-37);
        }
    }
    CHECK(num_wrong == 0, job.name() + " decaying");
    if (flush_bits) CHECK(num_denormal == 0, job.name() + " decaying");
}

// Whoever calls finds the setting that was there, whichever it was.
void test_the_callers_setting_is_restored() {
    const std::uint64_t usual = read_control();
    const Case job = decay(3);
    Tensors<float> tensors = draw_decay(job);
    Session<float> session(job.B);
    const Tensors<float> stream = draw<float>(Case{CellKind::gru, 1, 2, 2, 5});
    session.add_layer(CellKind::gru, weights_of({CellKind::gru}, stream)[0], 2, 5, 5);
    for (const std::uint64_t setting : {usual, usual | flush_bits}) {
        write_control(setting);
        Layer layer;
        run_forward(job, tensors, layer);
        const bool after_forward = read_control() == setting;
        run_backward(job, tensors, layer);
        const bool after_backward = read_control() == setting;
        session.step(stream.x.data(), tensors.y.data());
        const bool after_step = read_control() == setting;
        try {
            const FlushDenormals flush;
            throw 1;
        } catch (int) {
        }
        const bool after_exception = read_control() == setting;
        write_control(usual);
        CHECK(after_forward && after_backward && after_step && after_exception, "the caller");
    }
}

}  // namespace

void test_denormals() {
    for (const int threads : {1, 2}) test_a_state_that_decays(threads);
    test_the_callers_setting_is_restored();
}

}  // namespace throughtime
