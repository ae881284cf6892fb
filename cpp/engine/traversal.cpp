#include "traversal.h"

#include <algorithm>
#include <cstring>

#include "../runtime/float_mode.h"
#include "number_tiles.h"

namespace bitdrop {
namespace {

// Chunks are small enough that threads end together. One thread has one chunk.
constexpr uint64_t kChunksPerThread = 8;
constexpr uint64_t kMinChunk = 4 * kBlockElements, kMaxChunk = 32 * kBlockElements;
// Shorter spans of adjacent elements are gathered first.
constexpr int64_t kMinDirectSpan = 64;
constexpr int64_t kMinSpanOfInputs = 256;  // if there are several
// Of each input, on the stack.
constexpr int64_t kGatheredBytes = kBlockElements * sizeof(float);

// Copies adjacent elements. A known number of bytes takes a fraction of the time, and most are in panels of tiles.
template <int64_t size> void copy_adjacent(char* to, const char* from, int64_t count) {
    if (count == TileNumbers::kMaxRows)
        std::memcpy(to, from, TileNumbers::kMaxRows * size);
    else
        std::memcpy(to, from, static_cast<size_t>(count * size));
}

// Elements of a known size, between adjacent places and places a stride apart.
template <int64_t size> void gather(char* to, const char* from, int64_t from_stride, int64_t count) {
    if (from_stride == size) return copy_adjacent<size>(to, from, count);
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * size, from + i * from_stride, size);
}
template <int64_t size> void scatter(char* to, int64_t to_stride, const char* from, int64_t count) {
    if (to_stride == size) return copy_adjacent<size>(to, from, count);
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_stride, from + i * size, size);
}

}  // namespace

Traversal::Traversal(const Resources& with, const Operands& operands, int inputs, const Needs& needs)
    : with_(with),
      operands_(operands),
      layout_(operands.layout),
      inputs_(inputs),
      size_(operands.element_size()),
      count_(layout_.size()),
      min_elements_per_thread_(needs.min_elements_per_thread) {
    const Axis& inner = layout_.inner();
    const bool repeatable = operands.parts == 1, one_span = layout_.ndim == 1;  // kernels repeat numbers
    bool in_place = false;
    direct_ = inner.length >= (inputs_ > 1 && !one_span ? kMinSpanOfInputs : kMinDirectSpan);
    if (needs.whole_bytes) direct_ = direct_ && (one_span || inner.length % 8 == 0);
    for (int i = 0; i <= inputs_; ++i) {
        dense_[i] = layout_.is_dense(i, size_);
        direct_ = direct_ && (inner.stride[i] == size_ || (i > 1 && repeatable && inner.stride[i] == 0));
        in_place = in_place || (i > 0 && operands_.data[i] == operands_.data[0]);
    }
    for (int i = 2; i <= inputs_; ++i)
        span_.constant[i - 1] = repeatable && (direct_ ? inner.stride[i] == 0 : layout_.repeats(i));
    const uint64_t bytes = count_ * static_cast<uint64_t>(size_);
    span_.non_temporal = (direct_ || dense_[0]) && !in_place && bytes >= non_temporal_threshold();
    block_path_ = direct_ ? &Traversal::block_of_spans : &Traversal::block_of_elements;
    gather_ = size_ == 2 ? gather<2> : size_ == 4 ? gather<4> : size_ == 8 ? gather<8> : gather<16>;
    scatter_ = size_ == 2 ? scatter<2> : size_ == 4 ? scatter<4> : size_ == 8 ? scatter<8> : scatter<16>;
}

void Traversal::sum_blocks() {
    block_path_ = &Traversal::block_of_elements;
    span_.non_temporal = span_.non_temporal && dense_[0];
}

void Traversal::run() {
    const Parallelism parallelism = choose_parallelism(count_, min_elements_per_thread_, with_.threads);
    const uint64_t steps = tiles_ ? tiles_ : count_;
    chunk_size_ = tiles_  ? (parallelism.threads == 1 ? tiles_ : 1)
                  : sums_ ? sums_->chunk
                          : chunk_size(parallelism.threads);
    const DefaultFloatMode mode;
    parallel_for((steps + chunk_size_ - 1) / chunk_size_, parallelism, do_chunk, this);
}

