// Release of the interpreter lock.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace bitdrop {

// Below this many elements the work takes less time than a release of the interpreter lock.
constexpr uint64_t kHoldLock = 8192;

// Does the work without the interpreter lock. The caller's references keep the arrays alive, and the work touches
// nothing of Python.
template <class Work> void without_lock(uint64_t elements, Work work) {
    if (elements < kHoldLock) return work();
    PyThreadState* state = PyEval_SaveThread();
    work();
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        // The interpreter is ending, and Python before 3.14 ends this daemon thread by unwinding its stack. That
        // would run destructors that need the lock, so the thread waits here until the process is gone.
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

}  // namespace bitdrop
