// Threads, and how they wait. Compiled once, without the flags of any instruction set.
#include "team.h"

#include <dlfcn.h>
#include <pthread.h>

#include <system_error>
#include <thread>
#include <vector>

namespace throughtime {
namespace {

// Spins before a member sleeps: some 200 microseconds. That is longer than waking it takes, up to
// 100 on a virtual machine: two members of less patience would put each other to sleep in turn, at
// every step from then on.
constexpr int patience = 10'000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Returns once value is no longer `old`. Who waits long sleeps rather than yields: a member whose
// processor other work has taken then costs one delay, not one at every step.
template <class T>
void wait_while(const std::atomic<T>& value, T old) {
    for (int spins = 0; value.load(std::memory_order_acquire) == old; ++spins) {
        if (spins < patience) {
            pause();
        } else {
            value.wait(old, std::memory_order_acquire);
        }
    }
}

// OpenMP as GCC calls it, in the library that torch has loaded for all; LLVM's has the same names.
struct Pool {
    void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags);
    int (*num_threads)();
    int (*thread_num)();
    bool is_there;
};

const Pool& torch_pool() {
    static const Pool pool = [] {
        Pool found{};
        const auto find = [](auto& function, const char* name) {
            function =
                reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(RTLD_DEFAULT, name));
            return function != nullptr;
        };
        found.is_there = find(found.parallel, "GOMP_parallel") &&
                         find(found.num_threads, "omp_get_num_threads") &&
                         find(found.thread_num, "omp_get_thread_num");
        return found;
    }();
    return pool;
}

// A forked child has lost the pool's threads, and the pool does not know. It is watched from the
// start, since torch may have used its pool before we do.
std::atomic<bool> is_forked{false};
[[maybe_unused]] const int watching =
    pthread_atfork(nullptr, nullptr, [] { is_forked.store(true); });

struct Team {
    void (*work)(const void*, const Member&);
    const void* job;
    Barrier barriers[2];
};

void run_in_pool(const Pool& pool, int threads, Team& team) {
    pool.parallel(
        [](void* data) {
            Team& team = *static_cast<Team*>(data);
            const Pool& pool = torch_pool();
            team.work(team.job, {pool.thread_num(), pool.num_threads(), team.barriers});
        },
        &team, unsigned(threads), 0);
}

void run_in_new_threads(int threads, Team& team) {
    std::atomic<int> count{0};  // how many are in the team, once that is known
    std::vector<std::thread> others;
    others.reserve(threads - 1);
    try {
        for (int index = 1; index < threads; ++index) {
            others.emplace_back([&, index] {
                wait_while(count, 0);
                team.work(team.job, {index, count.load(std::memory_order_relaxed), team.barriers});
            });
        }
    } catch (const std::system_error&) {
        // No more threads to be had: those that run share the work.
    }
    const int members = int(others.size()) + 1;
    count.store(members, std::memory_order_release);
    count.notify_all();
    team.work(team.job, {0, members, team.barriers});
    for (std::thread& other : others) other.join();
}

}  // namespace

void Barrier::wait(int members) {
    if (members == 1) return;
    // Nobody can begin the next round before this member arrived, so that the count read here
    // holds.
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
        arrived_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        round_.notify_all();
    } else {
        wait_while(round_, round);
    }
}

void Progress::reach(int count) {
    reached_.store(count, std::memory_order_release);
    reached_.notify_all();
}

void Progress::wait_for(int count) const {
    for (int reached; (reached = reached_.load(std::memory_order_acquire)) < count;) {
        wait_while(reached_, reached);
    }
}

void run_team(int threads, void (*work)(const void* job, const Member& member), const void* job) {
    Team team{work, job, {}};
    if (threads <= 1) return work(job, {0, 1, team.barriers});
    const Pool& pool = torch_pool();
    if (pool.is_there && !is_forked.load()) {
        run_in_pool(pool, threads, team);
    } else {
        run_in_new_threads(threads, team);
    }
}

}  // namespace throughtime
