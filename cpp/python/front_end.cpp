#include "front_end.h"

#include <pybind11/native_enum.h>

#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Set once, when the package is imported, and never released: threads may outlive the interpreter.
PyObject* as_array_function = nullptr;
PyObject* error_of_function = nullptr;

}  // namespace

py::object as_array(py::handle object, const char* name, bool accept_complex) {
    const py::str its_name(name);
    return guarded([&] {
        return PyObject_CallFunctionObjArgs(as_array_function, object.ptr(), its_name.ptr(),
                                            accept_complex ? Py_True : Py_False, nullptr);
    });
}

void raise_misfit(Misfit misfit, py::handle value, const std::string& name, py::handle reference,
                  const std::string& other_name) {
    const py::object reason = py::cast(misfit), its_name = py::str(name), other = py::str(other_name);
    const py::object error = guarded([&] {
        return PyObject_CallFunctionObjArgs(error_of_function, reason.ptr(), value.ptr(), its_name.ptr(),
                                            reference.ptr(), other.ptr(), nullptr);
    });
    PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
    throw py::error_already_set();
}

void add_front_end(py::module_& m) {
    py::native_enum<Misfit>(m, "Misfit", "enum.Enum")
        .value("NOT_AN_ARRAY", Misfit::not_an_array)
        .value("OTHER_DTYPE", Misfit::other_dtype)
        .value("OTHER_SHAPE", Misfit::other_shape)
        .value("NOT_OF_PASS", Misfit::not_of_pass)
        .value("NO_BROADCAST", Misfit::no_broadcast)
        .value("READ_ONLY", Misfit::read_only)
        .value("OVERLAPS_ITSELF", Misfit::overlaps_itself)
        .value("OVERLAPS", Misfit::overlaps)
        .value("OVERLAPS_AT_ALL", Misfit::overlaps_at_all)
        .value("OTHER_NDIM", Misfit::other_ndim)
        .value("NOISE_SHAPE", Misfit::noise_shape)
        .value("SHARD", Misfit::shard)
        .value("SHARD_OF_BLOCKS", Misfit::shard_of_blocks)
        .value("LARGE_BLOCK", Misfit::large_block)
        .value("NO_BIAS", Misfit::no_bias)
        .finalize();
    m.def(
        "set_front_end",
        [](py::object as_array, py::object error_of) {
            as_array_function = as_array.release().ptr();
            error_of_function = error_of.release().ptr();
        },
        py::arg("as_array"), py::arg("error_of"), "Set the functions that admit arrays and word errors.");
}

}  // namespace bitdrop
