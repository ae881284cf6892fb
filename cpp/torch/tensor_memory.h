// Memory of tensors, as PyTorch's two C interfaces describe it, and arrays of the engine made of it.
#pragma once

#include "../engine/pass.h"

namespace bitdrop::torch {

struct TensorMemory {
    char* data = nullptr;
    const ElementType* type = nullptr;  // null: none of the engine's
    int ndim = 0;
    const int64_t* shape = nullptr;
    const int64_t* strides = nullptr;  // in elements

    int64_t size() const;
    bool has_strides_of(const TensorMemory& other) const;  // of one shape; axes of length 1 have no stride
    int64_t bytes() const { return size() * type->size(); }
};

// The axes of a result in the order of its memory, the one with the largest stride first. Elements that own a draw are
// numbered in this order.
struct AxisOrder {
    int ndim = 0;  // 0: C order
    uint8_t axis[kMaxNdim];
};

// The order of a dense tensor's axes, in which its result's are. False if it is not dense, or its order has no number.
bool find_order(const TensorMemory& x, AxisOrder* order);

// The order of a number of `code_of` in bitdrop/torch/_settings.py: 1 and a hexadecimal digit for each axis, or 0 for
// C order. Throws std::invalid_argument.
AxisOrder decode_order(int64_t code, int ndim);

// Strides of a dense result, in elements.
void fill_strides(const int64_t* shape, int ndim, const AxisOrder& order, int64_t* strides);

// Arrays of a pass, with their axes in the order in which draws are numbered.
class NumberedArrays {
public:
    NumberedArrays(const AxisOrder& order, const TensorMemory& out, const TensorMemory& x);
    NumberedArrays(const NumberedArrays&) = delete;
    NumberedArrays& operator=(const NumberedArrays&) = delete;

    void add_input(int input, const TensorMemory& memory);
    void add_sums(const TensorMemory& sums);

    const Arrays& arrays() const { return arrays_; }
    const Array* sums() const { return has_sums_ ? &sums_ : nullptr; }

private:
    Array array_of(const TensorMemory& memory) const;

    const AxisOrder& order_;
    const int ndim_;
    Array out_, inputs_[kMaxInputs], sums_;
    bool has_sums_ = false;
    Arrays arrays_;
};

// The order in which draws are numbered: that of memory if each element owns one, else C order.
const AxisOrder& numbering(const Rule& rule, const AxisOrder& of_memory);

// The pass of a rule in training over a tensor with its axes in an order. Throws MisfitError.
Pass pass_over(const Rule& rule, const TensorMemory& x, const AxisOrder& order);

}  // namespace bitdrop::torch
