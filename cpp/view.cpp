#include "view.h"

#include <algorithm>
#include <cstdlib>

namespace py = pybind11;

namespace bitdrop {

View::View(const py::object& array, py::ssize_t expected_item_size, bool writable) : item_size(expected_item_size) {
    if (PyTuple_CheckExact(array.ptr())) {
        read_tuple(py::reinterpret_borrow<py::tuple>(array));
        return;
    }
    if (!py::isinstance<py::array>(array)) throw py::type_error("expected an array, or (address, shape, strides)");
    const auto numpy = py::reinterpret_borrow<py::array>(array);
    read_array(numpy);
    if (numpy.itemsize() != expected_item_size)
        throw py::value_error("an array is not of the dtype that its code says");
    if (writable && !numpy.writeable()) throw py::value_error("an array to be written to is read-only");
}

View::View(const py::array& array) : item_size(array.itemsize()) { read_array(array); }

void View::read_array(const py::array& array) {
    data = static_cast<char*>(const_cast<void*>(array.data()));
    axes = static_cast<int>(array.ndim());
    shape = array.shape();
    strides = array.strides();
}

void View::read_tuple(const py::tuple& described) {
    if (described.size() != 3) throw py::value_error("expected (address, shape, strides)");
    const py::tuple lengths = described[1], steps = described[2];
    if (lengths.size() != steps.size() || lengths.size() > kMaxAxes) throw py::value_error("one stride for each axis");
    data = reinterpret_cast<char*>(described[0].cast<uintptr_t>());
    axes = static_cast<int>(lengths.size());
    for (int a = 0; a < axes; ++a) {
        const auto axis = static_cast<size_t>(a);
        numbers_[a] = lengths[axis].cast<py::ssize_t>();
        numbers_[kMaxAxes + a] = steps[axis].cast<py::ssize_t>() * item_size;
    }
    shape = numbers_;
    strides = numbers_ + kMaxAxes;
}

py::ssize_t View::size() const {
    py::ssize_t product = 1;
    for (int a = 0; a < axes; ++a) product *= shape[a];
    return product;
}

bool View::same_shape(const View& other) const {
    return axes == other.axes && std::equal(shape, shape + axes, other.shape);
}

bool View::same_memory(const View& other) const {
    if (data != other.data) return false;
    for (int a = 0; a < axes; ++a)
        if (shape[a] != 1 && strides[a] != other.strides[a]) return false;
    return true;
}

// From the first byte to after the last.
void View::bounds(const char** low, const char** high) const {
    *low = data;
    *high = data + item_size;
    for (int a = 0; a < axes; ++a) {
        const py::ssize_t reach = (shape[a] - 1) * strides[a];
        *(reach < 0 ? low : high) += reach;
    }
}

bool View::bounds_meet(const View& other) const {
    const char *low, *high, *other_low, *other_high;
    bounds(&low, &high);
    other.bounds(&other_low, &other_high);
    return low < other_high && other_low < high;
}

bool View::overlaps_itself() const {
    py::ssize_t spanned = item_size;
    bool used[kMaxAxes] = {};
    for (;;) {
        int smallest = -1;
        for (int a = 0; a < axes; ++a) {
            if (used[a] || shape[a] == 1) continue;
            if (smallest < 0 || std::abs(strides[a]) < std::abs(strides[smallest])) smallest = a;
        }
        if (smallest < 0) return false;
        used[smallest] = true;
        const py::ssize_t step = std::abs(strides[smallest]);
        if (step < spanned) return true;
        spanned += step * (shape[smallest] - 1);
    }
}

void describe(Layout* layout, const View& x, const View& out, const Steps& bit_steps) {
    if (!x.same_shape(out) || x.axes > kMaxAxes) throw py::value_error("x and out have different shapes");
    if (bit_steps && bit_steps->size() != static_cast<size_t>(x.axes)) throw py::value_error("one step for each axis");
    Axis used[kMaxAxes];  // those of length 1 have no step
    int count = 0;
    int64_t in_c_order = 1;
    for (int a = x.axes - 1; a >= 0; --a) {
        const int64_t length = x.shape[a];
        const int64_t bit_step = bit_steps ? (*bit_steps)[static_cast<size_t>(a)] : in_c_order;
        if (length != 1) used[count++] = {length, x.strides[a], out.strides[a], bit_step};
        in_c_order *= length;
    }
    if (count == 0) used[count++] = {1, x.item_size, out.item_size, 1};
    std::reverse(used, used + count);
    const auto reach = [](const Axis& axis) { return std::abs(axis.src_step) + std::abs(axis.dst_step); };
    const auto outer = [&](const Axis& a, const Axis& b) { return reach(a) > reach(b); };
    const bool in_order = std::is_sorted(used, used + count, outer);
    if (!in_order) std::stable_sort(used, used + count, outer);
    for (const Axis* axis = used; axis < used + count; ++axis) {
        if (bit_steps || !in_order)
            layout->add_axis(axis->length, axis->src_step, axis->dst_step, axis->bit_step);
        else
            layout->add_axis(axis->length, axis->src_step, axis->dst_step);
    }
}

uint8_t* bytes_of(const py::object& bits, uint64_t count, bool writable) {
    const View bytes(bits, 1, writable);
    if (bytes.axes != 1 || (bytes.shape[0] > 1 && bytes.strides[0] != 1) ||
        static_cast<uint64_t>(bytes.shape[0]) < (count + 7) / 8)
        throw py::value_error("bits must be (size + 7) // 8 adjacent bytes");
    return reinterpret_cast<uint8_t*>(bytes.data);
}

}  // namespace bitdrop
