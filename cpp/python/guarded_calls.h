// Calls of Python that may let other threads run: they run Python code, wait for a lock, release the interpreter's or
// collect garbage. At exit a daemon thread may end in any of them: the guard of gil.h stops it.
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

inline pybind11::object attribute(pybind11::handle object, pybind11::handle name) {
    return guarded([&] { return PyObject_GetAttr(object.ptr(), name.ptr()); });
}

inline pybind11::object attribute_of_module(const char* module, const char* name) {
    const pybind11::object imported = guarded([&] { return PyImport_ImportModule(module); });
    return guarded([&] { return PyObject_GetAttrString(imported.ptr(), name); });
}

// Its items are not set yet. On Python 3.11, any new tuple may collect garbage.
inline pybind11::object new_tuple(Py_ssize_t size) {
    return guarded([&] { return PyTuple_New(size); });
}

// Of any sequence: a tuple is returned itself.
inline pybind11::tuple tuple_of(pybind11::handle sequence) {
    return guarded([&] { return PySequence_Tuple(sequence.ptr()); });
}

}  // namespace bitdrop
