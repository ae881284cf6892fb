// The walk of a call that drops: its draws are bits.
#pragma once

#include "traversal.h"

namespace bitdrop {

class MaskTraversal final : public Traversal {
public:
    // With a plan, bits are generated (element i has bit i), and stored if `bits` is not null. Without one, `bits`
    // are read.
    MaskTraversal(const Resources& with, const Operands& operands, const Affine& affine, const Plan* plan,
                  uint8_t* bits);

    // Bits are read, and the output is summed.
    MaskTraversal(const Resources& with, const Operands& operands, const Affine& affine, uint8_t* bits,
                  const Sums& sums);

private:
    void choose_path();
    void do_range(uint64_t first, uint64_t last) const override { (this->*path_)(first, last); }
    void apply_draws(void* bits, uint64_t first, const Span& span) const override;

    // Paths: elements first ... last - 1.
    void drop_contiguous(uint64_t first, uint64_t last) const;
    void apply_spans(uint64_t first, uint64_t last) const;
    void apply_shared_bits(uint64_t first, uint64_t last) const;
    void apply_blocks(uint64_t first, uint64_t last) const;

    uint8_t* bits_of_block(const Cursor& cursor, uint64_t first, int64_t count, uint8_t* scratch) const;
    void apply_equal_bits(char* const* places, bool kept, int64_t count) const;

    using Path = void (MaskTraversal::*)(uint64_t first, uint64_t last) const;

    const Affine& affine_;
    const Plan* const plan_;
    uint8_t* const bits_;
    const Kernels::Drop drop_;
    Kernels::Apply apply_;
    Path path_;
};

}  // namespace bitdrop
