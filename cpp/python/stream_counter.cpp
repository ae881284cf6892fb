// The stream numbers of a layer.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "bindings.h"
#include "guarded_calls.h"
#include "passes.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// The number of the calling thread. Unlike an identifier of the system, it is never given to another thread.
uint64_t this_thread() {
    static std::atomic<uint64_t> threads{0};
    thread_local const uint64_t number = threads.fetch_add(1);
    return number;
}

// The threads that hold a layer's lock. Each keeps the first stream number that it takes. Nothing of Python is called
// under the mutex, so no thread that Python stops before a fork has it: a child finds it free.
class Locks {
public:
    bool any() const { return count_.load(std::memory_order_relaxed) != 0; }

    void acquire(uint64_t thread) {
        const std::lock_guard<std::mutex> guard(mutex_);
        if (Lock* lock = find(thread)) {
            ++lock->depth;
        } else {
            held_.push_back({thread, 1, std::nullopt});
            count_.store(held_.size());
        }
    }

    void release(uint64_t thread) {
        const std::lock_guard<std::mutex> guard(mutex_);
        Lock* lock = find(thread);
        if (!lock || --lock->depth) return;
        held_.erase(held_.begin() + (lock - held_.data()));
        count_.store(held_.size());
    }

    // The number of the calling thread's lock, or a new one if it holds none.
    template <class Next> uint64_t number_or(Next next) {
        std::unique_lock<std::mutex> guard(mutex_);
        Lock* lock = find(this_thread());
        if (!lock) {
            guard.unlock();
            return next();
        }
        if (!lock->number) lock->number = next();
        return *lock->number;
    }

    // Lets each lock take a number anew.
    void forget_numbers() {
        const std::lock_guard<std::mutex> guard(mutex_);
        for (Lock& lock : held_) lock.number.reset();
    }

private:
    struct Lock {
        uint64_t thread;
        int depth;
        std::optional<uint64_t> number;
    };

    Lock* find(uint64_t thread) {
        const auto of_thread = [&](const Lock& lock) { return lock.thread == thread; };
        const auto found = std::find_if(held_.begin(), held_.end(), of_thread);
        return found == held_.end() ? nullptr : &*found;
    }

    std::mutex mutex_;
    std::vector<Lock> held_;
    std::atomic<size_t> count_{0};
};

// A context manager that holds a lock. Its destructor releases what a signal between `__enter__` and the body, or a
// generator that is never resumed, leaves held.
class StreamLock {
public:
    explicit StreamLock(std::shared_ptr<Locks> locks) : locks_(std::move(locks)) {}
    StreamLock(const StreamLock&) = delete;
    StreamLock& operator=(const StreamLock&) = delete;
    ~StreamLock() {
        for (const uint64_t thread : threads_) locks_->release(thread);
    }

    void enter() {
        const std::lock_guard<std::mutex> guard(mutex_);
        threads_.push_back(this_thread());
        locks_->acquire(threads_.back());
    }

    // A generator may be closed by another thread than the one that entered.
    void exit() {
        const std::lock_guard<std::mutex> guard(mutex_);
        if (threads_.empty()) return;
        auto entered = std::find(threads_.begin(), threads_.end(), this_thread());
        if (entered == threads_.end()) --entered;
        locks_->release(*entered);
        threads_.erase(entered);
    }

private:
    const std::shared_ptr<Locks> locks_;
    std::mutex mutex_;
    std::vector<uint64_t> threads_;  // one entry for each time that the lock was entered
};

// Numbers under one key. `take` is atomic: no number is given twice, whatever threads and signal handlers do, but for
// the calls of a thread that holds a lock.
class StreamCounter {
public:
    StreamCounter(const py::tuple& key, const py::int_& position)
        : StreamCounter(key, position, std::make_shared<Locks>()) {}

    const py::tuple& key() const { return key_; }

    // The next number, or 2^64 if all are taken.
    py::object position() const {
        const uint64_t next = next_.load();
        if (next == 0 && exhausted_.load()) return py::int_(1).attr("__lshift__")(64);
        return py::int_(next);
    }

    Key take() {
        return {{words_[0], words_[1]}, locks_->any() ? locks_->number_or([this] { return next(); }) : next()};
    }

    StreamLock* lock() const { return new StreamLock(locks_); }

    // A counter with another key. A thread that holds a lock still holds it, and takes a number of the new counter.
    StreamCounter* renewed(const py::tuple& key, const py::int_& position) const {
        auto* counter = new StreamCounter(key, position, locks_);
        locks_->forget_numbers();
        return counter;
    }

private:
    StreamCounter(const py::tuple& key, const py::int_& position, std::shared_ptr<Locks> locks)
        : key_(key), words_{key[0].cast<uint64_t>(), key[1].cast<uint64_t>()}, locks_(std::move(locks)) {
        const py::int_ end = py::int_(1).attr("__lshift__")(64);
        exhausted_ = position.equal(end);
        next_ = exhausted_ ? 0 : position.cast<uint64_t>();
    }

    uint64_t next() {
        uint64_t number = next_.load();
        do {
            if (number == 0 && exhausted_.load())
                throw std::runtime_error(
                    "The layer has used all 2**64 stream numbers of its key: set its state to a new key.");
            if (number == ~uint64_t{0}) exhausted_.store(true);  // before the counter returns to 0
        } while (!next_.compare_exchange_weak(number, number + 1));
        return number;
    }

    const py::tuple key_;
    const uint64_t words_[2];
    const std::shared_ptr<Locks> locks_;
    std::atomic<uint64_t> next_{0};
    std::atomic<bool> exhausted_{false};
};

PyTypeObject* counter_type = nullptr;  // set once, when the module is imported

}  // namespace

Key draw_key(py::handle draw) {
    if (Py_TYPE(draw.ptr()) == counter_type) return draw.cast<StreamCounter&>().take();
    const py::tuple words = tuple_of(call(draw));
    return {{words[0].cast<uint64_t>(), words[1].cast<uint64_t>()}, 0};
}

void add_stream_counter(py::module_& m) {
    py::class_<StreamLock>(m, "StreamLock", "A context manager: the calls of a thread inside take one stream number.")
        .def("__enter__", &StreamLock::enter)
        .def(
            "__exit__", [](StreamLock& lock, py::handle, py::handle, py::handle) { lock.exit(); }, py::arg("kind"),
            py::arg("error"), py::arg("traceback"));
    py::class_<StreamCounter> counter(m, "StreamCounter", "Stream numbers under one key, each taken once.");
    counter_type = reinterpret_cast<PyTypeObject*>(counter.ptr());
    counter.def(py::init<const py::tuple&, const py::int_&>(), py::arg("key"), py::arg("position"))
        .def_property_readonly("key", &StreamCounter::key)
        .def_property_readonly("position", &StreamCounter::position)
        .def(
            "take", [](StreamCounter& counter) { return counter.take().stream; }, "Take the next stream number.")
        .def("lock", &StreamCounter::lock, "Return a lock: calls of a thread inside take one number.")
        .def("renewed", &StreamCounter::renewed, py::arg("key"), py::arg("position"),
             "Return a counter with another key and the same locks.");
}

}  // namespace bitdrop
