// Functions of NumPy's C interface that pybind11 does not offer.
#pragma once

#include <pybind11/numpy.h>

namespace bitdrop {

enum class MemoryOrder : int { c = 0, keep = 2 };  // NPY_CORDER, NPY_KEEPORDER

// Their places in NumPy's table have never changed: they are part of its stable interface.
class NumpyApi {
public:
    explicit NumpyApi(void* const* table);

    PyTypeObject* array_type() const { return array_type_; }
    pybind11::array empty_bytes(Py_intptr_t count) const;
    // A plain array of x's shape, even if x is of a subclass. Without a dtype, of x's own.
    pybind11::object empty_like(pybind11::handle x, MemoryOrder order, pybind11::object dtype) const;
    void copy(pybind11::handle to, pybind11::handle from) const;

private:
    using DescrFromType = PyObject* (*)(int type);
    using NewFromDescr = PyObject* (*)(PyTypeObject* array_type, PyObject* descr, int ndim, const Py_intptr_t* shape,
                                       const Py_intptr_t* strides, void* data, int flags, PyObject* object);
    using NewLikeArray = PyObject* (*)(PyObject* prototype, int order, PyObject* descr, int subclass);

    using CopyInto = int (*)(PyObject* to, PyObject* from);

    PyTypeObject* array_type_;
    DescrFromType descr_from_type_;
    NewFromDescr new_from_descr_;
    NewLikeArray new_like_array_;
    CopyInto copy_into_;
};

const NumpyApi& numpy_api();

}  // namespace bitdrop
