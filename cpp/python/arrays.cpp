#include "arrays.h"

#include <algorithm>
#include <cstdlib>

namespace py = pybind11;

namespace bitdrop {

ArrayView::ArrayView(py::handle array, py::ssize_t expected_item_size, bool writable) : item_size(expected_item_size) {
    if (PyTuple_CheckExact(array.ptr())) {
        read_tuple(array);
        return;
    }
    if (!py::isinstance<py::array>(array)) throw py::type_error("expected an array, or (address, shape, strides)");
    const auto numpy = py::reinterpret_borrow<py::array>(array);
    read_array(numpy);
    if (numpy.itemsize() != expected_item_size) throw py::value_error("the dtype of an array does not match its code");
    if (writable && !numpy.writeable()) throw py::value_error("an array to be written to is read-only");
}

ArrayView::ArrayView(const py::array& array) : item_size(array.itemsize()) { read_array(array); }

void ArrayView::read_array(const py::array& array) {
    data = static_cast<char*>(const_cast<void*>(array.data()));
    ndim = static_cast<int>(array.ndim());
    shape = array.shape();
    strides = array.strides();
}

void ArrayView::read_tuple(py::handle described) {
    const Items items(described, 3, "(address, shape, strides)");
    data = reinterpret_cast<char*>(static_cast<uintptr_t>(items.word(0)));
    // Shapes and strides of PyTorch are tuples, or lists after a permutation.
    const auto lengths = py::reinterpret_steal<py::tuple>(PySequence_Tuple(items[1].ptr()));
    const auto in_elements = py::reinterpret_steal<py::tuple>(PySequence_Tuple(items[2].ptr()));
    if (!lengths || !in_elements) throw py::error_already_set();
    const Items shape_items(lengths, 0, "a shape"), stride_items(in_elements, 0, "strides");
    if (shape_items.size() != stride_items.size() || shape_items.size() > kMaxNdim)
        throw py::value_error("one stride for each axis");
    ndim = static_cast<int>(shape_items.size());
    for (int a = 0; a < ndim; ++a) {
        numbers_[a] = static_cast<py::ssize_t>(shape_items.integer(a));
        numbers_[kMaxNdim + a] = static_cast<py::ssize_t>(stride_items.integer(a)) * item_size;
    }
    shape = numbers_;
    strides = numbers_ + kMaxNdim;
}

py::ssize_t ArrayView::size() const {
    py::ssize_t product = 1;
    for (int a = 0; a < ndim; ++a) product *= shape[a];
    return product;
}

bool ArrayView::same_shape(const ArrayView& other) const {
    return ndim == other.ndim && std::equal(shape, shape + ndim, other.shape);
}

bool ArrayView::same_memory(const ArrayView& other) const {
    if (data != other.data) return false;
    for (int a = 0; a < ndim; ++a)
        if (shape[a] != 1 && strides[a] != other.strides[a]) return false;
    return true;
}

// From the first byte to after the last.
void ArrayView::bounds(const char** low, const char** high) const {
    *low = data;
    *high = data + item_size;
    for (int a = 0; a < ndim; ++a) {
        const py::ssize_t reach = (shape[a] - 1) * strides[a];
        *(reach < 0 ? low : high) += reach;
    }
}

bool ArrayView::bounds_meet(const ArrayView& other) const {
    const char *low, *high, *other_low, *other_high;
    bounds(&low, &high);
    other.bounds(&other_low, &other_high);
    return low < other_high && other_low < high;
}

bool ArrayView::overlaps_itself() const {
    py::ssize_t spanned = item_size;
    bool used[kMaxNdim] = {};
    for (;;) {
        int smallest = -1;
        for (int a = 0; a < ndim; ++a) {
            if (used[a] || shape[a] == 1) continue;
            if (smallest < 0 || std::abs(strides[a]) < std::abs(strides[smallest])) smallest = a;
        }
        if (smallest < 0) return false;
        used[smallest] = true;
        const py::ssize_t stride = std::abs(strides[smallest]);
        if (stride < spanned) return true;
        spanned += stride * (shape[smallest] - 1);
    }
}

namespace {

// The axes in C order, without those of length 1, which have no stride.
int long_axes(const ArrayView* views, int operands, const BitLayout* layout, Axis* axes) {
    int count = 0;
    int64_t in_c_order = 1;
    for (int a = views[0].ndim - 1; a >= 0; --a) {
        const int64_t length = views[0].shape[a];
        if (length != 1) {
            Axis& axis = axes[count++] = {length, {}, layout ? layout->bit_strides[a] : in_c_order};
            for (int i = 0; i < operands; ++i) axis.stride[i] = views[i].strides[a];
        }
        in_c_order *= length;
    }
    std::reverse(axes, axes + count);
    return count;
}

Layout layout_of(const ArrayView* views, int operands, const BitLayout* bit_layout) {
    Axis axes[kMaxNdim];
    const int count = long_axes(views, operands, bit_layout, axes);
    const auto reach = [&](const Axis& axis) {
        int64_t sum = 0;
        for (int i = 0; i < operands; ++i) sum += std::abs(axis.stride[i]);
        return sum;
    };
    const auto outer = [&](const Axis& a, const Axis& b) { return reach(a) > reach(b); };
    const bool in_order = std::is_sorted(axes, axes + count, outer);
    if (!in_order) std::stable_sort(axes, axes + count, outer);
    Layout layout(operands, !bit_layout && in_order);
    for (const Axis* axis = axes; axis < axes + count; ++axis) layout.add_axis(*axis);
    if (count == 0) {
        Axis one = {1, {}, 1};
        for (int i = 0; i < operands; ++i) one.stride[i] = views[0].item_size;
        layout.add_axis(one);
    }
    return layout;
}

}  // namespace

Operands operands_of(py::handle described, const BitLayout* layout) {
    const Items items(described, 2, "operands: (dtype, (output, input))"), arrays(items[1], kMaxOperands, "two arrays");
    py::handle handles[kMaxOperands];
    for (int i = 0; i < kMaxOperands; ++i) handles[i] = arrays[i];
    return operands_of(items.integer(0), handles, layout);
}

Operands operands_of(int64_t code, const py::handle* arrays, const BitLayout* layout) {
    if (code < 0 || code >= kDTypes) throw py::value_error("no such dtype");
    const DType dtype = static_cast<DType>(code);
    const auto size = static_cast<py::ssize_t>(item_size(dtype));
    const ArrayView views[kMaxOperands] = {{arrays[0], size, true}, {arrays[1], size, false}};
    for (const ArrayView& view : views)
        if (!view.same_shape(views[0]) || view.ndim > kMaxNdim) throw py::value_error("operands have different shapes");
    if (layout && layout->ndim != views[0].ndim) throw py::value_error("one bit stride for each axis");
    Operands operands = {dtype, {}, layout_of(views, kMaxOperands, layout)};
    for (int i = 0; i < kMaxOperands; ++i) operands.data[i] = views[i].data;
    return operands;
}

uint8_t* bytes_of(py::handle bits, uint64_t count, bool writable) {
    const char* const error = "bits must be (size + 7) // 8 adjacent bytes";
    if (PyBytes_CheckExact(bits.ptr())) {
        if (static_cast<uint64_t>(PyBytes_GET_SIZE(bits.ptr())) < (count + 7) / 8) throw py::value_error(error);
        return reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(bits.ptr()));
    }
    const ArrayView bytes(bits, 1, writable);
    if (bytes.ndim != 1 || (bytes.shape[0] > 1 && bytes.strides[0] != 1) ||
        static_cast<uint64_t>(bytes.shape[0]) < (count + 7) / 8)
        throw py::value_error(error);
    return reinterpret_cast<uint8_t*>(bytes.data);
}

}  // namespace bitdrop
