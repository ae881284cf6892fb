// Cuts arrays into runs that the kernels can do, on several threads.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace bitdrop {

constexpr int kMaxAxes = 64;  // NumPy's limit

// The axes of an array in C order: lengths, and steps in bytes through both arrays.
struct Layout {
    int axes = 0;
    int64_t length[kMaxAxes];
    int64_t src_step[kMaxAxes];
    int64_t dst_step[kMaxAxes];

    void add_axis(int64_t axis_length, int64_t src, int64_t dst);  // outermost first; merges what is one run
    uint64_t size() const;
};

struct Job {
    const Kernels* kernels;
    const Plan* plan;  // null: `bits` are applied; else bits are made, and written to `bits` if that is not null
    DType dtype;
    const void* src;
    void* dst;         // is src, with the same steps, or does not overlap it
    Layout layout;
    uint8_t* bits;     // packed, in C order of the array
    double scale;
    int threads;       // at most so many
};

void run(const Job& job);

// The packed bits of elements first ... first + count - 1 of a mask, packed anew from bit 0.
void make_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits, int threads);

// Outputs of so many bytes are written past the caches. By default those that the last-level cache does not hold.
uint64_t streaming_threshold();
void set_streaming_threshold(uint64_t bytes);

int num_threads();
void set_num_threads(int threads);

}  // namespace bitdrop
