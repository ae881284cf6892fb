// The state of the calling thread: what records its operations, and the threads that it may use.
#pragma once

#include <pybind11/pybind11.h>

#include "../engine/engine.h"

namespace bitdrop::torch {

// Functions of PyTorch that tell it, kept for as long as the process lives.
void keep_state_functions(pybind11::handle forward_ad, pybind11::handle is_forward_enabled,
                          pybind11::handle num_threads, uint64_t team);
void leave_team();  // in a forked process: OpenMP's runtime may wait for threads that the child lacks

// With the interpreter lock: whether forward mode is on, in which every operation has a tangent.
bool has_tangents();
// With the interpreter lock: as many threads as the smaller of PyTorch's and bitdrop's settings says, or one for little
// memory.
Threads threads_for(int64_t bytes);

struct Caller {
    bool records;  // reverse or forward mode may watch the call
    Threads threads;
};

// For an operator, which PyTorch calls without the interpreter lock.
Caller caller_of_operator(int64_t bytes);

}  // namespace bitdrop::torch