uint64_t Traversal::chunk_size(int threads) const {
    if (threads == 1) return count_;
    const uint64_t blocks = count_ / (static_cast<uint64_t>(threads) * kChunksPerThread) / kBlockElements;
    return std::clamp(blocks * kBlockElements, kMinChunk, kMaxChunk);
}

void Traversal::do_chunk(void* traversal, uint64_t chunk) {
    const Traversal& self = *static_cast<const Traversal*>(traversal);
    const uint64_t first = chunk * self.chunk_size_;
    self.do_range(first, std::min(first + self.chunk_size_, self.tiles_ ? self.tiles_ : self.count_));
    if (self.span_.non_temporal) self.with_.kernels->fence();
}

void Traversal::block_of_spans(Cursor* cursor, void* draws, int64_t count) const {
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        apply_draws(draws, static_cast<uint64_t>(done), span_at(cursor->place, length));
    });
}

// Operands whose elements are adjacent are used in place. Other inputs are gathered, and another output is scattered.
void Traversal::block_of_elements(Cursor* cursor, void* draws, int64_t count) const {
    char gathered[kMaxInputs][kGatheredBytes];
    const int64_t most = std::min<int64_t>(kGatheredBytes / size_, sums_ ? kRowElements : kBlockElements);
    for (int64_t start = 0; start < count; start += most) {
        const int64_t part = std::min(most, count - start);
        const bool stored = dense_[0] && !(sums_ && span_.non_temporal);  // sums are made of what is in the cache
        char* places[kMaxOperands] = {stored ? cursor->place[0] : gathered[0]};
        for (int i = 1; i <= inputs_; ++i) {
            const bool in_place = dense_[i] || span_.constant[i - 1];
            places[i] = in_place ? cursor->place[i] : gathered[i - 1];
            if (!in_place) gather_input(i, *cursor, places[i], part);
        }
        Span span = span_at(places, part);
        span.non_temporal = stored && span.non_temporal;
        apply_draws(draws, static_cast<uint64_t>(start), span);
        if (!stored) store_output(*cursor, places[0], part);
        if (sums_) add_to_sums(*cursor, places[0], part);
        for_each_span(cursor, part, [](int64_t, int64_t) {});
    }
}

// Stores adjacent values where the output's elements are.
void Traversal::store_output(const Cursor& cursor, const char* values, int64_t count) const {
    if (dense_[0]) {
        const Plan keep_all = make_plan(0, 0, 0, 0.0);
        Span span = {cursor.place[0], {values}, static_cast<uint64_t>(count), span_.non_temporal};
        with_.kernels->drop[static_cast<int>(Operation::scale)][static_cast<int>(operands_.dtype)](keep_all, 0, nullptr,
                                                                                                   {1.0}, span);
        return;
    }
    Cursor writer = cursor;
    for_each_span(&writer, count, [&](int64_t done, int64_t length) {
        scatter_(writer.place[0], layout_.inner().stride[0], values + done * size_, length);
    });
}

void Traversal::add_to_sums(const Cursor& cursor, const char* values, int64_t count) const {
    Cursor reader = cursor;
    const int64_t stride = layout_.inner().stride[inputs_ + 1] / sum_size(operands_.dtype);
    for_each_span(&reader, count, [&](int64_t done, int64_t length) {
        with_.kernels->accumulate[static_cast<int>(operands_.dtype)](
            values + done * size_, static_cast<uint64_t>(length), reader.place[inputs_ + 1], stride);
    });
}

// The sums of a chunk begin as zeros at its first element.
Cursor Traversal::cursor_at(uint64_t element) const {
    if (!sums_) return {layout_, operands_.data, element};
    char* data[kMaxOperands];
    std::copy(operands_.data, operands_.data + kMaxOperands, data);
    const size_t bytes = sums_->count * static_cast<size_t>(sum_size(operands_.dtype));
    char*& sums = data[layout_.operands - 1];
    sums = sums_->memory + element / sums_->chunk * bytes;
    std::memset(sums, 0, bytes);
    return {layout_, data, element};
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
    Span span = span_;
    span.out = places[0];
    span.inputs[0] = places[1];
    for (int i = 2; i <= inputs_; ++i) span.inputs[i - 1] = places[i];
    span.count = static_cast<uint64_t>(count * operands_.parts);
    return span;
}

}  // namespace bitdrop
