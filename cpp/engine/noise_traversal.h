// The walk of a call that multiplies by noise: its draws are normal numbers.
#pragma once

#include "traversal.h"

namespace bitdrop {

class NoiseTraversal final : public Traversal {
public:
    NoiseTraversal(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first);

private:
    void do_elements(uint64_t first, uint64_t last) const override { (this->*path_)(first, last); }
    void apply_draws(void* normals, uint64_t first, const Span& span) const override;

    // Paths: elements first ... last - 1.
    void multiply_contiguous(uint64_t first, uint64_t last) const;
    void multiply_blocks(uint64_t first, uint64_t last) const;

    using Path = void (NoiseTraversal::*)(uint64_t first, uint64_t last) const;

    const NoisePlan& plan_;
    const uint64_t first_;  // index of the first element's number
    const int dtype_;  // of the kernel table
    Path path_;
};

}  // namespace bitdrop
