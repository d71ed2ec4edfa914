// A call on its way to the kernels: the variant, the number of threads, the packed weights, the
// workspace. And the machine's rates, measured with the same threads.
#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>

#include "denormals.h"
#include "team.h"

namespace throughtime {

// Defined by variant.cpp, once per instruction set.
extern const Variant avx512, avx2, neon, plain;

namespace {

std::vector<const Variant*> find_variants() {
    std::vector<const Variant*> found;
#if defined(__x86_64__)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (has_avx2 && has_avx512) found.push_back(&avx512);
    if (has_avx2) found.push_back(&avx2);
    found.push_back(&plain);
#elif defined(__aarch64__)
    found.push_back(&neon);
#else
    found.push_back(&plain);
#endif
    return found;
}

const std::vector<const Variant*>& variants() {
    static const std::vector<const Variant*> found = find_variants();
    return found;
}

std::atomic<const Variant*>& chosen() {
    static std::atomic<const Variant*> variant{variants().front()};
    return variant;
}

const Functions<float>& functions_in(const Variant& variant, float) {
    return variant.in_float;
}
const Functions<double>& functions_in(const Variant& variant, double) {
    return variant.in_double;
}

// With two directions the threads form two groups of one size.
int team_size(int threads, Size D) {
    return threads > 1 ? std::max(1, int(threads / D * D)) : 1;
}

// A job and the kernel for it, as run_team takes them.
template <class Job>
struct Run {
    const Job& job;
    void (*kernel)(const Job&, const Member&);

