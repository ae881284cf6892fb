// The weights of kept units, for Python: memory of tensors in C order.
#include "kept_weights.h"

#include "../engine/kept_weights.h"
#include "../python/arrays.h"
#include "../python/gil.h"

namespace py = pybind11;

namespace bitdrop::torch {
namespace {

// Weights of a shape of units, units and whatever else, in C order or with the columns last in memory (channels_last).
WeightShape weight_shape(const py::tuple& lengths, bool columns_are_last, uint64_t item_bytes) {
    uint64_t others = 1;
    for (size_t axis = 2; axis < lengths.size(); ++axis) others *= lengths[axis].cast<uint64_t>();
    WeightShape shape;
    shape.rows = lengths[0].cast<uint64_t>();
    shape.columns = lengths.size() > 1 ? lengths[1].cast<uint64_t>() : 1;
    shape.outer = columns_are_last ? others : 1;
    shape.bytes = item_bytes * (columns_are_last ? 1 : others);
    return shape;
}

// gather_weights or scatter_weights on memory of tensors. Addresses are not validated.
template <auto copy>
void copy_tensors(uint64_t from, uint64_t to, py::handle rows, py::handle columns, const py::tuple& lengths,
                  bool columns_are_last, uint64_t item_bytes, const Threads& threads) {
    const WeightShape shape = weight_shape(lengths, columns_are_last, item_bytes);
    const KeptUnits kept = {rows.is_none() ? nullptr : bytes_of(rows, shape.rows, false),
                            columns.is_none() ? nullptr : bytes_of(columns, shape.columns, false)};
    without_lock(shape.rows * shape.columns * shape.outer, [&] {
        copy(shape, kept, reinterpret_cast<const void*>(static_cast<uintptr_t>(from)),
             reinterpret_cast<void*>(static_cast<uintptr_t>(to)), threads);
    });
}

template <auto copy> void define(py::module_& m, const char* name, const char* text) {
    m.def(name, &copy_tensors<copy>, py::arg("source"), py::arg("target"), py::arg("rows"), py::arg("columns"),
          py::arg("lengths"), py::arg("columns_are_last"), py::arg("item_bytes"), py::arg("threads"), text);
}

}  // namespace

void add_kept_weights(py::module_& m) {
    define<&gather_weights>(m, "gather_weights", "Copy the weights of kept rows and columns into a part.");
    define<&scatter_weights>(m, "scatter_weights", "Copy a part into its place among zeros.");
}

}  // namespace bitdrop::torch
