// Packed bits of a mask, or of a box within one.
#pragma once

#include "../runtime/parallel.h"
#include "layout.h"

namespace bitdrop {

// The bits that an array needs: a box within the bits of a whole mask. `axes` has no operands; its bit strides go
// through the whole mask.
struct BitBox {
    uint64_t first = 0;  // index of the box's first bit in the mask
    Layout axes{0, false};

    void add_axis(int64_t length, int64_t stride) { axes.add_axis({length, {}, stride}); }
    uint64_t size() const { return axes.size(); }
};

// The box of the elements first ... first + count - 1 of a mask.
BitBox contiguous_box(uint64_t first, uint64_t count);

// Generates the bits of a box, packed anew from bit 0 in C order of the box, zeros after the last.
void generate_bits(const Kernels& kernels, const Plan& plan, const BitBox& box, uint8_t* bits, Threads threads);

// Generates the bits of the elements first ... first + count - 1, on the calling thread.
void generate_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits);

// The word of 64 packed bits.
static inline uint64_t load_word(const uint8_t* bytes) {
    uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word |= uint64_t{bytes[i]} << (8 * i);
    return word;
}

// Copies the bits of a box from a mask's packed bits, and packs them anew from bit 0, zeros after the last.
void copy_box(const BitBox& box, const uint8_t* from, uint8_t* to);

// Write `count` bits from bit `to_bit` of `to` on, and no other bit.
void copy_bits(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit, uint64_t count);
void copy_strided_bits(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit, uint64_t stride,
                       uint64_t count);
void fill_bits(uint8_t* to, uint64_t to_bit, bool value, uint64_t count);

// Writes the bits of the next `count` elements, with bit strides, from bit 0 on. Zeros follow the last.
void gather_bits(Cursor* cursor, const uint8_t* from, uint8_t* to, uint64_t count);

// Writes each of `count` bits twice, and no byte after them. Both begin with bit 0.
void double_bits(uint8_t* to, const uint8_t* from, uint64_t count);

}  // namespace bitdrop
