// Release of the interpreter lock.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace bitdrop {

// Below this many elements the work takes less time than a release of the interpreter lock.
constexpr uint64_t kHoldLock = 8192;

// Stops a thread whose stack is unwound before `done`. At exit, Python before 3.14 unwinds a daemon thread that asks
// for the interpreter lock. Destructors of outer frames need that lock, so the thread waits here until the process is
// gone. A destructor and not catch (...), which LLVM's runtime skips in such an unwinding.
class WaitsIfUnwound {
public:
    ~WaitsIfUnwound() {
        while (!done) std::this_thread::sleep_for(std::chrono::hours(1));
    }

    bool done = false;
};

// Does the work without the interpreter lock. The caller's references keep the arrays alive, and the work touches
// nothing of Python.
template <class Work> void without_lock(uint64_t elements, Work work) {
    if (elements < kHoldLock) return work();
    PyThreadState* state = PyEval_SaveThread();
    work();
    WaitsIfUnwound guard;
    PyEval_RestoreThread(state);
    guard.done = true;
}

}  // namespace bitdrop
