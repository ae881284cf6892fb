// Packed bits of a mask, or of a part of one.
#pragma once

#include "kernels/kernel_table.h"
#include "layout.h"
#include "thread_pool.h"

namespace bitdrop {

// The bits of elements first ... first + count - 1 of a mask, packed anew from bit 0, zeros after the last.
void make_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits,
               Threads threads);

// The bits of a part of a mask, packed anew in C order of the part. The part begins at element `first`; the bit
// steps of its axes go through the mask.
void make_part_bits(const Kernels& kernels, const Plan& plan, uint64_t first, const Layout& part, uint8_t* bits,
                    Threads threads);

// Writes `count` bits from bit `from_bit` of `from` on to bit `to_bit` of `to`, and no other bit.
void copy_bits(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit, uint64_t count);
void copy_bit(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit);
void fill_bits(uint8_t* to, uint64_t to_bit, bool value, uint64_t count);

}  // namespace bitdrop
