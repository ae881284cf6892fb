// Bits in the order of an array's elements, and back: for layouts whose bits are in another order.
#pragma once

#include "../runtime/parallel.h"
#include "layout.h"

namespace bitdrop {

// True if the elements of the innermost axis have bits apart, and those of another, long axis adjacent ones. Such bits
// are copied by tiles: 64 x 64 bits are transposed in registers.
bool is_transposed(const Layout& layout);

// Copies the bits of a layout's elements from their bit strides to the order of its axes. Zeros follow the last.
void order_bits(const Layout& layout, const uint8_t* bits, uint8_t* ordered, Threads threads);

// The reverse, for bit strides that are those of an array in C order.
void restore_bits(const Layout& layout, const uint8_t* ordered, uint8_t* bits, Threads threads);

}  // namespace bitdrop
