// Buffer pool: reuse by one owner at a time, within the limit, by many threads at once, and across a fork.
//     test_buffer_pool [without-fork]
#include "runtime/buffer_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"
#include "fork.h"
#include "random_case.h"

// Options of the sanitizers: a failed allocation is an error of the call, as it is here, and does not end the process.
#if defined(__GNUC__)
#define FOR_SANITIZER extern "C" __attribute__((visibility("default"))) const char*
FOR_SANITIZER __asan_default_options();
FOR_SANITIZER __tsan_default_options();
FOR_SANITIZER __asan_default_options() { return "allocator_may_return_null=1"; }
FOR_SANITIZER __tsan_default_options() { return "allocator_may_return_null=1"; }
#endif

using namespace bitdrop;

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kLimit = 64 * kMiB;
constexpr size_t kRounding = 2 * 4096;  // a buffer may be this much larger than requested

// Buffer filled with the number of its owner.
class Owned {
public:
    Owned(size_t bytes, uint64_t number) : bytes_(bytes), number_(number), data_(take_buffer(bytes)) {
        CHECK(reinterpret_cast<uintptr_t>(data_) % 64 == 0, "%zu bytes begin at %p", bytes, data_);
        visit([&](uint64_t* word) { *word = number_; });
    }

    void check(const char* where) const {
        visit([&](const uint64_t* word) { CHECK(*word == number_, "a buffer of two owners %s", where); });
    }

    ~Owned() { return_buffer(data_); }

    const void* data() const { return data_; }

private:
    template <class Visit> void visit(Visit visit) const {
        uint64_t* const words = static_cast<uint64_t*>(data_);
        for (size_t word = 0; word < bytes_ / 8; word += 512) visit(words + word);  // one in each page
        visit(words + bytes_ / 8 - 1);
    }

    size_t bytes_;
    uint64_t number_;
    void* data_;
};

const void* place_of_next(size_t bytes) { return Owned(bytes, 0).data(); }

void check_reuse() {
    clear_buffers();
    const void* const first = place_of_next(8 * kMiB);
    const size_t held = held_buffer_bytes();
    CHECK(held >= 8 * kMiB && held < 8 * kMiB + kRounding, "%zu bytes are held", held);
    CHECK(place_of_next(8 * kMiB) == first, "a buffer of this size is not reused");
    CHECK(place_of_next(7 * kMiB) == first, "a slightly larger buffer is not reused");
    {
        const Owned one(8 * kMiB, 1), two(8 * kMiB, 2);
        CHECK(one.data() == first && two.data() != first, "a buffer is not reused, or used twice");
        one.check("at once");
        two.check("at once");
    }
    CHECK(place_of_next(8 * kMiB) == first, "the buffer returned last is not reused first");
    CHECK(place_of_next(1 * kMiB) != first, "a much larger buffer is reused");
    CHECK(place_of_next(9 * kMiB) != first, "a smaller buffer is reused");
}

// Room for two of three: the buffer returned first is freed.
void check_order() {
    clear_buffers();
    set_buffer_limit(2 * (4 * kMiB + kRounding));
    void* buffers[3];
    for (void*& buffer : buffers) buffer = take_buffer(4 * kMiB);
    for (void* buffer : buffers) return_buffer(buffer);
    const size_t held = held_buffer_bytes();
    CHECK(held >= 8 * kMiB && held <= buffer_limit(), "%zu bytes are held", held);
    const Owned last(4 * kMiB, 1), middle(4 * kMiB, 2);
    CHECK(last.data() == buffers[2] && middle.data() == buffers[1], "the least recently used buffer is held");
    CHECK(held_buffer_bytes() == 0, "%zu bytes are held", held_buffer_bytes());
}

void return_many() {
    std::vector<void*> buffers(24);
    for (void*& buffer : buffers) buffer = take_buffer(4 * kMiB);
    for (void* buffer : buffers) return_buffer(buffer);
}

