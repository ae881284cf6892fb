// Calls of Python that may let other threads run: they run Python code, wait for a lock, release the interpreter's or
// collect garbage. At exit a daemon thread may end in any of them, see gil.h, so none is called without a guard.
#pragma once

#include <pybind11/pybind11.h>

#include "gil.h"

namespace bitdrop {

// The object that the call returned, or the Python error that it set.
inline pybind11::object owned(PyObject* returned) {
    if (!returned) throw pybind11::error_already_set();
    return pybind11::reinterpret_steal<pybind11::object>(returned);
}

template <class Call> pybind11::object guarded(Call call) {
    WaitsIfUnwound guard;
    PyObject* const returned = call();
    guard.done = true;
    return owned(returned);
}

inline pybind11::object call(pybind11::handle callable) {
    return guarded([&] { return PyObject_CallNoArgs(callable.ptr()); });
}

inline pybind11::object call(pybind11::handle callable, pybind11::handle a, pybind11::handle b) {
    return guarded([&] { return PyObject_CallFunctionObjArgs(callable.ptr(), a.ptr(), b.ptr(), nullptr); });
}

inline pybind11::object call_method(pybind11::handle object, pybind11::handle name) {
    return guarded([&] { return PyObject_CallMethodNoArgs(object.ptr(), name.ptr()); });
}

inline pybind11::object attribute_of_module(const char* module, const char* name) {
    return guarded([&] { return PyImport_ImportModule(module); }).attr(name);
}

// Its items are not set yet. Up to Python 3.11, any new tuple may collect garbage.
inline pybind11::object new_tuple(Py_ssize_t size) {
    return guarded([&] { return PyTuple_New(size); });
}

}  // namespace bitdrop
