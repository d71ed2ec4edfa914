// Calls of fixed shapes, to count their instructions: every call of `counted` is one of the lines
// printed. tests/kernel_counts.py runs this under callgrind.
#include <cstdio>

#include "run.h"
#include "session.h"

extern "C" __attribute__((noinline)) void counted(void (*call)(void*), void* data) {
    call(data);
    asm volatile("");  // keeps the call from becoming a jump, whose end callgrind would miss
}

namespace throughtime {
namespace {

// Once to pack the weights and to load what is loaded late, then once to be counted.
template <class Body>
void count(const std::string& name, Body body) {
    body();
    std::printf("%s\n", name.c_str());
    counted([](void* data) { (*static_cast<Body*>(data))(); }, &body);
}

void count_layer(const Case& job) {
    Tensors<float> tensors = draw<float>(job);
    make_room(job, tensors);
    Layer layer;
    count(job.name() + " forward", [&] { run_forward(job, tensors, layer); });
    count(job.name() + " backward", [&] { run_backward(job, tensors, layer); });
}

void count_stream(const Case& job) {
    Tensors<float> tensors = draw<float>(job);
    make_room(job, tensors);
    Session<float> session(job.B);
    session.add_layer(job.cell, weights_of(job, tensors)[0], job.I, job.H);
    count(job.name() + " stream", [&] { session.step(tensors.x.data(), tensors.y.data()); });
}

}  // namespace
}  // namespace throughtime

int main() {
    using namespace throughtime;
    std::printf("%s\n", __VERSION__);
    if (!choose_variant("avx2")) return 77;
    for (const CellKind cell : {CellKind::elman_tanh, CellKind::lstm, CellKind::gru}) {
        count_layer({cell, 20, 1, 64, 64});
        count_layer({cell, 20, 8, 100, 100});
        count_stream({cell, 1, 1, 64, 64});
    }
}
