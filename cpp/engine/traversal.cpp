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
      drop_(with.kernels->drop[static_cast<int>(affine.operation)][static_cast<int>(operands.dtype)]),
      apply_(with.kernels->apply[static_cast<int>(affine.operation)][static_cast<int>(operands.dtype)]) {
    choose_path();
}

void Traversal::choose_path() {
    const Axis& inner = layout_.inner();
    bool direct = inner.length >= kMinDirectSpan, in_place = false;
    for (int i = 0; i < layout_.operands; ++i) {
        constant_[i] = i > 1 && inner.stride[i] == 0;  // of a span
        dense_[i] = layout_.is_dense(i, size_);
        direct = direct && (inner.stride[i] == size_ || constant_[i]);
        in_place = in_place || (i > 0 && operands_.data[i] == operands_.data[0]);
    }
    if (has_activation(affine_.operation)) direct = direct && layout_.ndim == 1;  // bits of a span begin with bit 0
    if (!direct)
        for (int i = 2; i < layout_.operands; ++i) constant_[i] = layout_.repeats(i);
    const uint64_t bytes = count_ * static_cast<uint64_t>(size_);
    non_temporal_ = (direct || dense_[0]) && !in_place && bytes >= non_temporal_threshold();

    const bool follow = layout_.bits_follow;
    path_ = &Traversal::apply_blocks;
    if (plan_) {
        if (direct && follow && layout_.ndim == 1) path_ = &Traversal::drop_contiguous;
    } else if (direct && (follow || inner.bit_stride == 1)) {
        path_ = &Traversal::apply_spans;
    } else if (direct && inner.bit_stride == 0 && layout_.operands == 2) {
        path_ = &Traversal::apply_shared_bits;
    }
    block_path_ = direct ? &Traversal::block_of_spans : &Traversal::block_of_elements;
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
    drop_(*plan_, first, bits_ ? bits_ + first / 8 : nullptr, affine_, span);
}

// Long spans whose bits are adjacent.
void Traversal::apply_spans(uint64_t first, uint64_t last) const {
    Cursor cursor(layout_, operands_.data, first);
    for_each_span(&cursor, static_cast<int64_t>(last - first),
                  [&](int64_t, int64_t length) { apply_(bits_, cursor.bit, affine_, span_at(cursor.place, length)); });
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
        drop_(keep_all, 0, nullptr, affine_, span);
    } else {
        with_.kernels->fill[static_cast<int>(operands_.dtype)](affine_.dropped, span);
    }
}

// Any layout, a block of elements at a time: first their bits, then the elements.
void Traversal::apply_blocks(uint64_t first, uint64_t last) const {
    Cursor cursor(layout_, operands_.data, first);
    for (uint64_t start = first; start < last; start += kBlockElements) {
        uint8_t scratch[kBlockBytes];
        const int64_t count = static_cast<int64_t>(std::min(kBlockElements, last - start));
        uint8_t* bits = bits_of_block(cursor, start, count, scratch);
        (this->*block_path_)(&cursor, bits, count);
        if (with_.active_bits) std::memcpy(with_.active_bits + start / 8, bits, static_cast<size_t>(count + 7) / 8);
    }
}

// The bits of a block, packed from bit 0: stored, generated, or gathered by their strides.
uint8_t* Traversal::bits_of_block(const Cursor& cursor, uint64_t first, int64_t count, uint8_t* scratch) const {
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

void Traversal::block_of_spans(Cursor* cursor, uint8_t* bits, int64_t count) const {
    for_each_span(cursor, count, [&](int64_t done, int64_t length) {
        apply_(bits, static_cast<uint64_t>(done), affine_, span_at(cursor->place, length));
    });
}

// Operands whose elements are adjacent are used in place. Other inputs are gathered, and another output is scattered.
void Traversal::block_of_elements(Cursor* cursor, uint8_t* bits, int64_t count) const {
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
        apply_(bits + start / 8, 0, affine_, span_at(places, part));
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
    Span span = {places[0], {}, static_cast<uint64_t>(count)};
    for (int i = 1; i < layout_.operands; ++i) {
        span.inputs[i - 1] = places[i];
        span.constant[i - 1] = constant_[i];
    }
    span.non_temporal = non_temporal_;
    return span;
}

}  // namespace bitdrop
