#include "noise_traversal.h"

#include <algorithm>

#include "block_reader.h"

namespace bitdrop {
namespace {

constexpr uint64_t kMinElementsPerThread = 8 * kBlockElements;

// A block of normal numbers, for BlockReader.
struct NoiseBlock {
    static constexpr uint64_t kElements = kNoiseBlockElements;

    const Kernels& kernels;
    const NoisePlan& plan;
    alignas(64) float normals[kElements] = {};

    void generate(uint64_t number) { kernels.generate_noise(plan, number, 1, normals); }

    void copy(uint64_t at, uint64_t stride, float* to, uint64_t to_index, uint64_t count) const {
        if (stride == 0) std::fill_n(to + to_index, count, normals[at]);
        if (stride == 1) std::copy_n(normals + at, count, to + to_index);
        if (stride > 1)
            for (uint64_t i = 0; i < count; ++i) to[to_index + i] = normals[at + i * stride];
    }
};

}  // namespace

NoiseTraversal::NoiseTraversal(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first)
    : Traversal(with, operands, 1, {kMinElementsPerThread}),
      plan_(plan),
      first_(first),
      dtype_(static_cast<int>(operands.dtype)) {
    const bool follow = layout_.bits_follow || layout_.inner().bit_stride == 1;
    path_ = direct_ && follow && layout_.ndim == 1 ? &NoiseTraversal::multiply_contiguous
                                                   : &NoiseTraversal::multiply_blocks;
}

void NoiseTraversal::apply_draws(void* normals, uint64_t first, const Span& span) const {
    with_.kernels->apply_normals[dtype_](static_cast<float*>(normals) + first, plan_.sigma, span);
}

void NoiseTraversal::multiply_contiguous(uint64_t first, uint64_t last) const {
    const Cursor cursor(layout_, operands_.data, first);
    const Span span = span_at(cursor.place, static_cast<int64_t>(last - first));
    with_.kernels->noise[dtype_](plan_, first_ + first, span);
}

// Any layout, a block of elements at a time: first their numbers, then the elements.
void NoiseTraversal::multiply_blocks(uint64_t first, uint64_t last) const {
    BlockReader<NoiseBlock> reader(NoiseBlock{*with_.kernels, plan_});
    const uint64_t stride = layout_.bits_follow ? 1 : static_cast<uint64_t>(layout_.inner().bit_stride);
    Cursor cursor(layout_, operands_.data, first);
    for (uint64_t start = first; start < last; start += kNoiseBlockElements) {
        const int64_t count = static_cast<int64_t>(std::min(kNoiseBlockElements, last - start));
        alignas(64) float normals[kNoiseBlockElements];
        Cursor draws = cursor;
        for_each_span(&draws, count, [&](int64_t done, int64_t length) {
            reader.read(first_ + draws.bit, stride, normals, static_cast<uint64_t>(done),
                        static_cast<uint64_t>(length));
        });
        do_block(&cursor, normals, count);
    }
}

}  // namespace bitdrop
