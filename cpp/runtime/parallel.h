// A loop over chunks on several threads: bitdrop's own workers, or a team of another library.
#pragma once

#include <cstdint>

namespace bitdrop {

// Calls work(data) on this many threads, the caller among them, and returns when all have returned. GOMP_parallel of
// OpenMP's runtimes is one: its threads are awake anyway, they spin between one parallel region and the next.
using Team = void (*)(void (*work)(void* data), void* data, unsigned threads, unsigned flags);

// The threads that a call may use: at most `limit`, of a team if there is one.
struct Threads {
    Threads(int thread_limit, Team its_team = nullptr) : limit(thread_limit), team(its_team) {}

    int limit;
    Team team;
};

// The threads that a call does use, the caller among them.
struct Parallelism {
    int threads;
    uint64_t work;  // of each thread, in multiples of the minimum that is worth an awake thread
    Team team = nullptr;
};

// Chooses the thread count, given the minimum number of elements per awake thread.
Parallelism choose_parallelism(uint64_t elements, uint64_t min_elements_per_thread, Threads threads);

using Task = void (*)(void* context, uint64_t chunk);

// Calls task(context, chunk) once for each chunk in [0, chunks), and returns when all are done. Each thread begins
// with neighbouring chunks of its own, and then helps the others with theirs. The caller does all chunks by itself if
// the workers are busy with another caller's, or sleep and are not worth waking. The task must not throw.
void parallel_for(uint64_t chunks, Parallelism parallelism, Task task, void* context);

}  // namespace bitdrop
