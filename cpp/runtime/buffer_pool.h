// Reuse of the memory of large results: touching fresh pages costs more than the dropout.
#pragma once

#include <cstddef>

namespace bitdrop {

constexpr size_t kPooledBytes = size_t{1} << 20;  // smaller buffers are left to the allocator

// At least `bytes` bytes, aligned to a cache line. Throws std::bad_alloc.
void* take_buffer(size_t bytes);

// Keeps a buffer of take_buffer for reuse, within the limit.
void return_buffer(void* buffer) noexcept;

size_t buffer_limit();                // bytes that may be held for reuse
void set_buffer_limit(size_t bytes);  // frees the excess
size_t held_buffer_bytes();
void clear_buffers();

}  // namespace bitdrop
