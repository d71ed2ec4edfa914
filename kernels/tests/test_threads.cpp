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

// Layers at the same time, each reading what the one below writes meanwhile.
void test_a_wave_is_one_layer_after_the_other(CellKind cell, int num_layers) {
    const Case job{cell, 50, 2, 9, 9};
    const RowTables tables = tables_of(job);
    std::vector<Tensors<float>> layers(num_layers, draw<float>(job));
    std::vector<Layer> packed(num_layers);
    std::vector<Forward<float>> jobs;
    std::vector<Weights<float>> weights;
    std::vector<PackedCopy*> copies;
    for (int l = 0; l < num_layers; ++l) {
        make_room(job, layers[l]);
        jobs.push_back(forward_job(job, layers[l], tables));
        if (l > 0) jobs[l].x = layers[l - 1].y.data();
        weights.push_back(weights_of(job, layers[l])[0]);
        copies.push_back(&packed[l].forward);
    }
    run_wave<float>(cell, jobs, weights.data(), copies, 2);
    const std::vector<float> together = layers.back().y;
    for (int l = 0; l < num_layers; ++l) {
        run_pass<float>(cell, jobs[l], &weights[l], *copies[l], 1);
    }
    CHECK(layers.back().y == together, job.name() + " as a wave");
}

// Then it is not left behind as one that somebody else is still writing.
void test_a_copy_that_failed_is_made_again() {
    PackedCopy copy;
    const auto fingerprint = [] { return std::uint64_t(1); };
    try {
        copy.use(fingerprint, 64, [](void*) { throw std::bad_alloc(); });
    } catch (const std::bad_alloc&) {
    }
    int num_packed = 0;
    for (int call = 0; call < 2; ++call) copy.use(fingerprint, 64, [&](void*) { ++num_packed; });
    CHECK(num_packed == 1, "a copy after one that failed");
}

// With the input 0 and the state 0 every step of every caller gives the same.
void test_callers_share_a_stream(CellKind cell) {
    Case job{cell, 1, 2, 5, 9};
    job.bias = false;
    const Tensors<float> tensors = draw<float>(job);
    Session<float> session(job.B);
    session.add_layer(cell, weights_of(job, tensors)[0], job.I, job.H, job.P());
    const std::vector<float> zeros(job.B * job.I), expected(job.B * job.H);
    int num_wrong[num_callers] = {};
    at_once([&](int index) {
        std::vector<float> y(expected.size(), 7);
        for (int call = 0; call < 100; ++call) {
            session.step(zeros.data(), y.data());
            session.reset({index % job.B});
            num_wrong[index] += y != expected;
        }
    });
    for (const int wrong : num_wrong) CHECK(wrong == 0, job.name() + " of several streamers");
}

}  // namespace

void test_threads() {
    test_a_copy_that_failed_is_made_again();
    for (const CellKind cell : every_cell) {
        test_callers_share_a_layer(cell);
        test_callers_share_a_stream(cell);
        for (const int layers : {1, 2, 3, 4})
            test_a_wave_is_one_layer_after_the_other(cell, layers);
    }
}

}  // namespace throughtime
