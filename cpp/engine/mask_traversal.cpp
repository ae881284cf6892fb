#include "mask_traversal.h"

#include <algorithm>

#include "mask_bits.h"

namespace bitdrop {
namespace {

constexpr uint64_t kMinElementsPerThread = 32 * kBlockElements;

}  // namespace

// Bits of active elements are stored from the first of a byte on.
MaskTraversal::MaskTraversal(const Resources& with, const Operands& operands, const Affine& affine, const Plan* plan,
                             uint8_t* bits)
    : Traversal(with, operands, inputs_of(affine.operation), {kMinElementsPerThread, has_activation(affine.operation)}),
      affine_(affine),
      plan_(plan),
      bits_(bits),
      drop_(with.kernels->drop[static_cast<int>(affine.operation)][static_cast<int>(operands.dtype)]),
      apply_(with.kernels->apply[static_cast<int>(affine.operation)][static_cast<int>(operands.dtype)]) {
    choose_path();
}

MaskTraversal::MaskTraversal(const Resources& with, const Operands& operands, const Affine& affine, uint8_t* bits,
                             const Sums& sums)
    : MaskTraversal(with, operands, affine, nullptr, bits) {
    sums_ = &sums;
    const Axis& inner = layout_.inner();
    const bool adjacent_sums = size_ == sum_size(operands.dtype) && inner.stride[inputs_ + 1] == size_;
    if (path_ == &MaskTraversal::apply_spans && adjacent_sums) {  // a span has a sum for each element
        apply_ = with.kernels->apply[static_cast<int>(Operation::scale_sum)][static_cast<int>(operands.dtype)];
        inputs_ = 2;
        return;
    }
    path_ = &MaskTraversal::apply_blocks;
    sum_blocks();
}

void MaskTraversal::choose_path() {
    const Axis& inner = layout_.inner();
    const bool follow = layout_.bits_follow, each = operands_.parts == 1;  // each number of an element has a bit
    path_ = &MaskTraversal::apply_blocks;
    if (plan_) {
        if (direct_ && follow && each && layout_.ndim == 1) path_ = &MaskTraversal::drop_contiguous;
    } else if (has_activation(affine_.operation)) {
        return;  // by blocks: the bits of a span must begin with a byte
    } else if (direct_ && each && (follow || inner.bit_stride == 1)) {
        path_ = &MaskTraversal::apply_spans;
    } else if (direct_ && inner.bit_stride == 0 && inputs_ == 1) {
        path_ = &MaskTraversal::apply_shared_bits;
    }
}

void MaskTraversal::apply_draws(void* bits, uint64_t first, const Span& span) const {
    first *= static_cast<uint64_t>(operands_.parts);
    apply_(static_cast<uint8_t*>(bits) + first / 8, first % 8, affine_, span);
}

void MaskTraversal::drop_contiguous(uint64_t first, uint64_t last) const {
    const Cursor cursor(layout_, operands_.data, first);
    const Span span = span_at(cursor.place, static_cast<int64_t>(last - first));
    drop_(*plan_, first, bits_ ? bits_ + first / 8 : nullptr, affine_, span);
}

// Long spans whose bits are adjacent.
void MaskTraversal::apply_spans(uint64_t first, uint64_t last) const {
    Cursor cursor = cursor_at(first);
    for_each_span(&cursor, static_cast<int64_t>(last - first),
                  [&](int64_t, int64_t length) { apply_(bits_, cursor.bit, affine_, span_at(cursor.place, length)); });
}

// Long spans whose elements share a bit. Neighbouring spans of equal bits are one.
void MaskTraversal::apply_shared_bits(uint64_t first, uint64_t last) const {
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
void MaskTraversal::apply_equal_bits(char* const* places, bool kept, int64_t count) const {
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
void MaskTraversal::apply_blocks(uint64_t first, uint64_t last) const {
    Cursor cursor = cursor_at(first);
    for (uint64_t start = first; start < last; start += kBlockElements) {
        uint8_t scratch[kBlockBytes];
        const int64_t count = static_cast<int64_t>(std::min(kBlockElements, last - start));
        uint8_t* bits = bits_of_block(cursor, start, count, scratch);
        uint8_t doubled[2 * kBlockBytes];
        if (operands_.parts == 2) double_bits(doubled, bits, static_cast<uint64_t>(count));
        do_block(&cursor, operands_.parts == 2 ? doubled : bits, count);
    }
}

// The bits of a block, packed from bit 0: stored, generated, or gathered by their strides.
uint8_t* MaskTraversal::bits_of_block(const Cursor& cursor, uint64_t first, int64_t count, uint8_t* scratch) const {
    if (plan_) {
        uint8_t* bits = bits_ ? bits_ + first / 8 : scratch;
        generate_bits(*with_.kernels, *plan_, first, static_cast<uint64_t>(count), bits);
        return bits;
    }
    if (layout_.bits_follow) return bits_ + first / 8;
    Cursor reader = cursor;
    gather_bits(&reader, bits_, scratch, static_cast<uint64_t>(count));
    return scratch;
}

}  // namespace bitdrop
