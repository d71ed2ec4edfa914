// Callers that meet on one layer or one stream: every one gets the numbers of a call alone.
#include <thread>

#include "check.h"
#include "run.h"
#include "session.h"
#include "tests.h"

namespace throughtime {
namespace {

constexpr int num_callers = 4, num_calls = 8;

// Calls body(index) in several threads at once.
template <class Body>
void at_once(Body body) {
    std::vector<std::thread> callers;
    for (int index = 0; index < num_callers; ++index)
        callers.emplace_back([&, index] { body(index); });
    for (std::thread& caller : callers) caller.join();
}

// Half of the callers bring other weights, so that the packed copy is made anew while it is read.
void test_callers_share_a_layer(CellKind cell) {
    const Case job{cell, 12, 3, 5, 40, 2, 2};
    Tensors<float> alone[2] = {draw<float>(job), draw<float>(job)};
    alone[1].weights[1][1][7] += 1;
    for (Tensors<float>& tensors : alone) {
        Layer layer;
        make_room(job, tensors);
        run_forward(job, tensors, layer);
        run_backward(job, tensors, layer);
    }
    Layer layer;
    int num_wrong[num_callers] = {};
    at_once([&](int index) {
        const Tensors<float>& expected = alone[index % 2];
        Tensors<float> tensors = expected;
        for (int call = 0; call < num_calls; ++call) {
            make_room(job, tensors);
            run_forward(job, tensors, layer);
            run_backward(job, tensors, layer);
            num_wrong[index] += tensors.y != expected.y || tensors.dx != expected.dx ||
                                tensors.dweights[1][1] != expected.dweights[1][1];
        }
    });
    for (const int wrong : num_wrong) CHECK(wrong == 0, job.name() + " of several callers");
}

// With the input 0 and the state 0 every step of every caller gives the same.
void test_callers_share_a_stream(CellKind cell) {
    Case job{cell, 1, 2, 5, 9};
    job.bias = false;
    const Tensors<float> tensors = draw<float>(job);
    Session<float> session(job.B);
    session.add_layer(cell, weights_of(job, tensors)[0], job.I, job.H);
    const std::vector<float> zeros(job.B * job.I), expected(job.B * job.H);
    int num_wrong[num_callers] = {};
    at_once([&](int index) {
        std::vector<float> y(expected.size(), 7);
        for (int call = 0; call < 100; ++call) {
            session.step(zeros.data(), y.data());
            session.reset(index % job.B);
            num_wrong[index] += y != expected;
        }
    });
    for (const int wrong : num_wrong) CHECK(wrong == 0, job.name() + " of several streamers");
}

}  // namespace

void test_threads() {
    for (const CellKind cell : every_cell) {
        test_callers_share_a_layer(cell);
        test_callers_share_a_stream(cell);
    }
}

}  // namespace throughtime
