#include "thread_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "chunk_ranges.h"
#include "float_mode.h"

#if defined(BITDROP_X86)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace bitdrop {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSpin = std::chrono::microseconds(50);  // then a worker sleeps
std::atomic<uint64_t> waking_multiple{4};

void pause() {
#if defined(BITDROP_X86)
    _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
    __asm__ volatile("yield");
#endif
}

// A wait for what another thread is about to do. That thread may need this very CPU, because threads of another
// library spin on the others: so the CPU is offered now and then.
class Spin {
public:
    void turn() {
        if (++turns_ % kTurns)
            pause();
        else
            std::this_thread::yield();
    }

private:
    static constexpr int kTurns = 64;  // a few microseconds
    int turns_ = 0;
};

class ThreadPool {
public:
    // False, with nothing done, if the pool serves another caller.
    bool run(uint64_t chunks, const Parallelism& parallelism, Task task, void* context) {
        if (taken_.exchange(true)) return false;
        if (worth_sharing(parallelism))
            share(chunks, parallelism.threads, task, context);
        else
            for (uint64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
        last_end_ = Clock::now();
        taken_.store(false);
        return true;
    }

private:
    // The waking policy. Workers that are awake always share: they spin for kSpin after a job. Workers that sleep are
    // woken only if the work of each is waking_factor() times the minimum for one that is awake, or if the call follows
    // the last one within kSpin, as in a series. Waking takes microseconds, and the workers' CPUs may be taken by the
    // threads of another library, which spin between its calls.
    bool worth_sharing(const Parallelism& parallelism) const {
        const bool awake = static_cast<int>(ranges_.size()) >= parallelism.threads && sleepers_.load() == 0;
        return parallelism.work >= waking_factor() || awake || Clock::now() < last_end_ + kSpin;
    }

    void share(uint64_t chunks, int threads, Task task, void* context) {
        grow(threads);
        task_ = task;
        context_ = context;
        threads_ = static_cast<int>(ranges_.size()) < threads ? static_cast<int>(ranges_.size()) : threads;
        divide_chunks(&ranges_, threads_, chunks);
        open_.store(true);
        wake();
        work_on_chunks(&ranges_, threads_, 0, task, context);
        // A worker counts itself busy before it looks whether the job is open, and the job is closed here
        // before the busy are counted: none can begin after the loop has ended.
        open_.store(false);
        for (Spin spin; busy_.load() != 0;) spin.turn();
    }

    void grow(int threads) {
        try {
            while (static_cast<int>(ranges_.size()) < threads) {
                const size_t number = ranges_.size();
                ranges_.emplace_back();
                if (number) std::thread([this, number] { serve(static_cast<int>(number)); }).detach();
            }
        } catch (const std::exception&) {
            // The system has no more threads. The others do the range of a missing one.
        }
    }

    void wake() {
        jobs_.fetch_add(1);
        if (sleepers_.load() == 0) return;
        std::lock_guard<std::mutex> lock(sleep_mutex_);
        wake_.notify_all();
    }

    void serve(int self) {
        DefaultFloatMode mode;  // a new thread inherits its creator's
        uint64_t seen = 0;
        for (;;) {
            wait_for_job(&seen);
            busy_.fetch_add(1);
            if (open_.load() && self < threads_) work_on_chunks(&ranges_, threads_, self, task_, context_);
            busy_.fetch_sub(1);
        }
    }

    void wait_for_job(uint64_t* seen) {
        const auto changed = [&] { return jobs_.load() != *seen; };
        const auto deadline = Clock::now() + kSpin;
        for (Spin spin; !changed() && Clock::now() < deadline;) spin.turn();
        if (!changed()) {
            std::unique_lock<std::mutex> lock(sleep_mutex_);
            sleepers_.fetch_add(1);
            wake_.wait(lock, changed);
            sleepers_.fetch_sub(1);
        }
        *seen = jobs_.load();
    }

    std::atomic<bool> taken_{false};  // by the caller whose job this is; not a mutex, because a task may call again
    std::deque<ChunkRange> ranges_;   // the caller's, then each worker's; none ever moves
    int threads_ = 0;
    Clock::time_point last_end_;  // of a call

    Task task_ = nullptr;
    void* context_ = nullptr;
    std::atomic<bool> open_{false};
    std::atomic<int> busy_{0};

    std::atomic<uint64_t> jobs_{0};
    std::atomic<int> sleepers_{0};
    std::mutex sleep_mutex_;
    std::condition_variable wake_;
};

std::atomic<ThreadPool*> current_pool{nullptr};

// Never destroyed: workers may outlive every destructor that runs at exit, and a forked child must leave the
// parent's pool, whose threads it does not have and whose locks may be held, as it is.
ThreadPool& pool() {
    ThreadPool* existing = current_pool.load(std::memory_order_acquire);
    if (existing) return *existing;
#if !defined(_WIN32)
    static const int registered = pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); });
    (void)registered;
#endif
    ThreadPool* created = new ThreadPool;
    if (current_pool.compare_exchange_strong(existing, created)) return *created;
    delete created;
    return *existing;
}

}  // namespace

bool run_on_workers(uint64_t chunks, const Parallelism& parallelism, Task task, void* context) {
    return pool().run(chunks, parallelism, task, context);
}

uint64_t waking_factor() { return waking_multiple.load(std::memory_order_relaxed); }
void set_waking_factor(uint64_t factor) { waking_multiple.store(factor, std::memory_order_relaxed); }

}  // namespace bitdrop
