// Dropout and noise of whole arrays: a path is chosen once, the arrays are divided into chunks, threads do them.
#pragma once

#include <cstdint>

#include "layout.h"
#include "mask_bits.h"

namespace bitdrop {

// The output, then the inputs, as many as the operation has. The output is an input, with the same strides, or overlaps
// none. Inputs after the first may have strides of 0, along which they repeat.
struct Operands {
    DType dtype;
    char* data[kMaxOperands];
    Layout layout;
    int parts = 1;  // numbers in an element, which share its bit: 2 if it is complex

    // Addresses and axes follow. An aggregate would clear the room for all axes, which takes as long as a small array.
    Operands(DType type, int operands, bool bits_follow = true) : dtype(type), layout(operands, bits_follow) {}

    int64_t element_size() const { return item_size(dtype) * parts; }  // bytes
};

struct Resources {
    const Kernels* kernels;
    Threads threads;
};

// Generates bits and applies them at once. The operands' bits follow the elements. They are stored in `bits`, unless it
// is null: for an operation with an activation those of active elements.
void drop(const Resources& with, const Operands& operands, const Affine& affine, const Plan& plan, uint8_t* bits);

// Applies stored bits. The operation has no activation.
void apply(const Resources& with, const Operands& operands, const Affine& affine, const uint8_t* bits);

// Applies bits in the order of the operands' axes, and replaces them by those of active elements, if the operation has
// an activation.
void apply_and_find(const Resources& with, const Operands& operands, const Affine& affine, uint8_t* bits);

// Generates the normal numbers z of a noise and applies them: x * (1 + sigma * z). The operands' bit strides go through
// the noise: the element at bit b has number first + b.
void noise(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first);

// Sums of the output's elements: each is added to the sum that its strides lead to. The last operand of a layout that
// has them is the sums, floats (doubles for float64) in C order, with strides of 0 along the axes that are summed.
//
// The order of additions is fixed by the layout, whatever threads and kernels do. Chunks of `chunk` elements, in the
// order of the axes, have sums of their own. Within a chunk, rows of 1024 follow each other, and within a row its
// innermost spans: see Kernels::accumulate. At last the chunks' sums are added in double, in order.
struct Sums {
    uint64_t count;  // of different sums
    uint64_t chunk;
    char* memory;  // for chunks() * count numbers

    static uint64_t chunk_for(uint64_t count);  // a chunk is large against its sums
};

// The number of chunks of an array.
static inline uint64_t chunks_of(uint64_t size, uint64_t chunk) { return (size + chunk - 1) / chunk; }

// Applies stored bits, and sums the result in the same pass. The sums are the first `count` numbers of the memory then.
void apply_and_sum(const Resources& with, const Operands& operands, const Affine& affine, const uint8_t* bits,
                   const Sums& sums);

// Outputs of at least this many bytes use non-temporal stores. By default those that do not fit in the last-level
// cache.
uint64_t non_temporal_threshold();
void set_non_temporal_threshold(uint64_t bytes);

// The setting of the process.
int num_threads();
void set_num_threads(int threads);

}  // namespace bitdrop
