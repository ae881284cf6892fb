// Plan, Affine, BitLayout, Maps and Threads of the Python package, read from the tuples that they are.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "../engine/block_bits.h"
#include "../engine/engine.h"

namespace bitdrop {

// Items of a tuple by CPython's own functions: pybind11's casters take longer than the smallest arrays do.
class Items {
public:
    Items(pybind11::handle tuple, pybind11::ssize_t least, const char* expected);

    pybind11::ssize_t size() const { return PyTuple_GET_SIZE(tuple_); }
    pybind11::handle operator[](pybind11::ssize_t i) const { return PyTuple_GET_ITEM(tuple_, i); }
    int64_t integer(pybind11::ssize_t i) const;
    uint64_t word(pybind11::ssize_t i) const;
    double number(pybind11::ssize_t i) const;

private:
    PyObject* tuple_;
};

Plan plan_of(pybind11::handle plan);
NoisePlan noise_plan_of(pybind11::handle plan);
// A Plan of the package: `drawn` has the key and the stream number.
pybind11::object plan_tuple(pybind11::handle drawn, pybind11::handle p);
void import_plan_type();  // once, when the module is imported
Affine affine_of(pybind11::handle affine);  // without an operation, the one of the coefficients
Threads threads_of(pybind11::handle threads);  // a limit of 0 is the setting of the process

Maps maps_of(pybind11::handle maps);

// The fields of bitdrop._bit_layout.BitLayout that the engine needs.
struct BitLayout {
    BitBox box;
    int ndim;  // of the array
    int64_t bit_strides[kMaxNdim];

    explicit BitLayout(pybind11::handle layout);
};

}  // namespace bitdrop
