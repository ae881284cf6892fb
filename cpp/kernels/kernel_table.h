// What an instruction set provides: plain C signatures, no Python, no allocation, no exceptions.
#pragma once

#include "../mask_format.h"

namespace bitdrop {

enum class DType { float16, bfloat16, float32, float64 };
constexpr int kDTypes = 4;

// One contiguous run of `count` elements. `dst` is `src` or does not overlap it; neither need be aligned.
// No byte outside the run is read or written, and none of `bits` beyond bit `index + count - 1`'s byte.
struct Run {
    void* dst;
    const void* src;
    uint64_t count;
    uint64_t index;   // drop: index of the first element; apply: its bit in `bits`
    uint8_t* bits;    // drop: where to write the bits, or null; apply: the bits to read
    double scale;     // converted once to the type of the arithmetic
    bool streaming;   // write past the caches; not with dst == src; `fence` must follow
    double shift = 0.0;    // kept elements become scale * src + shift, rounded after each operation
    double dropped = 0.0;  // dropped elements become this: by default +0.0, whatever src holds
    bool alone = false;    // what follows in memory is not what is read next, so it need not be fetched
};

struct Kernels {
    const char* name;

    // Writes `rows` whole rows of keep bits, beginning with row `first_row` of the mask.
    void (*make_rows)(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits);

    // Makes the bits and applies them: dst[i] = kept ? scale * src[i] + shift : dropped, by DType.
    // Where `bits` is given, `index` is a multiple of kRowElements and the bits are packed from bit 0,
    // with zeros after the last.
    void (*drop[kDTypes])(const Plan& plan, const Run& run);

    // Applies stored bits. `bits` is read only.
    void (*apply[kDTypes])(const Run& run);

    // dst[i] = dropped. Nothing is read.
    void (*fill[kDTypes])(const Run& run);

    // Makes what was written with `streaming` visible to other threads in order.
    void (*fence)();

    // The bit-slicing alone, for tests: `draws` holds plan.levels groups of kLanes words; writes the keep
    // words before the tie rule and the words of undecided elements.
    void (*slice)(const Plan& plan, const uint64_t* draws, uint64_t* keep, uint64_t* undecided);
};

extern const Kernels kScalarKernels;
extern const Kernels kSse2Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kNeonKernels;

}  // namespace bitdrop
