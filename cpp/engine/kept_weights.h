// The weights of kept units: copied out of a layer's weights, and put back among zeros.
#pragma once

#include <cstdint>

#include "../runtime/parallel.h"

namespace bitdrop {

// Weights between units in C order: rows x outer x columns x bytes. A row belongs to a unit that the layer makes, a
// column to one that it reads. Whatever else the layer has, such as the pixels of a kernel, lies around the columns.
struct WeightShape {
    uint64_t rows, outer, columns, bytes;
};

// Kept units by packed bits, 1 where kept. Null: all.
struct KeptUnits {
    const uint8_t* rows;
    const uint8_t* columns;
};

// Copies the weights of kept rows and columns, in their order.
void gather_weights(const WeightShape& shape, const KeptUnits& kept, const void* weights, void* part, Threads threads);

// Copies them back, and writes zeros between them.
void scatter_weights(const WeightShape& shape, const KeptUnits& kept, const void* part, void* weights, Threads threads);

}  // namespace bitdrop
