#include "traversal.h"

#include <algorithm>
#include <cstring>

#include "../runtime/float_mode.h"

namespace bitdrop {
namespace {

// Chunks are small enough that threads end together. One thread has one chunk.
constexpr uint64_t kChunksPerThread = 8;
constexpr uint64_t kMinChunk = 4 * kBlockElements, kMaxChunk = 32 * kBlockElements;
// Shorter spans of adjacent elements are gathered first.
constexpr int64_t kMinDirectSpan = 64;

// Elements of a known size, between adjacent places and places a stride apart.
template <int64_t size> void gather(char* to, const char* from, int64_t from_stride, int64_t count) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * size, from + i * from_stride, size);
}
template <int64_t size> void scatter(char* to, int64_t to_stride, const char* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_stride, from + i * size, size);
}

}  // namespace

Traversal::Traversal(const Resources& with, const Operands& operands, uint64_t min_elements_per_thread)
    : with_(with),
      operands_(operands),
      layout_(operands.layout),
      size_(item_size(operands.dtype)),
      count_(layout_.size()),
      dtype_(static_cast<int>(operands.dtype)),
      min_elements_per_thread_(min_elements_per_thread) {
    const Axis& inner = layout_.inner();
    bool in_place = false;
    direct_ = inner.length >= kMinDirectSpan;
    for (int i = 0; i < layout_.operands; ++i) direct_ = direct_ && inner.stride[i] == size_;
    for (int i = 1; i < layout_.operands; ++i) in_place = in_place || operands_.data[i] == operands_.data[0];
    const uint64_t bytes = count_ * static_cast<uint64_t>(size_);
    non_temporal_ = direct_ && !in_place && bytes >= non_temporal_threshold();
    block_path_ = direct_                   ? &Traversal::block_of_spans
                  : layout_.is_dense(size_) ? &Traversal::block_of_dense_memory
                                            : &Traversal::block_of_scattered_elements;
    gather_ = size_ == 2 ? gather<2> : size_ == 4 ? gather<4> : gather<8>;
    scatter_ = size_ == 2 ? scatter<2> : size_ == 4 ? scatter<4> : scatter<8>;
}

void Traversal::run() {
    const Parallelism parallelism = choose_parallelism(count_, min_elements_per_thread_, with_.threads);
    chunk_size_ = chunk_size(parallelism.threads);
    const DefaultFloatMode mode;
    parallel_for((count_ + chunk_size_ - 1) / chunk_size_, parallelism, do_chunk, this);
}

uint64_t Traversal::chunk_size(int threads) const {
    if (threads == 1) return count_;
    const uint64_t blocks = count_ / (static_cast<uint64_t>(threads) * kChunksPerThread) / kBlockElements;
    return std::clamp(blocks * kBlockElements, kMinChunk, kMaxChunk);
}

void Traversal::do_chunk(void* traversal, uint64_t chunk) {
    const Traversal& self = *static_cast<const Traversal*>(traversal);
    const uint64_t first = chunk * self.chunk_size_;
    self.do_elements(first, std::min(first + self.chunk_size_, self.count_));
    if (self.non_temporal_) self.with_.kernels->fence();
}

void Traversal::block_of_spans(Cursor* cursor, const void* draws, int64_t count) const {
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        apply_draws(draws, static_cast<uint64_t>(done), span_at(cursor->place, length));
    });
}

void Traversal::block_of_dense_memory(Cursor* cursor, const void* draws, int64_t count) const {
    apply_draws(draws, 0, span_at(cursor->place, count));
    for_each_span(cursor, count, [](int64_t, int64_t) {});
}

// Gathers the inputs, applies in place, and scatters the output.
void Traversal::block_of_scattered_elements(Cursor* cursor, const void* draws, int64_t count) const {
    const Axis& inner = layout_.inner();
    char gathered[kMaxInputs][kBlockElements * sizeof(double)];
    char* places[kMaxOperands] = {gathered[0]};
    for (int i = 1; i < layout_.operands; ++i) places[i] = gathered[i - 1];
    Cursor output = *cursor;
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        for (int i = 1; i < layout_.operands; ++i)
            gather_(places[i] + done * size_, cursor->place[i], inner.stride[i], length);
    });
    apply_draws(draws, 0, span_at(places, count));
    for_each_span(&output, count, [&](int64_t done, int64_t length) {
        scatter_(output.place[0], inner.stride[0], places[0] + done * size_, length);
    });
}

// Non-temporal stores are not used on gathered elements, nor on a call in place.
Span Traversal::span_at(char* const* places, int64_t count) const {
    Span span = {places[0], {}, static_cast<uint64_t>(count)};
    for (int i = 1; i < layout_.operands; ++i) span.inputs[i - 1] = places[i];
    span.non_temporal = non_temporal_;
    return span;
}

}  // namespace bitdrop
