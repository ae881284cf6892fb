#include "thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
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

using Clock = std::chrono::steady_clock;

constexpr auto kSpin = std::chrono::microseconds(50);  // then a worker sleeps
std::atomic<uint64_t> worth_waking{4};

void pause() {
#if defined(BITDROP_X86)
    _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
    __asm__ volatile("yield");
#endif
}

// Waiting for what another thread is about to do. That thread may need this very CPU, because the threads of another
// library spin on the others: so it is offered now and then.
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

// The chunks that are a thread's own, on a cache line of their own.
struct alignas(64) Share {
    std::atomic<uint64_t> next{0};
    uint64_t end = 0;
};

using Task = void (*)(void* context, uint64_t chunk);

template <class Shares> void divide(Shares* shares, int threads, uint64_t chunks) {
    const uint64_t parts = static_cast<uint64_t>(threads);
    for (uint64_t part = 0; part < parts; ++part) {
        (*shares)[part].next.store(chunks * part / parts, std::memory_order_relaxed);
        (*shares)[part].end = chunks * (part + 1) / parts;
    }
}

// First the thread's own share, so that an array that is used again finds its parts in the same caches; then
// what the others have left.
template <class Shares> void work_on(Shares* shares, int threads, int self, Task task, void* context) {
    for (int turn = 0; turn < threads; ++turn) {
        Share& share = (*shares)[static_cast<size_t>((self + turn) % threads)];
        for (uint64_t chunk; (chunk = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
            task(context, chunk);
    }
}

// Work of a team. Where fewer threads come than were asked for, those that do come take all the shares.
class TeamWork {
public:
    static constexpr int kMostThreads = 64;

    TeamWork(uint64_t chunks, int threads, Task task, void* context)
        : threads_(std::min(threads, kMostThreads)), task_(task), context_(context) {
        divide(&shares_, threads_, chunks);
    }

    void run(Team team) { team(join, this, static_cast<unsigned>(threads_), 0); }

private:
    static void join(void* team_work) {
        DefaultFloatMode mode;  // another library's thread has a mode of its own
        TeamWork& work = *static_cast<TeamWork*>(team_work);
        const int self = work.arrived_.fetch_add(1);
        if (self < work.threads_) work_on(&work.shares_, work.threads_, self, work.task_, work.context_);
    }

    std::array<Share, kMostThreads> shares_;
    std::atomic<int> arrived_{0};
    const int threads_;
    const Task task_;
    void* const context_;
};

class ThreadPool {
public:
    // False where the pool serves another caller.
    bool run(uint64_t chunks, Sharing sharing, Task task, void* context) {
        if (taken_.exchange(true)) return false;
        if (sharing.wakes || are_awake(sharing.threads) || Clock::now() < ended_ + kSpin)
            share(chunks, sharing.threads, task, context);
        else
            for (uint64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
        ended_ = Clock::now();
        taken_.store(false);
        return true;
    }

private:
    bool are_awake(int threads) const { return static_cast<int>(shares_.size()) >= threads && sleepers_.load() == 0; }

    void share(uint64_t chunks, int threads, Task task, void* context) {
        grow(threads);
        task_ = task;
        context_ = context;
        threads_ = static_cast<int>(shares_.size()) < threads ? static_cast<int>(shares_.size()) : threads;
        divide(&shares_, threads_, chunks);
        open_.store(true);
        wake();
        work_on(&shares_, threads_, 0, task, context);
        // A worker counts itself busy before it looks whether the job is open, and the job is closed here
        // before the busy are counted: none can begin after the loop has ended.
        open_.store(false);
        for (Spin spin; busy_.load() != 0;) spin.turn();
    }

    void grow(int threads) {
        try {
            while (static_cast<int>(shares_.size()) < threads) {
                const size_t number = shares_.size();
                shares_.emplace_back();
                if (number) std::thread([this, number] { serve(static_cast<int>(number)); }).detach();
            }
        } catch (const std::exception&) {
            // No more threads to be had. A share without its thread is done by the others.
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
            if (open_.load() && self < threads_) work_on(&shares_, threads_, self, task_, context_);
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

    std::atomic<bool> taken_{false};  // by the caller whose job this is; not a mutex, for a task may call again
    std::deque<Share> shares_;        // the caller's, then each worker's; none ever moves
    int threads_ = 0;
    Clock::time_point ended_;  // the last work

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

Sharing sharing_of(uint64_t elements, uint64_t elements_per_thread, Threads threads) {
    const uint64_t useful = std::max<uint64_t>(elements / elements_per_thread, 1);
    const uint64_t used = std::min(useful, static_cast<uint64_t>(std::max(threads.most, 1)));
    return {static_cast<int>(used), elements / used >= waking_factor() * elements_per_thread, threads.team};
}

void run_chunks(uint64_t chunks, Sharing sharing, Task task, void* context) {
    if (sharing.threads > 1 && chunks > 1) {
        if (sharing.team) return TeamWork(chunks, sharing.threads, task, context).run(sharing.team);
        if (pool().run(chunks, sharing, task, context)) return;
    }
    for (uint64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
}

uint64_t waking_factor() { return worth_waking.load(std::memory_order_relaxed); }
void set_waking_factor(uint64_t factor) { worth_waking.store(factor, std::memory_order_relaxed); }

}  // namespace bitdrop
