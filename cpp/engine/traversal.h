// A walk over the operands of a call. Its path is chosen once, from layout, bits and operation.
#pragma once

#include "engine.h"

namespace bitdrop {

class Traversal {
public:
    // With a plan, bits are generated (element i has bit i), and stored if `bits` is not null. Without one, `bits`
    // are read.
    Traversal(const Resources& with, const Operands& operands, const Affine& affine, const Plan* plan, uint8_t* bits);

    void run();

private:
    void choose_path();
    uint64_t chunk_size(int threads) const;
    static void do_chunk(void* traversal, uint64_t chunk);

    // Paths: elements first ... last - 1.
    void drop_contiguous(uint64_t first, uint64_t last) const;
    void apply_spans(uint64_t first, uint64_t last) const;
    void apply_shared_bits(uint64_t first, uint64_t last) const;
    void apply_blocks(uint64_t first, uint64_t last) const;

    // The elements of a block, whose bits are packed from bit 0.
    void block_of_spans(Cursor* cursor, uint8_t* bits, int64_t count) const;
    void block_of_elements(Cursor* cursor, uint8_t* bits, int64_t count) const;

    uint8_t* bits_of_block(const Cursor& cursor, uint64_t first, int64_t count, uint8_t* scratch) const;
    void gather_input(int operand, const Cursor& cursor, char* to, int64_t count) const;
    void apply_equal_bits(char* const* places, bool kept, int64_t count) const;
    Span span_at(char* const* places, int64_t count) const;

    using Path = void (Traversal::*)(uint64_t first, uint64_t last) const;
    using BlockPath = void (Traversal::*)(Cursor* cursor, uint8_t* bits, int64_t count) const;
    using Gather = void (*)(char* to, const char* from, int64_t from_stride, int64_t count);
    using Scatter = void (*)(char* to, int64_t to_stride, const char* from, int64_t count);

    const Resources& with_;
    const Operands& operands_;
    const Layout& layout_;
    const Affine& affine_;
    const Plan* const plan_;
    uint8_t* const bits_;
    const int64_t size_;  // bytes of an element
    const uint64_t count_;
    const Kernels::Drop drop_;
    const Kernels::Apply apply_;
    bool non_temporal_;
    bool constant_[kMaxOperands] = {};  // one element for an innermost span
    bool dense_[kMaxOperands] = {};
    Path path_;
    BlockPath block_path_;
    Gather gather_;
    Scatter scatter_;
    uint64_t chunk_size_ = 0;
};

}  // namespace bitdrop