    static void work(const void* run, const Member& member) {
        const Run& self = *static_cast<const Run*>(run);
        const FlushDenormals flush;
        self.kernel(self.job, member);
    }
};

template <class Job>
void run(const Job& job, void (*kernel)(const Job&, const Member&), int threads) {
    const Run<Job> task{job, kernel};
    run_team(threads, Run<Job>::work, &task);
}

// One number for all weights of a layer that are packed, in the packing of one variant: from those
// of pieces, which several threads read, since weights beyond a cache take as long as some steps.
template <class Real>
std::uint64_t fingerprint(const Variant& variant, const Weights<Real>* weights, const Sizes& sizes,
                          Size rows, int threads) {
    constexpr Size piece = 64 * 1024, worth_a_team = 16;
    struct Job {
        std::uint64_t (*fingerprint)(const void* from, Size bytes);
        std::vector<std::pair<const Real*, Size>> pieces;
        mutable std::vector<std::uint64_t> found;
    } job{variant.fingerprint, {}, {}};
    const auto add = [&](const Real* from, Size elements) {
        if (!from) elements = 0;
        for (Size k = 0; k < std::max<Size>(elements, 1); k += piece) {
            job.pieces.emplace_back(from + k, std::min(piece, elements - k));
        }
    };
    for (Size d = 0; d < sizes.D; ++d) {
        add(weights[d].weight_ih, rows * sizes.I);
        add(weights[d].weight_hh, rows * sizes.P);
        add(weights[d].bias_ih, rows);
        add(weights[d].bias_hh, rows);
        if (weights[d].weight_hr) add(weights[d].weight_hr, sizes.P * sizes.H);
        if (!sizes.normalises) continue;
        add(weights[d].norm_ih, rows);
        add(weights[d].norm_hh, rows);
    }
    const Size num = job.pieces.size();
    job.found.resize(num);
    const auto kernel = [](const Job& job, const Member& member) {
        const Size num = job.pieces.size(), count = member.count;
        for (Size k = num * member.index / count; k < num * (member.index + 1) / count; ++k) {
            const auto [from, elements] = job.pieces[k];
            job.found[k] = job.fingerprint(from, elements * Size(sizeof(Real)));
        }
    };
    run<Job>(job, kernel, num < worth_a_team ? 1 : threads);
    std::uint64_t all = reinterpret_cast<std::uintptr_t>(&variant);
    for (const std::uint64_t one : job.found) {
        all = (all ^ one) * 0x9E3779B97F4A7C15u;
        all ^= all >> 31;
    }
    return all;
}

template <class Real>
const Pass<Real, Forward<Real>>& pass_for(const CellFunctions<Real>& cell, const Forward<Real>&) {
    return cell.forward;
}
template <class Real>
const Pass<Real, Backward<Real>>& pass_for(const CellFunctions<Real>& cell, const Backward<Real>&) {
    return cell.backward;
}

}  // namespace

std::vector<std::string> known_variants() {
    std::vector<std::string> names;
    for (const Variant* variant : variants()) names.push_back(variant->name);
    return names;
}

std::string chosen_variant() {
    return chosen().load()->name;
}

bool choose_variant(const std::string& name) {
    for (const Variant* variant : variants()) {
        if (variant->name != name) continue;
        chosen().store(variant);
        return true;
    }
    return false;
}

template <class Real>
const Functions<Real>& chosen_functions() {
    return functions_in(*chosen().load(), Real{});
}

namespace {

// A job with the weights and the workspace it needs.
template <class Real, class Job>
struct Ready {
    PackedCopy::Use packed;
    Workspace workspace;
    Job job;
    void (*kernel)(const Job&, const Member&);
};

template <class Real, class Job>
Ready<Real, Job> make_ready(CellKind cell, Job job, const Weights<Real>* weights, PackedCopy& copy,
                            int threads) {
    const Variant& variant = *chosen().load();
    const auto& pass = pass_for(functions_in(variant, Real{}).cells[int(cell)], job);
    job.sizes.normalises = weights[0].norm_ih != nullptr;
    const Sizes& sizes = job.sizes;
    const auto tell = [&] {
        return fingerprint(variant, weights, sizes, num_gates[int(cell)] * sizes.H, threads);
    };
    auto packed = copy.use(tell, pass.packed(sizes) * sizeof(Real), [&](void* to) {
        Pack<Real> packing{static_cast<Real*>(to), {}, sizes};
        std::copy_n(weights, sizes.D, packing.weights);
        run(packing, pass.pack, threads);
    });
    Workspace workspace(pass.workspace(sizes, threads) * sizeof(Real));
    job.packed = static_cast<const Real*>(packed.data());
    for (Size d = 0; d < sizes.D; ++d) job.peepholes[d] = weights[d].peepholes;
    job.workspace = static_cast<Real*>(workspace.data());
    return {std::move(packed), std::move(workspace), job, pass.run};
}

}  // namespace

template <class Real, class Job>
void run_pass(CellKind cell, Job job, const Weights<Real>* weights, PackedCopy& copy, int threads) {
    threads = team_size(threads, job.sizes.D);
    const auto ready = make_ready(cell, job, weights, copy, threads);
    run(ready.job, ready.kernel, threads);
}

template <class Real>
void run_wave(CellKind cell, std::vector<Forward<Real>> jobs, const Weights<Real>* weights,
              const std::vector<PackedCopy*>& copies, int threads) {
    using Wave = std::vector<Ready<Real, Forward<Real>>>;
    const std::size_t num_layers = jobs.size();
    std::vector<Progress> done(num_layers);
    Wave wave;
    for (std::size_t l = 0; l < num_layers; ++l) {
        jobs[l].x_done = l > 0 ? &done[l - 1] : nullptr;
        jobs[l].y_done = &done[l];
        wave.push_back(make_ready(cell, jobs[l], weights + l, *copies[l], 1));
    }
    const auto kernel = [](const Wave& wave, const Member& member) {
        for (std::size_t l = member.index; l < wave.size(); l += member.count) {
            wave[l].kernel(wave[l].job, {0, 1, nullptr});
        }
    };
    run<Wave>(wave, kernel, threads);
}

int choose_wave_threads(CellKind cell, Size T, Size B, Size H, int layers, int most) {
    // Every thread reads all weights of its layer, and waits for some blocks at the beginning.
    constexpr Size cached = 64 * 1024, enough_rows = 100, least_rows_to_share = 3;
    if (num_gates[int(cell)] * H * H > cached || T * B < enough_rows) return 1;
    int threads = std::min(layers, most);
    while (layers % threads != 0) --threads;  // no thread has a layer more than another
    return B < least_rows_to_share * threads ? threads : 1;
}

int choose_threads(CellKind cell, Size T, Size B, Size D, Size H, int most) {
    // A thread does some 25 multiply-adds a nanosecond when B is small, twice that at best.
    const double step_us = double(B) * num_gates[int(cell)] * double(H) * double(H) / 25e3;
    // What one more thread must be given: its barrier at every step, its start at every call.
    const double enough_per_step_us = 0.2, enough_per_call_us = 5;
    if (most < D || T * step_us < enough_per_call_us) return 1;
    const double per_direction = std::max(1.0, step_us / enough_per_step_us);
    return int(D) * int(std::min(per_direction, double(most / D)));
}

// The rate of a team is the sum of its members' rates: what one did by the time it took.
template <class Body>
double rate_of_team(int threads, Body body) {
    struct Timed {
        Body& body;
        std::vector<double> rates;
    } timed{body, std::vector<double>(std::max(threads, 1))};
    run_team(
        threads,
        [](const void* job, const Member& member) {
            Timed& timed = *const_cast<Timed*>(static_cast<const Timed*>(job));
            member.meet();
            const auto start = std::chrono::steady_clock::now();
            const double done = timed.body(member.index);
            const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
            timed.rates[member.index] = done / passed.count();
        },
        &timed);
    return std::accumulate(timed.rates.begin(), timed.rates.end(), 0.0);
}

double measure_operations(int threads) {
    const Variant& variant = *chosen().load();
    const auto run = [&](int) {
        float out[16];
        return variant.multiply_adds(1'000'000, out);
    };
    return rate_of_team(threads, run);
}

double measure_reading(Size bytes, int threads) {
    const Variant& variant = *chosen().load();
    std::vector<Buffer> buffers;
    for (int index = 0; index < std::max(threads, 1); ++index) {
        buffers.emplace_back(bytes);
        std::memset(buffers.back().data(), 0, bytes);
    }
    const Size rounds = std::max<Size>(1, 50'000'000 / bytes);
    const auto run = [&](int index) {
        float out[16];
        const float* from = static_cast<const float*>(buffers[index].data());
        variant.read_through(from, bytes, 1, out);
        return variant.read_through(from, bytes, rounds, out);
    };
    return rate_of_team(threads, run);
}

template const Functions<float>& chosen_functions<float>();
template const Functions<double>& chosen_functions<double>();
template void run_pass(CellKind, Forward<float>, const Weights<float>*, PackedCopy&, int);
template void run_pass(CellKind, Forward<double>, const Weights<double>*, PackedCopy&, int);
template void run_wave(CellKind, std::vector<Forward<float>>, const Weights<float>*,
                       const std::vector<PackedCopy*>&, int);
template void run_wave(CellKind, std::vector<Forward<double>>, const Weights<double>*,
                       const std::vector<PackedCopy*>&, int);
template void run_pass(CellKind, Backward<float>, const Weights<float>*, PackedCopy&, int);
template void run_pass(CellKind, Backward<double>, const Weights<double>*, PackedCopy&, int);

}  // namespace throughtime
