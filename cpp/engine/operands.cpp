#include "operands.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../kernels/half.h"

namespace bitdrop {

int64_t Array::size() const {
    int64_t product = 1;
    for (int a = 0; a < ndim; ++a) product *= shape[a];
    return product;
}

bool Array::same_shape(const Array& other) const {
    return ndim == other.ndim && std::equal(shape, shape + ndim, other.shape);
}

bool Array::broadcasts_to(const Array& other) const {
    const int added = other.ndim - ndim;
    if (added < 0) return false;
    for (int a = 0; a < ndim; ++a)
        if (shape[a] != 1 && shape[a] != other.shape[added + a]) return false;
    return true;
}

int64_t Array::broadcast_stride(int axis, int broadcast_ndim) const {
    const int own = axis - (broadcast_ndim - ndim);
    return own < 0 || shape[own] == 1 ? 0 : stride[own];
}

bool Array::same_memory(const Array& other) const {
    if (data != other.data) return false;
    for (int a = 0; a < ndim; ++a)
        if (shape[a] != 1 && stride[a] != other.stride[a]) return false;
    return true;
}

namespace {

struct Bounds {
    uintptr_t low, high;  // of the first byte, and after the last
};

Bounds bounds_of(const Array& array) {
    Bounds bounds = {reinterpret_cast<uintptr_t>(array.data), reinterpret_cast<uintptr_t>(array.data)};
    for (int a = 0; a < array.ndim; ++a) {
        const int64_t reach = (array.shape[a] - 1) * array.stride[a];
        (reach < 0 ? bounds.low : bounds.high) += static_cast<uintptr_t>(reach);
    }
    bounds.high += static_cast<uintptr_t>(array.item_size);
    return bounds;
}

}  // namespace

bool Array::bounds_meet(const Array& other) const {
    const Bounds own = bounds_of(*this), others = bounds_of(other);
    return own.low < others.high && others.low < own.high;
}

bool Array::overlaps_itself() const {
    int64_t spanned = item_size;
    bool used[kMaxNdim] = {};
    for (;;) {
        int smallest = -1;
        for (int a = 0; a < ndim; ++a) {
            if (used[a] || shape[a] == 1) continue;
            if (smallest < 0 || std::abs(stride[a]) < std::abs(stride[smallest])) smallest = a;
        }
        if (smallest < 0) return false;
        used[smallest] = true;
        const int64_t step = std::abs(stride[smallest]);
        if (step < spanned) return true;
        spanned += step * (shape[smallest] - 1);
    }
}

Array contiguous_like(const Array& other, int64_t item_size, char* memory) {
    Array array;
    array.data = memory;
    array.item_size = item_size;
    array.ndim = other.ndim;
    int64_t stride = item_size;
    for (int a = other.ndim - 1; a >= 0; --a) {
        array.shape[a] = other.shape[a];
        array.stride[a] = stride;
        stride *= other.shape[a];
    }
    return array;
}

namespace {

// -0.0 of each type, whatever the byte order of the machine.
Array negative_zero(const ElementType& type) {
    static const uint16_t half = 0x8000;
    static const float single = -0.0f;
    static const double number = -0.0;
    const void* element = type.size() == 2   ? static_cast<const void*>(&half)
                          : type.size() == 4 ? static_cast<const void*>(&single)
                                             : static_cast<const void*>(&number);
    Array zero;
    zero.data = static_cast<char*>(const_cast<void*>(element));
    zero.item_size = type.size();
    return zero;
}

// The output, the inputs and the sums, as far as there are any.
struct Views {
    int count = 0;
    const Array* view[kMaxOperands];

    void add(const Array* array) { view[count++] = array; }
    const Array& operator[](int i) const { return *view[i]; }
};

// The axes in C order, without those of length 1, which have no stride.
int long_axes(const Views& views, const int64_t* draw_strides, Axis* axes) {
    const int ndim = views[0].ndim;
    int count = 0;
    int64_t in_c_order = 1;
    for (int a = ndim - 1; a >= 0; --a) {
        const int64_t length = views[0].shape[a];
        if (length != 1) {
            Axis& axis = axes[count++];
            axis.length = length;
            axis.bit_stride = draw_strides ? draw_strides[a] : in_c_order;
            for (int i = 0; i < views.count; ++i) axis.stride[i] = views[i].broadcast_stride(a, ndim);
        }
        in_c_order *= length;
    }
    std::reverse(axes, axes + count);
    return count;
}

// In the order of memory: output and first input decide the order of the axes.
void fill_in(Operands* operands, const Views& views, const int64_t* draw_strides) {
    Axis axes[kMaxNdim];
    const int count = long_axes(views, draw_strides, axes);
    const auto reach = [](const Axis& axis) { return std::abs(axis.stride[0]) + std::abs(axis.stride[1]); };
    const auto outer = [&](const Axis& a, const Axis& b) { return reach(a) > reach(b); };
    const bool in_order = std::is_sorted(axes, axes + count, outer);
    if (!in_order) std::stable_sort(axes, axes + count, outer);
    Layout& layout = operands->layout;
    layout.bits_follow = !draw_strides && in_order;
    for (const Axis* axis = axes; axis < axes + count; ++axis) layout.add_axis(*axis);
    if (count == 0) {
        Axis one = {1, {}, 1};
        for (int i = 0; i < views.count; ++i) one.stride[i] = views[0].item_size;
        layout.add_axis(one);
    }
    for (int i = 0; i < views.count; ++i) operands->data[i] = views[i].data;
}

}  // namespace

void describe_operands(const ElementType& type, Operation operation, const Arrays& arrays, const int64_t* draw_strides,
                       Operands* operands, const Array* sums) {
    const Array zero = negative_zero(type);
    Views views;
    views.add(arrays.out);
    for (int i = 0; i < inputs_of(operation); ++i) views.add(arrays.inputs[i] ? arrays.inputs[i] : &zero);
    if (sums) views.add(sums);
    operands->dtype = type.number;
    operands->parts = type.parts;
    operands->layout.operands = views.count;
    operands->layout.ndim = 0;
    fill_in(operands, views, draw_strides);
}

namespace {

// One number after another, `stride` bytes apart.
void store_numbers(char* to, int64_t stride, const char* sums, int64_t count, DType dtype) {
    const auto size = static_cast<size_t>(item_size(dtype));
    if (dtype == DType::float32 || dtype == DType::float64) {
        if (stride == item_size(dtype)) {
            std::memcpy(to, sums, static_cast<size_t>(count) * size);
            return;
        }
        for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * stride, sums + static_cast<size_t>(i) * size, size);
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        float single;
        std::memcpy(&single, sums + i * sum_size(dtype), sizeof single);
        const uint16_t half = dtype == DType::float16 ? narrow_float16(single).bits : narrow_bfloat16(single).bits;
        std::memcpy(to + i * stride, &half, sizeof half);
    }
}

}  // namespace

void store_sums(const Array& array, DType dtype, const Sums& sums) {
    if (sums.count == 0) return;
    Layout layout(1, true);
    layout.add_axis({1, {array.item_size}, 1});
    for (int a = 0; a < array.ndim; ++a) layout.add_axis({array.shape[a], {array.stride[a]}, 1});
    char* const data = array.data;
    Cursor cursor(layout, &data, 0);
    for_each_span(&cursor, static_cast<int64_t>(sums.count), [&](int64_t done, int64_t length) {
        store_numbers(cursor.place[0], layout.inner().stride[0], sums.memory + done * sum_size(dtype), length, dtype);
    });
}

}  // namespace bitdrop
