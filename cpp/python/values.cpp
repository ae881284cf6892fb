#include "values.h"

#include "../runtime/float_mode.h"
#include "guarded_calls.h"

#include <algorithm>
#include <cstdint>

namespace py = pybind11;

namespace bitdrop {

Items::Items(py::handle tuple, py::ssize_t least, const char* expected) : tuple_(tuple.ptr()) {
    if (!PyTuple_Check(tuple_)) throw py::type_error(std::string("expected ") + expected);
    if (size() < least) throw py::value_error(std::string("expected ") + expected);
}

int64_t Items::integer(py::ssize_t i) const {
    const long long value = PyLong_AsLongLong(PyTuple_GET_ITEM(tuple_, i));
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

uint64_t Items::word(py::ssize_t i) const {
    const unsigned long long value = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(tuple_, i));
    if (value == ~0ULL && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

double Items::number(py::ssize_t i) const {
    const double value = PyFloat_AsDouble(PyTuple_GET_ITEM(tuple_, i));
    if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

namespace {

// Calls make(k0, k1, stream, p).
template <class Make> auto from_plan(py::handle plan, Make make) {
    const Items items(plan, 3, "a plan: (key, stream, p)"), key(items[0], 2, "a key: two words");
    return make(key.word(0), key.word(1), items.word(1), items.number(2));
}

}  // namespace

Plan plan_of(py::handle plan) { return from_plan(plan, make_plan); }

NoisePlan noise_plan_of(py::handle plan) {
    const DefaultFloatMode mode;
    return from_plan(plan, make_noise_plan);
}

namespace {

PyTypeObject* plan_type = nullptr;

}  // namespace

void import_plan_type() {
    plan_type = reinterpret_cast<PyTypeObject*>(
        py::module_::import("bitdrop._plan").attr("Plan").cast<py::object>().release().ptr());
}

// A Plan is a tuple without further fields: it is filled as `tuple.__new__` would, in a third of the time.
py::object plan_tuple(py::handle drawn, py::handle p) {
    const Items items(drawn, 2, "a draw: (key, stream)");
    py::object plan = guarded([] { return plan_type->tp_alloc(plan_type, 3); });
    const py::handle fields[] = {items[0], items[1], p};
    for (int i = 0; i < 3; ++i) PyTuple_SET_ITEM(plan.ptr(), i, py::handle(fields[i]).inc_ref().ptr());
#if PY_VERSION_HEX >= 0x030E0000
    reinterpret_cast<PyTupleObject*>(plan.ptr())->ob_hash = -1;  // not computed yet: tuples keep their hash
#endif
    return plan;
}

Affine affine_of(py::handle affine) {
    const Items items(affine, 3, "an affine: (scale, shift, dropped, operation)");
    Affine coefficients = make_affine(items.number(0), items.number(1), items.number(2));
    if (items.size() > 3) {
        const int64_t code = items.integer(3);
        if (code < 0 || code >= kOperations) throw py::value_error("no such operation");
        coefficients.operation = static_cast<Operation>(code);
    }
    return coefficients;
}

Threads threads_of(py::handle threads) {
    const Items items(threads, 2, "threads: (limit, team)");
    const auto limit = static_cast<int>(items.integer(0));
    return {limit > 0 ? limit : num_threads(), reinterpret_cast<Team>(static_cast<uintptr_t>(items.word(1)))};
}

// The number of elements fits in 63 bits, so that no product of lengths overflows.
Maps maps_of(py::handle maps) {
    const Items items(maps, 3, "maps: (count, lengths, blocks)");
    const Items lengths(items[1], kMapNdim, "three lengths"), blocks(items[2], kMapNdim, "three lengths of a block");
    Maps checked = {items.word(0), {}, {}};
    uint64_t largest = static_cast<uint64_t>(INT64_MAX) / std::max<uint64_t>(checked.count, 1);
    for (int axis = 0; axis < kMapNdim; ++axis) {
        const uint64_t length = checked.length[axis] = lengths.word(axis);
        checked.block[axis] = blocks.word(axis);
        if (checked.block[axis] < 1 || checked.block[axis] > length) throw py::value_error("a block exceeds its map");
        if (length > largest) throw py::value_error("too many elements");
        largest /= length;
    }
    return checked;
}

BitLayout::BitLayout(py::handle layout) {
    const Items items(layout, 4, "a layout: (first, lengths, strides, bit_strides, ...)");
    const Items lengths(items[1], 0, "a tuple of lengths"), strides(items[2], 0, "a tuple of strides");
    const Items of_array(items[3], 0, "a tuple of bit strides");
    if (lengths.size() != strides.size() || lengths.size() > kMaxNdim || of_array.size() > kMaxNdim)
        throw py::value_error("one stride for each axis");
    box.first = items.word(0);
    box.add_axis(1, 1);  // for a box without axes
    for (py::ssize_t axis = 0; axis < lengths.size(); ++axis)
        box.add_axis(lengths.integer(axis), static_cast<int64_t>(strides.word(axis)));
    ndim = static_cast<int>(of_array.size());
    for (int axis = 0; axis < ndim; ++axis) {
        bit_strides[axis] = of_array.integer(axis);
        if (bit_strides[axis] < 0) throw py::value_error("bit strides must not be negative");
    }
}

}  // namespace bitdrop
