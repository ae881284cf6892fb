// The functions of an instruction set: plain C signatures, no Python, no allocation, no exceptions.
#pragma once

#include "../format/noise_format.h"
#include "dtype.h"
#include "operation.h"

namespace bitdrop {

constexpr int kSumLanes = 32;

// Contiguous elements of each operand, not necessarily aligned. `out` is an input or overlaps none.
// No kernel touches a byte outside the span, not even to read it.
struct Span {
    void* out;
    const void* inputs[kMaxInputs];
    uint64_t count;
    bool non_temporal = false;  // store past the caches; `out` must not be an input, and `fence` must follow
    bool isolated = false;      // the memory after the span is not read next, so it is not prefetched
    bool constant[kMaxInputs] = {};  // inputs of one element for all of the span: any but the first
};

// Features of CPU and operating system that kernels require, one bit each.
enum Feature : uint32_t {
    kAvx = 1,  // with the state of ymm registers saved by the operating system
    kF16c = 2,
    kAvx2 = 4,
    kAvx512 = 8,  // F, BW, DQ and VL, with the state of zmm and mask registers saved
};

struct Kernels {
    const char* name;
    uint32_t required;  // Features, combined

    // Writes `rows` whole rows of keep bits, beginning with row `first_row` of the mask.
    void (*generate)(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits);

    // Generates the bits of elements first_element ... and applies them. If `bits` is not null, they are stored
    // there, packed from bit 0, zeros after the last; then first_element must be a multiple of kRowElements.
    using Drop = void (*)(const Plan& plan, uint64_t first_element, uint8_t* bits, const Affine& affine,
                          const Span& span);
    Drop drop[kOperations][kDTypes];

    // Applies stored bits, beginning with bit `first_bit` of `bits`. Bytes of other bits are not read. An operation
    // with an activation clears the bits of elements that are not active; then `first_bit` must be 0, and bits after
    // the last element's become 0. Other operations do not write to `bits`.
    using Apply = void (*)(uint8_t* bits, uint64_t first_bit, const Affine& affine, const Span& span);
    Apply apply[kOperations][kDTypes];

    // out[i] = value. Nothing is read.
    void (*fill[kDTypes])(double value, const Span& span);

    // Writes the normal numbers of whole blocks, beginning with block `first_block` of the noise.
    void (*generate_noise)(const NoisePlan& plan, uint64_t first_block, uint64_t blocks, float* z);

    // Generates the normal numbers z of elements first_element ... and applies them: x * (1 + sigma * z).
    void (*noise[kDTypes])(const NoisePlan& plan, uint64_t first_element, const Span& span);

    // Applies stored normal numbers.
    void (*apply_normals[kDTypes])(const float* z, double sigma, const Span& span);
    // sums[i * stride] += values[i]: floats, or doubles for float64. If the stride is 0, the values are first summed by
    // themselves: value i belongs to lane i % kSumLanes, in order, and then lane l takes lane l + 16, l + 8, ... l + 1.
    void (*accumulate[kDTypes])(const void* values, uint64_t count, void* sums, int64_t stride);

    // Orders non-temporal stores before the stores that follow.
    void (*fence)();

    // The bit-slicing alone, for tests: `draws` holds plan.levels groups of kLanes words. Writes the keep words
    // before the tie rule, and the words of undecided elements.
    void (*slice)(const Plan& plan, const uint64_t* draws, uint64_t* keep, uint64_t* undecided);
};

// The 32 random bits of each element of a block of the noise, two from each draw, the lower half first. For batteries
// of random number tests: kernels make normal numbers of them.
void noise_words(const NoisePlan& plan, uint64_t block, uint32_t* words);

extern const Kernels kScalarKernels;
extern const Kernels kSse2Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kNeonKernels;

}  // namespace bitdrop
