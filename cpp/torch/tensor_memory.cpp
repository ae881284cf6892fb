#include "tensor_memory.h"

#include <algorithm>
#include <stdexcept>

namespace bitdrop::torch {
namespace {

constexpr int kBitsOfAxis = 4;
constexpr int kMaxPermuted = 15;  // axes whose order a number holds
constexpr AxisOrder kCOrder = {0, {}};

bool is_c_order(const TensorMemory& x) {
    int64_t stride = 1;
    for (int a = x.ndim - 1; a >= 0; --a) {
        if (x.shape[a] != 1 && x.strides[a] != stride) return false;
        stride *= x.shape[a];
    }
    return true;
}

}  // namespace

int64_t TensorMemory::size() const {
    int64_t product = 1;
    for (int a = 0; a < ndim; ++a) product *= shape[a];
    return product;
}

bool TensorMemory::has_strides_of(const TensorMemory& other) const {
    for (int a = 0; a < ndim; ++a)
        if (shape[a] != 1 && strides[a] != other.strides[a]) return false;
    return true;
}

bool find_order(const TensorMemory& x, AxisOrder* order) {
    order->ndim = 0;
    if (is_c_order(x)) return true;
    if (x.ndim > kMaxPermuted) return false;
    for (int a = 0; a < x.ndim; ++a) order->axis[a] = static_cast<uint8_t>(a);
    std::stable_sort(order->axis, order->axis + x.ndim, [&](int a, int b) { return x.strides[a] > x.strides[b]; });
    order->ndim = x.ndim;
    int64_t stride = 1;
    for (int place = x.ndim - 1; place >= 0; --place) {
        const int a = order->axis[place];
        if (x.shape[a] != 1 && x.strides[a] != stride) return false;
        stride *= x.shape[a];
    }
    return true;
}

AxisOrder decode_order(int64_t code, int ndim) {
    AxisOrder order;
    if (code == 0) return order;
    uint64_t left = static_cast<uint64_t>(code), seen = 0;
    for (int place = std::min(ndim, kMaxPermuted) - 1; place >= 0; --place, left >>= kBitsOfAxis) {
        order.axis[place] = static_cast<uint8_t>(left & 15);
        seen |= uint64_t{1} << order.axis[place];
    }
    if (left != 1 || ndim > kMaxPermuted || seen + 1 != uint64_t{1} << ndim)
        throw std::invalid_argument("an order must be 0, or name each axis once.");
    order.ndim = ndim;
    return order;
}

void fill_strides(const int64_t* shape, int ndim, const AxisOrder& order, int64_t* strides) {
    int64_t stride = 1;
    for (int place = ndim - 1; place >= 0; --place) {
        const int a = order.ndim ? order.axis[place] : place;
        strides[a] = stride;
        stride *= shape[a];
    }
}

NumberedArrays::NumberedArrays(const AxisOrder& order, const TensorMemory& out, const TensorMemory& x)
    : order_(order), ndim_(x.ndim), out_(array_of(out)), arrays_{&out_, {}} {
    add_input(0, x);
}

void NumberedArrays::add_input(int input, const TensorMemory& memory) {
    inputs_[input] = array_of(memory);
    arrays_.inputs[input] = &inputs_[input];
}

void NumberedArrays::add_sums(const TensorMemory& sums) {
    sums_ = array_of(sums);
    has_sums_ = true;
}

// A tensor of fewer axes has axes of length 1 before its own.
Array NumberedArrays::array_of(const TensorMemory& memory) const {
    Array array;
    array.data = memory.data;
    array.item_size = memory.type->size();
    array.ndim = ndim_;
    const int added = ndim_ - memory.ndim;
    for (int place = 0; place < ndim_; ++place) {
        const int own = (order_.ndim ? order_.axis[place] : place) - added;
        array.shape[place] = own < 0 ? 1 : memory.shape[own];
        array.stride[place] = own < 0 ? 0 : memory.strides[own] * array.item_size;
    }
    return array;
}

const AxisOrder& numbering(const Rule& rule, const AxisOrder& of_memory) {
    return rule.units.are_elements() && !rule.blocks.ndim ? of_memory : kCOrder;
}

Pass pass_over(const Rule& rule, const TensorMemory& x, const AxisOrder& order) {
    Lengths shape(x.shape, x.shape + x.ndim);
    for (int place = 0; place < order.ndim; ++place) shape[static_cast<size_t>(place)] = x.shape[order.axis[place]];
    return pass_of(rule, true, std::move(shape), nullptr);
}

}  // namespace bitdrop::torch
