// A team of threads for one call, taken from the pool that torch's own operators run on, so that
// no second pool fights with it for the processors. Where there is no such pool the threads are
// started for the call and joined: nothing outlives it, hangs at exit or is missing after a fork.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace throughtime {

// Threads that wait for a number to change: they spin, since a step may take a microsecond, and
// sleep when the wait is long, since the machine may have other work.
class Waiting {
  public:
    // Returns once value is no longer `old`.
    template <class T>
    void wait_while(const std::atomic<T>& value, T old);

    // To be called after every change of a value that somebody may wait for.
    void wake();

  private:
    std::atomic<int> sleepers_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
};

// Where the members of a group wait for each other. Each has a cache line of its own: to arrive is
// one store, to wait is to read the lines of the others, so that a meeting takes no longer than a
// line's way from one processor to another.
class Barrier {
  public:
    Barrier(int members, Waiting& waiting) : arrivals_(members), waiting_(waiting) {}

    // Member `index` of `count`, each of whom calls it once a round.
    void wait(int index, int count);

  private:
    struct alignas(64) Arrival {
        std::atomic<unsigned> round{0};
    };
    std::vector<Arrival> arrivals_;
    Waiting& waiting_;
};

// How far a piece of work has come, for members whose own work reads it.
class Progress {
  public:
    void reach(int count);
    void wait_for(int count);

  private:
    alignas(64) std::atomic<int> reached_{0};
    Waiting waiting_;
};

struct Member {
    int index, count;
    Barrier* barriers;  // [num_barriers]: of each task (rows.h), then of all; null if count is 1

    static constexpr int num_barriers = 9;

    void meet() const {
        if (count > 1) barriers[num_barriers - 1].wait(index, count);
    }
};

// Calls work(job, member) for members 0, ..., count-1 at the same time, member 0 in this thread.
// count is `threads`, or fewer when the system refuses to start more.
void run_team(int threads, void (*work)(const void* job, const Member& member), const void* job);

}  // namespace throughtime
