#include "thread_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "float_mode.h"

#if defined(BITDROP_X86)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace bitdrop {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);  // then a worker sleeps

void pause() {
#if defined(BITDROP_X86)
    _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
    __asm__ volatile("yield");
#endif
}

class ThreadPool {
public:
    // False where the pool serves another caller.
    bool run(uint64_t chunks, int threads, void (*task)(void*, uint64_t), void* context) {
        if (taken_.exchange(true)) return false;
        grow(threads - 1);
        task_ = task;
        context_ = context;
        chunks_ = chunks;
        next_.store(0, std::memory_order_relaxed);
        seats_.store(threads - 1, std::memory_order_relaxed);
        open_.store(true);
        wake();
        work();
        // A worker counts itself busy before it looks whether the job is open, and the job is closed here
        // before the busy are counted: none can begin after the loop has ended.
        open_.store(false);
        const auto deadline = std::chrono::steady_clock::now() + kSpin;
        while (busy_.load() != 0) {
            pause();
            // A worker that still has a chunk after this long has lost its CPU: perhaps to this loop.
            if (std::chrono::steady_clock::now() > deadline) std::this_thread::yield();
        }
        taken_.store(false);
        return true;
    }

private:
    void grow(int workers) {
        try {
            while (workers_ < workers) {
                std::thread([this] { serve(); }).detach();
                ++workers_;
            }
        } catch (const std::system_error&) {
            // No more threads to be had: those that exist and the caller do the work.
        }
    }

    void work() {
        for (uint64_t chunk; (chunk = next_.fetch_add(1, std::memory_order_relaxed)) < chunks_;) task_(context_, chunk);
    }

    void wake() {
        jobs_.fetch_add(1);
        if (sleepers_.load() == 0) return;
        std::lock_guard<std::mutex> lock(sleep_mutex_);
        wake_.notify_all();
    }

    void serve() {
        DefaultFloatMode mode;  // a new thread inherits its creator's
        uint64_t seen = 0;
        for (;;) {
            wait_for_job(&seen);
            busy_.fetch_add(1);
            if (open_.load() && seats_.fetch_sub(1) > 0) work();
            busy_.fetch_sub(1);
        }
    }

    void wait_for_job(uint64_t* seen) {
        const auto changed = [&] { return jobs_.load() != *seen; };
        const auto deadline = std::chrono::steady_clock::now() + kSpin;
        while (!changed() && std::chrono::steady_clock::now() < deadline) pause();
        if (!changed()) {
            std::unique_lock<std::mutex> lock(sleep_mutex_);
            sleepers_.fetch_add(1);
            wake_.wait(lock, changed);
            sleepers_.fetch_sub(1);
        }
        *seen = jobs_.load();
    }

    std::atomic<bool> taken_{false};  // by the caller whose job this is; not a mutex, for a task may call again
    int workers_ = 0;

    void (*task_)(void*, uint64_t) = nullptr;
    void* context_ = nullptr;
    uint64_t chunks_ = 0;
    std::atomic<uint64_t> next_{0};
    std::atomic<int> seats_{0};  // workers that may still join
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

void run_chunks(uint64_t chunks, int threads, void (*task)(void*, uint64_t), void* context) {
    if (threads > 1 && chunks > 1 && pool().run(chunks, threads, task, context)) return;
    for (uint64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
}

}  // namespace bitdrop
