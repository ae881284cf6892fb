#include "traversal.h"

#include <algorithm>
#include <cstring>

#include "../runtime/float_mode.h"

namespace bitdrop {
namespace {

// Below this, waking a thread costs more than it saves.
constexpr uint64_t kMinElementsPerThread = 32 * kBlockElements;
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

Traversal::Traversal(const Resources& with, const Operands& operands, const Affine& affine, const Plan* plan,
                     uint8_t* bits)
    : with_(with),
      operands_(operands),
      layout_(operands.layout),
      affine_(affine),
      plan_(plan),
      bits_(bits),
      size_(item_size(operands.dtype)),
      count_(layout_.size()),
      operation_(static_cast<int>(operation_of(affine))),
      dtype_(static_cast<int>(operands.dtype)) {
    choose_path();
}

void Traversal::choose_path() {
    const Axis& inner = layout_.inner();
    bool direct = inner.length >= kMinDirectSpan, in_place = false;
    for (int i = 0; i < layout_.operands; ++i) direct = direct && inner.stride[i] == size_;
    for (int i = 1; i < layout_.operands; ++i) in_place = in_place || operands_.data[i] == operands_.data[0];
    const uint64_t bytes = count_ * static_cast<uint64_t>(size_);
    non_temporal_ = direct && !in_place && bytes >= non_temporal_threshold();

    const bool follow = layout_.bits_follow;
    path_ = &Traversal::apply_blocks;
    if (plan_) {
        if (direct && follow && layout_.ndim == 1) path_ = &Traversal::drop_contiguous;
    } else if (direct && (follow || inner.bit_stride == 1)) {
        path_ = &Traversal::apply_spans;
    } else if (direct && inner.bit_stride == 0) {
        path_ = &Traversal::apply_shared_bits;
    }
    block_path_ = direct                    ? &Traversal::block_of_spans
                  : layout_.is_dense(size_) ? &Traversal::block_of_dense_memory
                                            : &Traversal::block_of_scattered_elements;
    gather_ = size_ == 2 ? gather<2> : size_ == 4 ? gather<4> : gather<8>;
    scatter_ = size_ == 2 ? scatter<2> : size_ == 4 ? scatter<4> : scatter<8>;
}

void Traversal::run() {
    const Parallelism parallelism = choose_parallelism(count_, kMinElementsPerThread, with_.threads);
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
    (self.*self.path_)(first, std::min(first + self.chunk_size_, self.count_));
    if (self.non_temporal_) self.with_.kernels->fence();
}

void Traversal::drop_contiguous(uint64_t first, uint64_t last) const {
    const Cursor cursor(layout_, operands_.data, first);
    const Span span = span_at(cursor.place, static_cast<int64_t>(last - first));
    with_.kernels->drop[operation_][dtype_](*plan_, first, bits_ ? bits_ + first / 8 : nullptr, affine_, span);
}

// Long spans whose bits are adjacent.
void Traversal::apply_spans(uint64_t first, uint64_t last) const {
    Cursor cursor(layout_, operands_.data, first);
    const auto apply = with_.kernels->apply[operation_][dtype_];
    for_each_span(&cursor, static_cast<int64_t>(last - first),
                  [&](int64_t, int64_t length) { apply(bits_, cursor.bit, affine_, span_at(cursor.place, length)); });
}

// Long spans whose elements share a bit. Neighbouring spans of equal bits are one.
void Traversal::apply_shared_bits(uint64_t first, uint64_t last) const {
    Cursor cursor(layout_, operands_.data, first);
    char* start[kMaxOperands];
    std::copy(cursor.place, cursor.place + layout_.operands, start);
    bool kept = packed_bit(bits_, cursor.bit);
    int64_t pending = 0;
    const auto continues = [&] {
        for (int i = 0; i < layout_.operands; ++i)
            if (cursor.place[i] != start[i] + pending * size_) return false;
        return true;
    };
    for_each_span(&cursor, static_cast<int64_t>(last - first), [&](int64_t, int64_t length) {
        const bool keep = packed_bit(bits_, cursor.bit);
        if (keep != kept || !continues()) {
            apply_equal_bits(start, kept, pending);
            std::copy(cursor.place, cursor.place + layout_.operands, start);
            kept = keep;
            pending = 0;
        }
        pending += length;
    });
    apply_equal_bits(start, kept, pending);
}

// Dropped elements are filled without being read.
void Traversal::apply_equal_bits(char* const* places, bool kept, int64_t count) const {
    Span span = span_at(places, count);
    span.isolated = true;
    if (kept) {
        const Plan keep_all = make_plan(0, 0, 0, 0.0);
        with_.kernels->drop[operation_][dtype_](keep_all, 0, nullptr, affine_, span);
    } else {
        with_.kernels->fill[dtype_](affine_.dropped, span);
    }
}

// Any layout, a block of elements at a time: first their bits, then the elements.
void Traversal::apply_blocks(uint64_t first, uint64_t last) const {
    Cursor cursor(layout_, operands_.data, first);
    for (uint64_t start = first; start < last; start += kBlockElements) {
        uint8_t scratch[kBlockBytes];
        const int64_t count = static_cast<int64_t>(std::min(kBlockElements, last - start));
        (this->*block_path_)(&cursor, bits_of_block(cursor, start, count, scratch), count);
    }
}

// The bits of a block, packed from bit 0: stored, generated, or gathered by their strides.
const uint8_t* Traversal::bits_of_block(const Cursor& cursor, uint64_t first, int64_t count, uint8_t* scratch) const {
    if (plan_) {
        uint8_t* bits = bits_ ? bits_ + first / 8 : scratch;
        generate_bits(*with_.kernels, *plan_, first, static_cast<uint64_t>(count), bits);
        return bits;
    }
    if (layout_.bits_follow) return bits_ + first / 8;
    std::memset(scratch, 0, kBlockBytes);
    Cursor reader = cursor;
    const uint64_t stride = static_cast<uint64_t>(layout_.inner().bit_stride);
    for_each_span(&reader, count, [&](int64_t done, int64_t length) {
        copy_strided_bits(scratch, static_cast<uint64_t>(done), bits_, reader.bit, stride,
                          static_cast<uint64_t>(length));
    });
    return scratch;
}

void Traversal::block_of_spans(Cursor* cursor, const uint8_t* bits, int64_t count) const {
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        with_.kernels->apply[operation_][dtype_](bits, static_cast<uint64_t>(done), affine_,
                                                 span_at(cursor->place, length));
    });
}

void Traversal::block_of_dense_memory(Cursor* cursor, const uint8_t* bits, int64_t count) const {
    with_.kernels->apply[operation_][dtype_](bits, 0, affine_, span_at(cursor->place, count));
    for_each_span(cursor, count, [](int64_t, int64_t) {});
}

// Gathers the inputs, applies in place, and scatters the output.
void Traversal::block_of_scattered_elements(Cursor* cursor, const uint8_t* bits, int64_t count) const {
    const Axis& inner = layout_.inner();
    char gathered[kMaxInputs][kBlockElements * sizeof(double)];
    char* places[kMaxOperands] = {gathered[0]};
    for (int i = 1; i < layout_.operands; ++i) places[i] = gathered[i - 1];
    Cursor output = *cursor;
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        for (int i = 1; i < layout_.operands; ++i)
            gather_(places[i] + done * size_, cursor->place[i], inner.stride[i], length);
    });
    with_.kernels->apply[operation_][dtype_](bits, 0, affine_, span_at(places, count));
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
