#include "caller.h"

#include <algorithm>
#include <atomic>

#include "../python/gil.h"
#include "shim.h"

namespace py = pybind11;

namespace bitdrop::torch {
namespace {

constexpr int64_t kOneThread = 8192;  // bytes that are not worth the question

PyObject *forward_ad_names, *level_name, *forward_enabled, *torchs_threads;
std::atomic<Team> shared_team{nullptr};

// Takes the interpreter lock in any thread. At exit the lock may never come: see gil.h.
class WithLock {
public:
    WithLock() {
        WaitsIfUnwound guard;
        state_ = PyGILState_Ensure();
        guard.done = true;
    }
    WithLock(const WithLock&) = delete;
    WithLock& operator=(const WithLock&) = delete;
    ~WithLock() { PyGILState_Release(state_); }

private:
    PyGILState_STATE state_;
};

// The answer of a function without arguments, as a number: -1 and an error for none.
long ask(PyObject* function) {
    PyObject* const answer = PyObject_CallNoArgs(function);
    if (!answer) throw py::error_already_set();
    const long number = PyLong_AsLong(answer);
    Py_DECREF(answer);
    return number;
}

}  // namespace

void keep_state_functions(py::handle forward_ad, py::handle is_forward_enabled, py::handle num_threads, uint64_t team) {
    forward_ad_names = PyModule_GetDict(forward_ad.ptr());
    Py_INCREF(forward_ad_names);
    level_name = PyUnicode_InternFromString("_current_level");
    forward_enabled = is_forward_enabled.inc_ref().ptr();
    torchs_threads = num_threads.inc_ref().ptr();
    shared_team = reinterpret_cast<Team>(static_cast<uintptr_t>(team));
}

void leave_team() { shared_team = nullptr; }

bool has_tangents() {
    PyObject* const level = PyDict_GetItem(forward_ad_names, level_name);
    return level && PyLong_AsLong(level) >= 0 && ask(forward_enabled) != 0;
}

Threads threads_for(int64_t bytes) {
    if (bytes <= kOneThread) return {1};
    return {std::min(static_cast<int>(ask(torchs_threads)), num_threads()), shared_team.load()};
}

Caller caller_of_operator(int64_t bytes) {
    if (is_grad_enabled()) return {true, {1}};
    const WithLock lock;
    return {has_tangents(), threads_for(bytes)};
}

}  // namespace bitdrop::torch
