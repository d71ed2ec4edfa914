// Calls of fixed shapes, to count their instructions: kernel_count 3 makes the third call within
// `counted`, kernel_count alone names them all. tests/kernel_counts.py runs it under callgrind.
#include <cstdio>
#include <cstdlib>

#include "run.h"
#include "session.h"

extern "C" __attribute__((noinline)) void counted(void (*call)(void*), void* data) {
    call(data);
    asm volatile("");  // keeps the call from becoming a jump, whose end callgrind would miss
}

namespace throughtime {
namespace {

int wanted = 0, num_calls = 0;

// Once to pack the weights and to load what is loaded late, then once to be counted.
template <class Body>
void count(const std::string& name, Body body) {
    if (wanted == 0) std::printf("%s\n", name.c_str());
    if (++num_calls != wanted) return;
    body();
    counted([](void* data) { (*static_cast<Body*>(data))(); }, &body);
}

void count_layer(const Case& job) {
    Tensors<float> tensors = draw<float>(job);
    make_room(job, tensors);
    Layer layer;
    run_forward(job, tensors, layer);  // what the backward run reads
    count(job.name() + " forward", [&] { run_forward(job, tensors, layer); });
    count(job.name() + " backward", [&] { run_backward(job, tensors, layer); });
}

void count_stream(const Case& job) {
    Tensors<float> tensors = draw<float>(job);
    make_room(job, tensors);
    Session<float> session(job.B);
    session.add_layer(job.cell, weights_of(job, tensors)[0], job.I, job.H, job.P());
    count(job.name() + " stream", [&] { session.step(tensors.x.data(), tensors.y.data()); });
}

}  // namespace
}  // namespace throughtime

int main(int num_arguments, char** arguments) {
    using namespace throughtime;
    if (!choose_variant("avx2")) {
        std::printf("not counted: this processor lacks AVX2\n");
        return 77;
    }
    if (num_arguments > 1) wanted = std::atoi(arguments[1]);
    if (wanted == 0) std::printf("%s\n", __VERSION__);
    for (const CellKind cell : {CellKind::elman_tanh, CellKind::lstm, CellKind::gru}) {
        count_layer({cell, 20, 1, 64, 64});
        count_layer({cell, 20, 8, 100, 100});
        count_stream({cell, 1, 1, 64, 64});
    }
}
