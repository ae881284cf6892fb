// What Python hands over: where the elements of an array lie.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "layout.h"

namespace bitdrop {

// The memory of an array of NumPy, or of a tuple (address, shape, strides), strides in elements: that is what a
// tensor of PyTorch tells in a fraction of the time that it takes to become an array. Addresses are believed.
class View {
public:
    View(const pybind11::object& array, pybind11::ssize_t item_size, bool writable);
    explicit View(const pybind11::array& array);
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    pybind11::ssize_t size() const;
    bool same_shape(const View& other) const;
    bool same_memory(const View& other) const;  // each element where the other has it; the shapes are the same
    bool bounds_meet(const View& other) const;  // not empty, either of them
    // Sorted by step, each axis must step over all that the smaller ones span. Exotic views without overlap that
    // break this rule are counted as overlapping.
    bool overlaps_itself() const;

    char* data = nullptr;
    pybind11::ssize_t item_size;
    int axes = 0;
    const pybind11::ssize_t* shape = nullptr;
    const pybind11::ssize_t* strides = nullptr;  // bytes

private:
    void read_array(const pybind11::array& array);
    void read_tuple(const pybind11::tuple& described);
    void bounds(const char** low, const char** high) const;

    pybind11::ssize_t numbers_[2 * kMaxAxes];  // of a tuple
};

using Steps = std::optional<std::vector<int64_t>>;  // through the bits, for each axis; none: element i has bit i

// Adds the axes in the order of memory, whatever their order in the arrays: bits find their elements by steps.
void describe(Layout* layout, const View& x, const View& out, const Steps& bit_steps);

// The first of at least (count + 7) / 8 adjacent bytes.
uint8_t* bytes_of(const pybind11::object& bits, uint64_t count, bool writable);

}  // namespace bitdrop
