// Worker threads that live as long as the process.
#pragma once

#include <cstdint>

namespace bitdrop {

// How many threads work is shared by, the caller among them, and whether it is worth waking workers that sleep.
struct Sharing {
    int threads;
    bool wakes;
};

// Sleeping workers are woken for so many times the work that they must have to be of use while they are awake:
// waking takes time, and their CPUs may be taken by the threads of another library, which spin between its calls.
// Tests set it to 1.
uint64_t waking_factor();
void set_waking_factor(uint64_t factor);

// The sharing of so many elements, if each thread must have so many to be of use while it is awake.
Sharing sharing_of(uint64_t elements, uint64_t elements_per_thread, int most_threads);

// Calls task(context, chunk) once for each chunk in [0, chunks), on the caller and up to threads - 1 workers,
// and returns when all are done. Each thread has neighbouring chunks of its own, and then helps the others with
// theirs. If the workers are busy with another caller's chunks, the caller does all of its own; and so it does if
// they sleep, the work is not worth waking them, and the last work for them is not just done. The task must not throw.
void run_chunks(uint64_t chunks, Sharing sharing, void (*task)(void* context, uint64_t chunk), void* context);

}  // namespace bitdrop
