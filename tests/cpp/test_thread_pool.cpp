// Thread pool: each chunk is done once, for callers of every kind: one thread, many at once, a task, a forked child.
//     test_thread_pool [without-fork]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "calls.h"
#include "engine/dispatch.h"
#include "fork.h"
#include "random_case.h"
#include "runtime/thread_pool.h"

using namespace bitdrop;

namespace {

constexpr int kCallers = 6;
constexpr uint64_t kWork = 1;  // worth waking a worker: set_waking_factor(1)
constexpr uint64_t kElements = 400003;  // enough for three threads
constexpr uint64_t kBitsElements = 2 << 20;  // enough for four, of bits alone

// Number of times that each chunk was done. Not atomic, so that ThreadSanitizer reports two threads in one chunk.
struct Tally {
    std::vector<int> done;

    static void count(void* tally, uint64_t chunk) { ++static_cast<Tally*>(tally)->done[chunk]; }

    static void check(uint64_t chunks, Parallelism parallelism) {
        Tally tally = {std::vector<int>(chunks)};
        parallel_for(chunks, parallelism, count, &tally);
        for (uint64_t i = 0; i < chunks; ++i)
            CHECK(tally.done[i] == 1, "chunk %d: %d times", static_cast<int>(i), tally.done[i]);
    }
};

void check_counts() {
    for (const int threads : {0, 1, 2, 3, 8})
        for (const unsigned chunks : {0u, 1u, 2u, 7u, 100u})
            for (int again = 0; again < 20; ++again) Tally::check(chunks, {threads, kWork});
}

void check_nested() {
    const auto outer = [](void*, uint64_t) { Tally::check(5, {3, kWork}); };
    for (int again = 0; again < 50; ++again) parallel_for(6, {3, kWork}, outer, nullptr);
}

// Dropout of enough elements for several threads, and its result by one thread.
class Work {
public:
    struct Result {
        std::vector<float> y = std::vector<float>(kElements);
        std::vector<uint8_t> bits = std::vector<uint8_t>(kBitsElements / 8);
    };

    Work() : x_(kElements) {
        for (uint64_t i = 0; i < kElements; ++i) x_[i] = 1.0f + static_cast<float>(i);
        compute(1, &want_);
    }

    // Allocates nothing: a child forked while another thread is in here must not find the allocator's locks held.
    // AddressSanitizer's allocator does not release them in a child.
    void check(const char* where, Result* result, Threads threads = 4) const {
        std::fill(result->y.begin(), result->y.end(), -1.0f);
        std::fill(result->bits.begin(), result->bits.end(), uint8_t{0xa5});
        compute(threads, result);
        CHECK(result->y == want_.y && result->bits == want_.bits, "wrong result %s", where);
    }

    void check(const char* where) const {
        Result result;
        check(where, &result);
    }

private:
    void compute(Threads threads, Result* result) const {
        const Plan plan = make_plan(1, 2, 3, 0.3);
        drop({&active_kernels(), threads}, contiguous_operands(DType::float32, result->y.data(), x_.data(), kElements),
             {1 / 0.7}, plan, nullptr);
        generate_bits(active_kernels(), plan, contiguous_box(1000, kBitsElements), result->bits.data(), threads);
    }

    std::vector<float> x_;
    Result want_;
};

void check_teams(const Work& work) {
    for (const Team its_team : {team<-1>, team<0>, team<1>}) {
        for (const int threads : {2, 3, 64, 100})
            for (const unsigned chunks : {2u, 7u, 1000u}) Tally::check(chunks, {threads, kWork, its_team});
        Work::Result result;
        work.check("of a team", &result, {4, its_team});
    }
}

void check_many_callers(const Work& work) {
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kCallers; ++caller)
        callers.emplace_back([&work] {
            for (int again = 0; again < 15; ++again) work.check("with many callers");
        });
    for (std::thread& caller : callers) caller.join();
}

// Both chunks must run at once, so this ends only if there is a worker.
void check_worker_joins() {
    std::atomic<int> arrived{0};
    const auto meet = [](void* context, uint64_t) {
        auto& count = *static_cast<std::atomic<int>*>(context);
        for (++count; count < 2;) std::this_thread::yield();
    };
    parallel_for(2, {2, kWork}, meet, &arrived);
}

// Counts the chunks done by a worker, of two chunks of some length.
struct Helped {
    std::thread::id caller = std::this_thread::get_id();
    std::chrono::microseconds length;
    std::atomic<int> chunks{0};

    static void work(void* context, uint64_t) {
        auto& helped = *static_cast<Helped*>(context);
        if (std::this_thread::get_id() != helped.caller) ++helped.chunks;
        // Not asleep: some systems take a sleep of less than a millisecond for none.
        const auto end = std::chrono::steady_clock::now() + helped.length;
        while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    }

    static int count(std::chrono::microseconds length) {
        Helped helped;
        helped.length = length;
        parallel_for(2, {2, 0}, work, &helped);
        return helped.chunks;
    }
};

// Small work wakes no worker, except in a fast sequence of calls. A thread may be late, so some of the trials suffice.
void check_sleepers_are_left_alone_between_calls() {
    int alone = 0, helped = 0;
    for (int again = 0; again < 50; ++again) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        alone += Helped::count(std::chrono::milliseconds(3)) == 0;
    }
    CHECK(alone > 0, "sleeping workers are woken each time");
    for (int again = 0; again < 1000; ++again) helped += Helped::count(std::chrono::microseconds(100));
    CHECK(helped > 0, "workers sleep during a fast sequence of calls");
}

#if !defined(_WIN32)
void check_child(const Work& work, const char* where) {
    check_in_child(where, [&] {
        work.check(where);
        check_worker_joins();
    });
}

void check_fork(const Work& work) {
    work.check("before a fork");
    check_child(work, "at rest");
    // During calls: other threads hold the pool's locks, or wait for its workers, while this one forks.
    std::atomic<bool> stop{false};
    std::atomic<int> started{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 2; ++caller)
        callers.emplace_back([&] {
            Work::Result result;
            for (++started; !stop;) work.check("while another thread forks", &result);
        });
    while (started < 2) std::this_thread::yield();
    for (int again = 0; again < 10; ++again) check_child(work, "during calls");
    stop = true;
    for (std::thread& caller : callers) caller.join();
    work.check("after forks");
}
#endif

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
    set_waking_factor(1);  // use several threads for small arrays
    const Work work;
    check_counts();
    check_worker_joins();
    check_nested();
    check_sleepers_are_left_alone_between_calls();
    check_teams(work);
    check_many_callers(work);
#if !defined(_WIN32)
    if (argc == 1 || std::strcmp(argv[1], "without-fork") != 0) check_fork(work);
#endif
}
