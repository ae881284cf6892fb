// Packed bits of block dropout: seeds fall on the maps of an array, and each drops a block of neighbours.
#pragma once

#include "../kernels/kernel_table.h"
#include "../runtime/parallel.h"

namespace bitdrop {

constexpr int kMapNdim = 3;  // depth, height, width; images have depth 1

// Maps of one shape, in C order, and the blocks that are dropped in them. A block lies within its map. The index of a
// seed is that of the block's first element, counted in C order over the places that a block can have.
struct Maps {
    uint64_t count;             // samples times channels
    uint64_t length[kMapNdim];
    uint64_t block[kMapNdim];   // at least 1, at most `length`

    uint64_t places(int axis) const { return length[axis] - block[axis] + 1; }
    uint64_t size() const { return count * length[0] * length[1] * length[2]; }
    uint64_t seeds() const { return count * places(0) * places(1) * places(2); }

    // From a block's first element to its last.
    uint64_t reach() const { return ((block[0] - 1) * length[1] + block[1] - 1) * length[2] + block[2] - 1; }
};

// Generates a bit for each element, 0 if a dropped seed's block covers it, packed from bit 0, zeros after the last. The
// seeds are the elements of a mask by `plan`. Returns the number of kept elements.
uint64_t generate_block_bits(const Kernels& kernels, const Plan& plan, const Maps& maps, uint8_t* bits,
                             Threads threads);

}  // namespace bitdrop
