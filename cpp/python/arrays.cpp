#include "arrays.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../kernels/half.h"
#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {

ArrayView::ArrayView(const py::array& array) : item_size(array.itemsize()) { read_array(array); }

void ArrayView::set(py::handle array, py::ssize_t expected_item_size, bool writable) {
    item_size = expected_item_size;
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

void ArrayView::set_element(const void* element, py::ssize_t size) {
    data = static_cast<char*>(const_cast<void*>(element));
    item_size = size;
}

void ArrayView::set_like(const ArrayView& like, py::ssize_t size, char* memory) {
    data = memory;
    item_size = size;
    ndim = like.ndim;
    shape = like.shape;
    strides = numbers_;
    for (int a = ndim - 1; a >= 0; size *= shape[a--]) numbers_[a] = size;
}

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
    const py::tuple lengths = tuple_of(items[1]), in_elements = tuple_of(items[2]);
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

bool ArrayView::broadcasts_to(const ArrayView& other) const {
    const int added = other.ndim - ndim;
    if (added < 0) return false;
    for (int a = 0; a < ndim; ++a)
        if (shape[a] != 1 && shape[a] != other.shape[added + a]) return false;
    return true;
}

py::ssize_t ArrayView::broadcast_stride(int axis, int broadcast_ndim) const {
    const int own = axis - (broadcast_ndim - ndim);
    return own < 0 || shape[own] == 1 ? 0 : strides[own];
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

// Memory of the operands: the output, then the inputs.
class Views {
public:
    Views(const py::handle* arrays, int count, DType dtype, int parts) : count_(count) {
        static const uint64_t kNegativeZero[kDTypes] = {0x8000, 0x8000, 0x80000000, uint64_t{1} << 63};
        const auto size = static_cast<py::ssize_t>(item_size(dtype) * parts);
        for (int i = 0; i < count_; ++i)
            if (i > 1 && arrays[i].is_none())
                views_[i].set_element(element_of(&kNegativeZero[static_cast<int>(dtype)], size), size);
            else
                views_[i].set(arrays[i], size, i == 0);
        for (int i = 1; i < count_; ++i)
            if (i == 1 ? !(*this)[i].same_shape((*this)[0]) : !(*this)[i].broadcasts_to((*this)[0]))
                throw py::value_error("operands have different shapes");
        if ((*this)[0].ndim > kMaxNdim) throw py::value_error("operands have too many axes");
    }

    void add_sums(const ArrayView& like, DType dtype, char* memory) {
        views_[count_].set_like(like, static_cast<py::ssize_t>(sum_size(dtype)), memory);
        if (!(*this)[count_].broadcasts_to((*this)[0])) throw py::value_error("the sums have no shape to broadcast");
        ++count_;
    }

    int count() const { return count_; }
    const ArrayView& operator[](int i) const { return views_[i]; }

private:
    // The bytes of a number, whatever the byte order of the machine.
    static const void* element_of(const uint64_t* word, py::ssize_t size) {
        static const bool little = [] {
            const uint16_t one = 1;
            uint8_t first;
            std::memcpy(&first, &one, 1);
            return first == 1;
        }();
        return reinterpret_cast<const char*>(word) + (little ? 0 : 8 - size);
    }

    int count_;
    ArrayView views_[kMaxOperands];
};

// The axes in C order, without those of length 1, which have no stride.
int long_axes(const Views& views, const BitLayout* layout, Axis* axes) {
    const int ndim = views[0].ndim;
    int count = 0;
    int64_t in_c_order = 1;
    for (int a = ndim - 1; a >= 0; --a) {
        const int64_t length = views[0].shape[a];
        if (length != 1) {
            Axis& axis = axes[count++] = {length, {}, layout ? layout->bit_strides[a] : in_c_order};
            for (int i = 0; i < views.count(); ++i) axis.stride[i] = views[i].broadcast_stride(a, ndim);
        }
        in_c_order *= length;
    }
    std::reverse(axes, axes + count);
    return count;
}

// In the order of memory, output and first input decide the order of the axes.
void fill_in(Operands* operands, const Views& views, const BitLayout* bit_layout, AxisOrder order) {
    Axis axes[kMaxNdim];
    const int count = long_axes(views, bit_layout, axes);
    const auto reach = [](const Axis& axis) { return std::abs(axis.stride[0]) + std::abs(axis.stride[1]); };
    const auto outer = [&](const Axis& a, const Axis& b) { return reach(a) > reach(b); };
    const bool in_order = order == AxisOrder::c || std::is_sorted(axes, axes + count, outer);
    if (!in_order) std::stable_sort(axes, axes + count, outer);
    Layout& layout = operands->layout;
    layout.bits_follow = !bit_layout && in_order;
    for (const Axis* axis = axes; axis < axes + count; ++axis) layout.add_axis(*axis);
    if (count == 0) {
        Axis one = {1, {}, 1};
        for (int i = 0; i < views.count(); ++i) one.stride[i] = views[0].item_size;
        layout.add_axis(one);
    }
    for (int i = 0; i < views.count(); ++i) operands->data[i] = views[i].data;
}

DType dtype_of(const Items& described) {
    const int64_t code = described.integer(0);
    if (code < 0 || code >= kDTypes) throw py::value_error("no such dtype");
    return static_cast<DType>(code);
}

// After the codes of `DType`: complex numbers of two float32 or float64.
constexpr int kComplex64 = kDTypes, kComplexDTypes = 2;

// Others add numbers that only the real part has.
bool takes_complex(Operation operation) {
    return operation == Operation::scale || operation == Operation::zoneout || operation == Operation::blend;
}

}  // namespace

Operands operands_of(py::handle described, Operation operation, const BitLayout* layout, AxisOrder order) {
    const Items items(described, 2, "operands: (dtype, (output, input))"), arrays(items[1], 2, "two arrays");
    if (arrays.size() != 1 + inputs_of(operation)) throw py::value_error("the operation has another number of inputs");
    py::handle handles[kMaxOperands];
    for (py::ssize_t i = 0; i < arrays.size(); ++i) handles[i] = arrays[i];
    return operands_of(items.integer(0), handles, operation, layout, order);
}

Operands operands_of(int64_t code, const py::handle* arrays, Operation operation, const BitLayout* layout,
                     AxisOrder order) {
    if (code < 0 || code >= kDTypes + kComplexDTypes) throw py::value_error("no such dtype");
    const bool is_complex = code >= kComplex64;
    if (is_complex && !takes_complex(operation)) throw py::value_error("the operation takes real numbers alone");
    const DType dtype = is_complex ? code == kComplex64 ? DType::float32 : DType::float64 : static_cast<DType>(code);
    const int parts = is_complex ? 2 : 1;
    const Views views(arrays, 1 + static_cast<int>(inputs_of(operation)), dtype, parts);
    if (layout && layout->ndim != views[0].ndim) throw py::value_error("one bit stride for each axis");
    Operands operands(dtype, views.count());
    operands.parts = parts;
    fill_in(&operands, views, layout, order);
    return operands;
}

Operands summed_operands_of(py::handle described, const py::array& sums, char* memory) {
    const Items items(described, 2, "operands: (dtype, (output, input))"), arrays(items[1], 2, "two arrays");
    const DType dtype = dtype_of(items);
    if (arrays.size() != 2) throw py::value_error("only one input can be summed");
    const py::handle handles[] = {arrays[0], arrays[1]};
    Views views(handles, 2, dtype, 1);
    views.add_sums(ArrayView(sums), dtype, memory);
    Operands operands(dtype, views.count());
    fill_in(&operands, views, nullptr, AxisOrder::memory);
    return operands;
}

namespace {

// One number after another, `stride` bytes apart.
void store_numbers(char* to, py::ssize_t stride, const char* sums, int64_t count, DType dtype) {
    const auto size = static_cast<size_t>(item_size(dtype));
    if (dtype == DType::float32 || dtype == DType::float64) {
        if (stride == static_cast<py::ssize_t>(size)) {
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

void store_sums(const ArrayView& array, DType dtype, const Sums& sums) {
    if (sums.count == 0) return;
    Layout layout(1, true);
    layout.add_axis({1, {array.item_size}, 1});
    for (int a = 0; a < array.ndim; ++a) layout.add_axis({array.shape[a], {array.strides[a]}, 1});
    Cursor cursor(layout, &array.data, 0);
    for_each_span(&cursor, static_cast<int64_t>(sums.count), [&](int64_t done, int64_t length) {
        store_numbers(cursor.place[0], layout.inner().stride[0], sums.memory + done * sum_size(dtype), length, dtype);
    });
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
