// Cuts arrays into runs that the kernels can do, on several threads.
#pragma once

#include <cstdint>

#include "bits.h"
#include "kernels/kernel_table.h"
#include "layout.h"

namespace bitdrop {

struct Job {
    const Kernels* kernels = nullptr;
    const Plan* plan = nullptr;  // null: `bits` are applied; else bits are made (element i has bit i), and written
                                 // to `bits` if that is not null
    DType dtype = DType::float32;
    const void* src = nullptr;
    void* dst = nullptr;  // is src, with the same steps, or does not overlap it
    Layout layout;
    uint8_t* bits = nullptr;  // packed
    double scale = 1.0;
    Threads threads = 1;
    double shift = 0.0;    // kept elements become scale * x + shift
    double dropped = 0.0;  // dropped elements become this
};

void run(const Job& job);

int64_t item_size(DType dtype);  // bytes

// Outputs of so many bytes are written past the caches. By default those that the last-level cache does not hold.
uint64_t streaming_threshold();
void set_streaming_threshold(uint64_t bytes);

int num_threads();
void set_num_threads(int threads);

}  // namespace bitdrop
