// Worker threads that live as long as the process.
#pragma once

#include "parallel.h"

namespace bitdrop {

// parallel_for on the workers and the caller. False, with nothing done, if the pool serves another caller.
bool run_on_workers(uint64_t chunks, const Parallelism& parallelism, Task task, void* context);

// Sleeping workers are woken for this many times the minimum work of an awake thread. Tests set it to 1.
uint64_t waking_factor();
void set_waking_factor(uint64_t factor);

}  // namespace bitdrop
