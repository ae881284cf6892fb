#include "buffer_pool.h"

#include <cstdint>
#include <cstdlib>
#include <list>
#include <mutex>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BITDROP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BITDROP_ASAN 1
#endif
#endif
#if defined(BITDROP_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace bitdrop {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
// Data begin in the middle of a page: NumPy's large arrays begin near its start, and if two addresses are equal
// modulo a page, processors mistake a load for one that waits for an earlier store.
constexpr size_t kOffset = kPage / 2;

struct Block {  // at the start of the allocation, before the data
    size_t capacity;
};

void* data_of(Block* block) { return reinterpret_cast<char*>(block) + kOffset; }
Block* block_of(void* data) { return reinterpret_cast<Block*>(static_cast<char*>(data) - kOffset); }

// Begins at a huge page but does not end at one: a last huge page that is hardly used would be paid for whole.
Block* allocate(size_t capacity) {
    const size_t bytes = (capacity + kOffset + kPage - 1) / kPage * kPage;
#if defined(_WIN32)
    void* memory = _aligned_malloc(bytes, kPage);
#else
    void* memory = nullptr;
    if (posix_memalign(&memory, kHugePage, bytes) != 0) memory = nullptr;
#endif
    if (!memory) throw std::bad_alloc();
#if defined(__linux__)
    madvise(memory, bytes, MADV_HUGEPAGE);  // advice: if it is refused, small pages serve
#endif
    return new (memory) Block{bytes - kOffset};
}

void release(Block* block) {
#if defined(_WIN32)
    _aligned_free(block);
#else
    std::free(block);
#endif
}

#if defined(BITDROP_ASAN)
void poison(Block* block) { ASAN_POISON_MEMORY_REGION(data_of(block), block->capacity); }
void unpoison(Block* block) { ASAN_UNPOISON_MEMORY_REGION(data_of(block), block->capacity); }
#else
void poison(Block*) {}
void unpoison(Block*) {}
#endif

class BufferPool {
public:
    BufferPool() {
#if !defined(_WIN32)
        // A fork waits until no other thread is inside: the child's copy of the list is then whole.
        pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                       [] { instance().mutex_.unlock(); });
#endif
    }

    // Never destroyed: arrays may die after every destructor that runs at exit.
    static BufferPool& instance() {
        static BufferPool* pool = new BufferPool;
        return *pool;
    }

    Block* take(size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex_);
        for (auto it = blocks_.begin(); it != blocks_.end(); ++it) {
            Block* block = *it;
            if (block->capacity < bytes || block->capacity > bytes + bytes / 4 + kHugePage) continue;
            blocks_.erase(it);
            held_ -= block->capacity;
            unpoison(block);
            return block;
        }
        return nullptr;
    }

    void keep(Block* block) {
        std::lock_guard<std::mutex> lock(mutex_);
        blocks_.push_front(block);  // may throw: nothing has changed then
        held_ += block->capacity;
        poison(block);
        shrink(limit_);
    }

    void set_limit(size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex_);
        limit_ = bytes;
        shrink(limit_);
    }

    void clear() {
        std::lock_guard<std::mutex> lock(mutex_);
        shrink(0);
    }

    size_t limit() {
        std::lock_guard<std::mutex> lock(mutex_);
        return limit_;
    }

    size_t held() {
        std::lock_guard<std::mutex> lock(mutex_);
        return held_;
    }

private:
    void shrink(size_t bytes) {  // the least recently used first
        while (held_ > bytes) {
            Block* block = blocks_.back();
            blocks_.pop_back();
            held_ -= block->capacity;
            unpoison(block);
            release(block);
        }
    }

    std::mutex mutex_;
    std::list<Block*> blocks_;  // free, the last returned first
    size_t held_ = 0;
    size_t limit_ = 0;
};

}  // namespace

void* take_buffer(size_t bytes) {
    if (Block* block = BufferPool::instance().take(bytes)) return data_of(block);
    try {
        return data_of(allocate(bytes));
    } catch (const std::bad_alloc&) {
        clear_buffers();  // held memory may be the missing memory
        return data_of(allocate(bytes));
    }
}

void return_buffer(void* buffer) noexcept {
    Block* block = block_of(buffer);
    try {
        BufferPool::instance().keep(block);
    } catch (const std::bad_alloc&) {
        release(block);
    }
}

size_t buffer_limit() { return BufferPool::instance().limit(); }
void set_buffer_limit(size_t bytes) { BufferPool::instance().set_limit(bytes); }
size_t held_buffer_bytes() { return BufferPool::instance().held(); }
void clear_buffers() { BufferPool::instance().clear(); }

}  // namespace bitdrop
