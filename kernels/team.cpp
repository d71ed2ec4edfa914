// Threads, and how they wait. Compiled once, without the flags of any instruction set.
#include "team.h"

#include <system_error>
#include <thread>
#include <vector>

namespace throughtime {
namespace {

// Spins before a member sleeps: some ten microseconds, longer than its fellows usually take.
constexpr int patience = 500;

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

void run_team(int threads, void (*work)(const void* job, const Member& member), const void* job) {
    Barrier barriers[2];
    if (threads <= 1) return work(job, {0, 1, barriers});
    std::atomic<int> count{0};  // how many are in the team, once that is known
    std::vector<std::thread> others;
    others.reserve(threads - 1);
    try {
        for (int index = 1; index < threads; ++index) {
            others.emplace_back([&, index] {
                wait_while(count, 0);
                work(job, {index, count.load(std::memory_order_relaxed), barriers});
            });
        }
    } catch (const std::system_error&) {
        // No more threads to be had: those that run share the work.
    }
    const int members = int(others.size()) + 1;
    count.store(members, std::memory_order_release);
    count.notify_all();
    work(job, {0, members, barriers});
    for (std::thread& other : others) other.join();
}

}  // namespace throughtime
