// Worker threads that live as long as the process.
#pragma once

#include <cstdint>

namespace bitdrop {

// Calls work(data) on a team of so many threads, the caller among them, and returns when all have returned. It is
// GOMP_parallel of OpenMP's runtimes: whose threads are awake anyway, they spin between one job and the next.
using Team = void (*)(void (*work)(void* data), void* data, unsigned threads, unsigned flags);

// The threads that a call may use: at most so many, of a team or of workers of our own.
struct Threads {
    Threads(int most_threads, Team its_team = nullptr) : most(most_threads), team(its_team) {}

    int most;
    Team team;
};

// How many threads work is shared by, the caller among them, and whether it is worth waking workers that sleep.
struct Sharing {
    int threads;
    bool wakes;
    Team team = nullptr;
};

// Sleeping workers are woken for so many times the work that they must have to be of use while they are awake:
// waking takes time, and their CPUs may be taken by the threads of another library, which spin between its calls.
// Tests set it to 1.
uint64_t waking_factor();
void set_waking_factor(uint64_t factor);

// The sharing of so many elements, if each thread must have so many to be of use while it is awake.
Sharing sharing_of(uint64_t elements, uint64_t elements_per_thread, Threads threads);

// Calls task(context, chunk) once for each chunk in [0, chunks), on the caller and up to threads - 1 others,
// and returns when all are done. Each thread has neighbouring chunks of its own, and then helps the others with
// theirs. If workers are busy with another caller's chunks, the caller does all of its own; and so it does if
// they sleep, the work is not worth waking them, and the last work for them is not just done. The task must not throw.
void run_chunks(uint64_t chunks, Sharing sharing, void (*task)(void* context, uint64_t chunk), void* context);

}  // namespace bitdrop
