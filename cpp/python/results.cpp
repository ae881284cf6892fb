#include "results.h"

#include <pybind11/native_enum.h>

#include <algorithm>
#include <new>

#include "../runtime/buffer_pool.h"
#include "arrays.h"
#include "guarded_calls.h"
#include "numpy_api.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Memory that is reused when the array that owns this capsule and all its views have died.
py::capsule pooled_memory(py::ssize_t bytes) {
    try {
        return {take_buffer(static_cast<size_t>(bytes)), [](void* memory) { return_buffer(memory); }};
    } catch (const std::bad_alloc&) {
        PyErr_Format(PyExc_MemoryError, "Unable to allocate %zd bytes for a result or its bits", bytes);
        throw py::error_already_set();
    }
}

// An array of the shape, strides and dtype of `like`, which must be dense.
py::object pooled(const py::array& like) {
    const py::capsule memory = pooled_memory(like.nbytes());
    return py::array(like.dtype(), {like.shape(), like.shape() + like.ndim()},
                     {like.strides(), like.strides() + like.ndim()}, memory.get_pointer(), memory);
}

bool repeats_an_axis(const py::array& x) {
    return std::any_of(x.strides(), x.strides() + x.ndim(), [](py::ssize_t stride) { return stride == 0; });
}

}  // namespace

py::array empty_bits(uint64_t count) {
    const auto bytes = static_cast<Py_intptr_t>((count + 7) / 8);
    if (bytes < static_cast<Py_intptr_t>(kPooledBytes)) return numpy_api().empty_bytes(bytes);
    const py::capsule memory = pooled_memory(bytes);
    return py::array(py::dtype::of<uint8_t>(), {bytes}, {Py_intptr_t{1}}, memory.get_pointer(), memory);
}

py::object new_bits(uint64_t count) {
    const auto bytes = static_cast<py::ssize_t>((count + 7) / 8);
    if (bytes >= static_cast<py::ssize_t>(kPooledBytes)) return empty_bits(count);
    return owned(PyBytes_FromStringAndSize(nullptr, bytes));
}

py::object empty_like(py::handle array) {
    const auto x = py::reinterpret_borrow<py::array>(array);
    // If x repeats an axis, NumPy would make that axis the innermost, and scatter the rows of the result.
    const py::object like = numpy_api().empty_like(x, repeats_an_axis(x) ? MemoryOrder::c : MemoryOrder::keep);
    // An untouched array costs no memory, so NumPy's own gives the strides.
    return x.nbytes() < static_cast<py::ssize_t>(kPooledBytes) ? like : pooled(py::reinterpret_borrow<py::array>(like));
}

namespace {

bool is_array(py::handle object) {
    if (Py_TYPE(object.ptr()) == numpy_api().array_type()) return true;
    return py::isinstance<py::array>(object) && !py::isinstance(object, attribute_of_module("numpy.ma", "MaskedArray"));
}

}  // namespace

int64_t dtype_code(py::handle codes, py::handle x) {
    if (!is_array(x)) return -1;
    PyObject* code = PyDict_GetItemWithError(codes.ptr(), py::reinterpret_borrow<py::array>(x).dtype().ptr());
    if (!code && PyErr_Occurred()) throw py::error_already_set();
    return code ? PyLong_AsLong(code) : -1;
}

bool has_shape(py::handle array, py::handle shape) {
    const auto x = py::reinterpret_borrow<py::array>(array);
    const Items lengths(shape, 0, "a shape");
    if (lengths.size() != x.ndim()) return false;
    for (py::ssize_t a = 0; a < x.ndim(); ++a)
        if (lengths.integer(a) != x.shape()[a]) return false;
    return true;
}

py::object shape_of(py::handle array) {
    const auto x = py::reinterpret_borrow<py::array>(array);
    py::object shape = new_tuple(x.ndim());
    for (py::ssize_t a = 0; a < x.ndim(); ++a) PyTuple_SET_ITEM(shape.ptr(), a, py::int_(x.shape()[a]).release().ptr());
    return shape;
}

Fit fit(py::handle input, py::handle output) {
    if (!is_array(output)) return Fit::not_an_array;
    const auto x = py::reinterpret_borrow<py::array>(input), out = py::reinterpret_borrow<py::array>(output);
    if (!x.dtype().is(out.dtype()) && !x.dtype().equal(out.dtype())) return Fit::other_dtype;
    const ArrayView from(x), to(out);
    if (!from.same_shape(to)) return Fit::other_shape;
    if (!out.writeable()) return Fit::read_only;
    if (x.size() == 0) return Fit::fits;
    if (to.overlaps_itself()) return Fit::overlaps_itself;
    if (!from.bounds_meet(to) || from.same_memory(to)) return Fit::fits;
    // The bounds meet. An overlap of elements is a harder question, which NumPy answers.
    const py::object shares_memory = attribute_of_module("numpy", "shares_memory");
    return call(shares_memory, x, out).cast<bool>() ? Fit::overlaps : Fit::fits;
}

void add_results(py::module_& m) {
    numpy_api();
    m.def("empty_bits", &empty_bits, py::arg("count"));
    m.def("empty_like", [](const py::array& x) { return empty_like(x); }, py::arg("x"));
    py::native_enum<Fit>(m, "Fit", "enum.IntEnum")
        .value("FITS", Fit::fits)
        .value("NOT_AN_ARRAY", Fit::not_an_array)
        .value("OTHER_DTYPE", Fit::other_dtype)
        .value("OTHER_SHAPE", Fit::other_shape)
        .value("READ_ONLY", Fit::read_only)
        .value("OVERLAPS_ITSELF", Fit::overlaps_itself)
        .value("OVERLAPS", Fit::overlaps)
        .finalize();
    m.def(
        "fit", [](const py::array& x, py::handle out) { return static_cast<int>(fit(x, out)); }, py::arg("x"),
        py::arg("out"));
}

}  // namespace bitdrop
