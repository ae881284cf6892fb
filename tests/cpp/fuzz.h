// Functions of the random tests. Each try_ function makes one call with random arguments, and compares everything that
// the call wrote with the scalar kernels or with plain loops over the elements.
#pragma once

#include <vector>

#include "calls.h"
#include "random_case.h"

extern uint64_t case_number;

#define CHECK_CASE(condition, what, kernels) \
    CHECK(condition, "%s by %s in case %llu", what, (kernels).name, static_cast<unsigned long long>(case_number))

const bitdrop::Kernels& any_kernels(Random* random);
void check_bytes(const Guarded& got, const unsigned char* want, const char* what, const bitdrop::Kernels& kernels);
void check_elements(bitdrop::DType dtype, const Guarded& got, const unsigned char* want, const char* what,
                    const bitdrop::Kernels& kernels);

// fuzz_kernels.cpp
void try_generate(Random* random);
void try_slice(Random* random);
void try_drop(Random* random);
void try_apply(Random* random);
void try_fill(Random* random);
void try_accumulate(Random* random);
void try_scale_sum(Random* random);

// fuzz_arrays.cpp
void try_arrays(Random* random);
void try_sums(Random* random);

// fuzz_bits.cpp
void try_generate_bits(Random* random);
void try_generate_box(Random* random);
void try_double_bits(Random* random);
void try_copy_bits(Random* random);

// fuzz_blocks.cpp
void try_generate_block_bits(Random* random);

// fuzz_noise.cpp
void try_generate_noise(Random* random);
void try_noise(Random* random);
void try_noise_arrays(Random* random);
