// Threads, and how they wait. Compiled once, without the flags of any instruction set.
#include "team.h"

#include <dlfcn.h>
#include <pthread.h>

#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

namespace throughtime {
namespace {

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
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
    std::vector<Barrier> barriers{};
    Waiting waiting{};
};

void run_in_pool(const Pool& pool, int threads, Team& team) {
    pool.parallel(
        [](void* data) {
            Team& team = *static_cast<Team*>(data);
            const Pool& pool = torch_pool();
            team.work(team.job, {pool.thread_num(), pool.num_threads(), team.barriers.data()});
        },
        &team, unsigned(threads), 0);
}

void run_in_new_threads(int threads, Team& team) {
    std::atomic<int> count{0};  // how many are in the team, once that is known
    Waiting waiting;
    std::vector<std::thread> others;
    others.reserve(threads - 1);
    try {
        for (int index = 1; index < threads; ++index) {
            others.emplace_back([&, index] {
                waiting.wait_while(count, 0);
                team.work(team.job,
                          {index, count.load(std::memory_order_relaxed), team.barriers.data()});
            });
        }
    } catch (const std::system_error&) {
        // No more threads to be had: those that run share the work.
    }
    const int members = int(others.size()) + 1;
    count.store(members, std::memory_order_release);
    waiting.wake();
    team.work(team.job, {0, members, team.barriers.data()});
    for (std::thread& other : others) other.join();
}

}  // namespace

template <class T>
void Waiting::wait_while(const std::atomic<T>& value, T old) {
    // First it looks as often as it can; then with pauses, which leave the core to a sibling. The
    // pauses take 50 to 200 microseconds together, about as long as waking up takes on a virtual
    // machine: two members of less patience would put each other to sleep in turn.
    constexpr int looks = 1'000, pauses = 5'000;
    for (int spins = 0; spins < looks + pauses; ++spins) {
        if (value.load(std::memory_order_acquire) != old) return;
        if (spins >= looks) pause();
    }
    // Who changes the value looks for sleepers without a fence, which would cost it at every step,
    // and so may miss one that goes to sleep at that moment: nobody sleeps long without looking.
    constexpr auto longest_sleep = std::chrono::milliseconds(1);
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1);
    while (value.load() == old) changed_.wait_for(lock, longest_sleep);
    sleepers_.fetch_sub(1);
}

void Waiting::wake() {
    if (sleepers_.load(std::memory_order_relaxed) == 0) return;
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void Barrier::wait(int index, int count) {
    const unsigned before = arrivals_[index].round.load(std::memory_order_relaxed);
    arrivals_[index].round.store(before + 1, std::memory_order_release);
    waiting_.wake();
    // Nobody can be more than one round ahead: that takes an arrival of this member.
    for (int other = 0; other < count; ++other) {
        waiting_.wait_while(arrivals_[other].round, before);
    }
}

void Progress::reach(int count) {
    reached_.store(count, std::memory_order_release);
    waiting_.wake();
}

void Progress::wait_for(int count) {
    for (int reached; (reached = reached_.load(std::memory_order_acquire)) < count;) {
        waiting_.wait_while(reached_, reached);
    }
}

void run_team(int threads, void (*work)(const void* job, const Member& member), const void* job) {
    if (threads <= 1) return work(job, {0, 1, nullptr});
    Team team{work, job};
    for (int k = 0; k < Member::num_barriers; ++k) {
        team.barriers.emplace_back(threads, team.waiting);
    }
    const Pool& pool = torch_pool();
    if (pool.is_there && !is_forked.load()) {
        run_in_pool(pool, threads, team);
    } else {
        run_in_new_threads(threads, team);
    }
}

}  // namespace throughtime
