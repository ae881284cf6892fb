// Arrays for results: new ones, and whether a given one can take a result.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <cstdint>

#include "guarded_calls.h"

namespace bitdrop {

pybind11::array empty_bits(uint64_t count);  // uninitialised memory for packed bits

// The same for the bits of a mask, which become an array when a user asks for them: bytes cost half as much.
pybind11::object new_bits(uint64_t count);

// An uninitialised array for a result that belongs to x, in the layout that NumPy would choose.
pybind11::object empty_like(pybind11::handle x);

// The code of an array's dtype in `codes`, a dict. -1 if there is none, or x is no array, or a masked one.
int64_t dtype_code(pybind11::handle codes, pybind11::handle x);

bool has_shape(pybind11::handle array, pybind11::handle shape);
pybind11::object shape_of(pybind11::handle array);

// A tuple, without the checks of pybind11's.
template <size_t size> pybind11::object pack(std::array<pybind11::object, size> items) {
    pybind11::object tuple = new_tuple(size);
    for (size_t i = 0; i < size; ++i)
        PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), items[i].release().ptr());
    return tuple;
}

// The reason why a result for x cannot be written into `out`, if there is one.
enum class Fit { fits, not_an_array, other_dtype, other_shape, read_only, overlaps_itself, overlaps };
Fit fit(pybind11::handle x, pybind11::handle out);

void add_results(pybind11::module_& m);

}  // namespace bitdrop
