// The choice of a variant, made once per process, and of the number of threads, made per call.
#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "team.h"

namespace throughtime {

// Defined by variant.cpp, once per instruction set.
extern const Variant avx2, neon, plain;

namespace {

std::vector<const Variant*> find_variants() {
    std::vector<const Variant*> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2);
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
        self.kernel(self.job, member);
    }
};

template <class Job>
void run(const Job& job, void (*kernel)(const Job&, const Member&), int threads) {
    const Run<Job> task{job, kernel};
    run_team(team_size(threads, job.sizes.D), Run<Job>::work, &task);
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
    const Variant* variant = chosen().load();
    if constexpr (std::is_same_v<Real, double>) {
        return variant->in_double;
    } else {
        return variant->in_float;
    }
}

template <class Real>
void run_forward(CellKind cell, const Forward<Real>& job, int threads) {
    run(job, chosen_functions<Real>().forward[int(cell)], threads);
}

template <class Real>
void run_backward(CellKind cell, const Backward<Real>& job, int threads) {
    run(job, chosen_functions<Real>().backward[int(cell)], threads);
}

Size workspace_elements(CellKind cell, bool is_double, Size B, Size D, Size H, int threads) {
    const auto elements = is_double ? chosen_functions<double>().workspace_elements[int(cell)]
                                    : chosen_functions<float>().workspace_elements[int(cell)];
    return elements(B, D, H, std::max(threads, 1));
}

int choose_threads(CellKind cell, Size B, Size D, Size H, int most) {
    // A thread does some 50 multiply-adds a nanosecond at best, half of that when B is small.
    const double multiply_adds = double(B) * num_gates[int(cell)] * double(H) * double(H);
    const double step_us = multiply_adds / 25e3;
    // A barrier takes a tenth of a microsecond, but a second thread of ours competes with torch's
    // threads, which spin for milliseconds after the projection: short steps are better off alone.
    const double enough_us = 10;
    const double threads_per_direction = std::max(1.0, step_us / enough_us);
    const int limit = std::max(1, int(most / D));
    if (D > 1 && (most < D || step_us < enough_us)) return 1;
    return int(D) * int(std::min(double(limit), threads_per_direction));
}

template const Functions<float>& chosen_functions<float>();
template const Functions<double>& chosen_functions<double>();
template void run_forward<float>(CellKind, const Forward<float>&, int);
template void run_forward<double>(CellKind, const Forward<double>&, int);
template void run_backward<float>(CellKind, const Backward<float>&, int);
template void run_backward<double>(CellKind, const Backward<double>&, int);

}  // namespace throughtime