void check_limits() {
    for (const size_t limit : {kLimit, 10 * kMiB, size_t{0}, kLimit}) {
        set_buffer_limit(limit);
        CHECK(buffer_limit() == limit, "another limit: %zu", buffer_limit());
        CHECK(held_buffer_bytes() <= limit, "%zu bytes are held after a limit of %zu", held_buffer_bytes(), limit);
        return_many();
        const size_t held = held_buffer_bytes(), most = std::max(limit, 5 * kMiB) - 5 * kMiB;
        CHECK(held <= limit && held >= most, "%zu bytes are held with a limit of %zu", held, limit);
    }
    clear_buffers();
    CHECK(held_buffer_bytes() == 0, "%zu bytes are held after all were freed", held_buffer_bytes());
}

// An allocation beyond any machine is an error, after all held memory has been freed.
void check_no_memory() {
    return_many();
    try {
        return_buffer(take_buffer(SIZE_MAX / 4 * 3));  // too much for pointers of 32 bits, too
        CHECK(false, "three quarters of the address space were allocated");
    } catch (const std::bad_alloc&) {
        CHECK(held_buffer_bytes() == 0, "%zu bytes are held", held_buffer_bytes());
    }
}

void check_threads() {
    std::vector<std::thread> owners;
    for (uint64_t thread = 0; thread < 4; ++thread)
        owners.emplace_back([thread] {
            Random random(thread);
            for (uint64_t turn = 0; turn < 300; ++turn) {
                const Owned owned(random.between(kPooledBytes, 8 * kMiB), thread << 32 | turn);
                owned.check("of two threads");
                CHECK(buffer_limit() <= kLimit && held_buffer_bytes() <= kLimit, "another limit");
                if (random.one_in(50)) clear_buffers();
                if (random.one_in(20)) set_buffer_limit(random.between(0, kLimit));
            }
        });
    for (std::thread& owner : owners) owner.join();
    set_buffer_limit(kLimit);
    return_many();
    CHECK(held_buffer_bytes() <= kLimit, "%zu bytes are held", held_buffer_bytes());
}

#if !defined(_WIN32)
// Returns the buffer of the parent too, and uses every function of the pool.
void use_in_child(std::unique_ptr<Owned> shared) {
    shared->check("after a fork");
    shared.reset();
    for (uint64_t number = 0; number < 3; ++number) {
        const Owned again(kPooledBytes, number), fresh(16 * kMiB, ~number);
        again.check("in a child");
        fresh.check("in a child");
    }
    clear_buffers();
    CHECK(held_buffer_bytes() == 0, "%zu bytes are held by a child", held_buffer_bytes());
}

void check_child(std::unique_ptr<Owned>* shared, const char* where) {
    check_in_child(where, [shared] { use_in_child(std::move(*shared)); });
    (*shared)->check("in parent and child");
}

// Other threads are in the pool while this one forks. The pool holds a buffer for each, so they allocate only inside
// the pool, and the fork waits for its lock. AddressSanitizer's allocator does not protect its own locks across a fork.
void check_fork() {
    constexpr int kOthers = 3;
    auto shared = std::make_unique<Owned>(kPooledBytes, 12345);
    check_child(&shared, "at rest");
    clear_buffers();
    void* buffers[kOthers];
    for (void*& buffer : buffers) buffer = take_buffer(kPooledBytes);
    for (void* buffer : buffers) return_buffer(buffer);
    const size_t held = held_buffer_bytes();

    std::atomic<bool> stop{false};
    std::atomic<int> started{0};
    std::vector<std::thread> others;
    for (int other = 0; other < kOthers; ++other)
        others.emplace_back([&] {
            for (++started; !stop;) {
                for (int again = 0; again < 200; ++again) return_buffer(take_buffer(kPooledBytes));
                // Without a pause, on a busy machine, the lock stays among these threads and the fork starves.
                std::this_thread::sleep_for(std::chrono::microseconds(50));
            }
        });
    while (started < kOthers) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (int again = 0; again < 30; ++again) check_child(&shared, "while others were in the pool");
    stop = true;
    for (std::thread& other : others) other.join();
    CHECK(held_buffer_bytes() == held, "%zu bytes are held, not %zu", held_buffer_bytes(), held);
}
#endif

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
    set_buffer_limit(kLimit);
    check_reuse();
    check_order();
    set_buffer_limit(kLimit);
    check_limits();
    check_no_memory();
    check_threads();
#if !defined(_WIN32)
    if (argc == 1 || std::strcmp(argv[1], "without-fork") != 0) check_fork();
#endif
}
