// Stride analysis: from arrays as front-ends describe them to operands of a call.
#pragma once

#include "engine.h"

namespace bitdrop {

// The memory of an array. Its address is not validated.
struct Array {
    char* data = nullptr;
    int64_t item_size = 0;  // bytes of an element
    int ndim = 0;
    int64_t shape[kMaxNdim];
    int64_t stride[kMaxNdim];  // bytes

    Array() {}  // leaves shape and strides as they are, a kibibyte

    int64_t size() const;
    bool same_shape(const Array& other) const;
    bool broadcasts_to(const Array& other) const;        // as in NumPy
    bool same_memory(const Array& other) const;          // equal places of equal elements; the shapes are the same
    bool bounds_meet(const Array& other) const;          // neither is empty
    // Sorted by stride, each axis must step over all that the smaller ones span. Exotic views without overlap that
    // break this rule count as overlapping.
    bool overlaps_itself() const;

    int64_t broadcast_stride(int axis, int broadcast_ndim) const;
};

// An array in C order, of the shape of another.
Array contiguous_like(const Array& other, int64_t item_size, char* memory);

// Arrays of an operation: the output, then its inputs. The output and the first input have one shape. Other inputs are
// broadcast to it. Null stands for an optional input that is not there: -0.0, which changes no number that it is added
// to.
struct Arrays {
    const Array* out;
    const Array* inputs[kMaxInputs];
};

// Describes the operands of an operation, or of a sum of its output (`sums`, an array that is broadcast to the output).
// `draw_strides` are those of the output's axes through the draws. Without them, element i in C order has draw i. Room
// for operands is filled and not returned: it is large against a small call.
void describe_operands(const ElementType& type, Operation operation, const Arrays& arrays, const int64_t* draw_strides,
                       Operands* operands, const Array* sums = nullptr);

// Rounds the sums to the type, into an array of their shape.
void store_sums(const Array& array, DType dtype, const Sums& sums);

}  // namespace bitdrop
