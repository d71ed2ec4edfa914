// A team of threads for one call, taken from the pool that torch's own operators run on, so that
// no second pool fights with it for the processors. Where there is no such pool the threads are
// started for the call and joined: nothing outlives it, hangs at exit or is missing after a fork.
#pragma once

#include <atomic>

namespace throughtime {

// Where the members of a group wait for each other. It spins, since a step may take a
// microsecond, and sleeps when the wait is long, since the machine may have other work.
class Barrier {
  public:
    void wait(int members);

  private:
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<unsigned> round_{0};
};

// How far a piece of work has come, for members whose own work reads it.
class Progress {
  public:
    void reach(int count);
    void wait_for(int count) const;

  private:
    alignas(64) std::atomic<int> reached_{0};
};

struct Member {
    int index, count;
    Barrier* barriers;  // [2], one per direction
};

// Calls work(job, member) for members 0, ..., count-1 at the same time, member 0 in this thread.
// count is `threads`, or fewer when the system refuses to start more.
void run_team(int threads, void (*work)(const void* job, const Member& member), const void* job);

}  // namespace throughtime
