// Division of chunks among threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "parallel.h"

namespace bitdrop {

// The chunks of one thread, on a cache line of their own.
struct alignas(64) ChunkRange {
    std::atomic<uint64_t> next{0};
    uint64_t end = 0;
};

// `ranges`: an indexable container of ChunkRange, one for each thread.
template <class Ranges> void divide_chunks(Ranges* ranges, int threads, uint64_t chunks) {
    const uint64_t parts = static_cast<uint64_t>(threads);
    for (uint64_t part = 0; part < parts; ++part) {
        (*ranges)[part].next.store(chunks * part / parts, std::memory_order_relaxed);
        (*ranges)[part].end = chunks * (part + 1) / parts;
    }
}

// The thread's own range comes first, so that a reused array finds its parts in the same caches; then the chunks that
// other threads have left.
template <class Ranges> void work_on_chunks(Ranges* ranges, int threads, int self, Task task, void* context) {
    for (int turn = 0; turn < threads; ++turn) {
        ChunkRange& range = (*ranges)[static_cast<size_t>((self + turn) % threads)];
        for (uint64_t chunk; (chunk = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;)
            task(context, chunk);
    }
}

}  // namespace bitdrop
