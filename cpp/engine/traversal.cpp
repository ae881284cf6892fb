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
// Of each input, on the stack.
constexpr int64_t kGatheredBytes = kBlockElements * sizeof(float);

// Elements of a known size, between adjacent places and places a stride apart.
template <int64_t size> void gather(char* to, const char* from, int64_t from_stride, int64_t count) {
    if (from_stride == size) {
        std::memcpy(to, from, static_cast<size_t>(count * size));
        return;
    }
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * size, from + i * from_stride, size);
}
template <int64_t size> void scatter(char* to, int64_t to_stride, const char* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_stride, from + i * size, size);
}

}  // namespace

Traversal::Traversal(const Resources& with, const Operands& operands, const Needs& needs)
    : with_(with),
      operands_(operands),
      layout_(operands.layout),
      size_(operands.element_size()),
      count_(layout_.size()),
      min_elements_per_thread_(needs.min_elements_per_thread) {
    const Axis& inner = layout_.inner();
    const bool repeatable = operands.parts == 1;  // kernels repeat numbers
    bool in_place = false;
    direct_ = inner.length >= kMinDirectSpan && (layout_.ndim == 1 || !needs.one_span);
    for (int i = 0; i < layout_.operands; ++i) {
        constant_[i] = i > 1 && repeatable && inner.stride[i] == 0;  // of a span
        dense_[i] = layout_.is_dense(i, size_);
        direct_ = direct_ && (inner.stride[i] == size_ || constant_[i]);
        in_place = in_place || (i > 0 && operands_.data[i] == operands_.data[0]);
    }
    if (!direct_)
        for (int i = 2; i < layout_.operands; ++i) constant_[i] = repeatable && layout_.repeats(i);
    const uint64_t bytes = count_ * static_cast<uint64_t>(size_);
    non_temporal_ = (direct_ || dense_[0]) && !in_place && bytes >= non_temporal_threshold();
    block_path_ = direct_ ? &Traversal::block_of_spans : &Traversal::block_of_elements;
    gather_ = size_ == 2 ? gather<2> : size_ == 4 ? gather<4> : size_ == 8 ? gather<8> : gather<16>;
    scatter_ = size_ == 2 ? scatter<2> : size_ == 4 ? scatter<4> : size_ == 8 ? scatter<8> : scatter<16>;
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

void Traversal::block_of_spans(Cursor* cursor, void* draws, int64_t count) const {
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        apply_draws(draws, static_cast<uint64_t>(done), span_at(cursor->place, length));
    });
}

// Operands whose elements are adjacent are used in place. Other inputs are gathered, and another output is scattered.
void Traversal::block_of_elements(Cursor* cursor, void* draws, int64_t count) const {
    char gathered[kMaxInputs][kGatheredBytes];
    const int64_t most = std::min<int64_t>(kGatheredBytes / size_, kBlockElements);
    for (int64_t start = 0; start < count; start += most) {
        const int64_t part = std::min(most, count - start);
        char* places[kMaxOperands] = {dense_[0] ? cursor->place[0] : gathered[0]};
        for (int i = 1; i < layout_.operands; ++i) {
            const bool in_place = dense_[i] || constant_[i];
            places[i] = in_place ? cursor->place[i] : gathered[i - 1];
            if (!in_place) gather_input(i, *cursor, places[i], part);
        }
        apply_draws(draws, static_cast<uint64_t>(start), span_at(places, part));
        for_each_span(cursor, part, [&](int64_t done, int64_t length) {
            if (!dense_[0]) scatter_(cursor->place[0], layout_.inner().stride[0], places[0] + done * size_, length);
        });
    }
}

void Traversal::gather_input(int operand, const Cursor& cursor, char* to, int64_t count) const {
    Cursor reader = cursor;
    const int64_t stride = layout_.inner().stride[operand];
    for_each_span(&reader, count, [&](int64_t done, int64_t length) {
        gather_(to + done * size_, reader.place[operand], stride, length);
    });
}

// Non-temporal stores are not used on gathered elements, nor on a call in place.
Span Traversal::span_at(char* const* places, int64_t count) const {
    Span span = {places[0], {}, static_cast<uint64_t>(count * operands_.parts)};
    for (int i = 1; i < layout_.operands; ++i) {
        span.inputs[i - 1] = places[i];
        span.constant[i - 1] = constant_[i];
    }
    span.non_temporal = non_temporal_;
    return span;
}

}  // namespace bitdrop
