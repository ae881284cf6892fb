// Memory of arrays that Python passes.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>

#include "../engine/engine.h"
#include "values.h"

namespace bitdrop {

// The memory of a NumPy array, or of a tuple (address, shape, strides in elements). A tensor of PyTorch gives these in
// a fraction of the time that it takes to become an array. Addresses are not validated.
class ArrayView {
public:
    ArrayView() {}  // does not clear `numbers_`, a kibibyte
    ArrayView(pybind11::handle array, pybind11::ssize_t item_size, bool writable) { set(array, item_size, writable); }
    explicit ArrayView(const pybind11::array& array);
    ArrayView(const ArrayView&) = delete;
    ArrayView& operator=(const ArrayView&) = delete;

    void set(pybind11::handle array, pybind11::ssize_t item_size, bool writable);
    void set_element(const void* element, pybind11::ssize_t item_size);  // one element, without axes
    void set_like(const ArrayView& like, pybind11::ssize_t item_size, char* memory);  // of that shape, in C order

    pybind11::ssize_t size() const;
    bool same_shape(const ArrayView& other) const;
    bool broadcasts_to(const ArrayView& other) const;  // as in NumPy
    pybind11::ssize_t broadcast_stride(int axis, int broadcast_ndim) const;
    bool same_memory(const ArrayView& other) const;  // equal places of equal elements; the shapes are the same
    bool bounds_meet(const ArrayView& other) const;  // neither is empty
    // Sorted by stride, each axis must step over all that the smaller ones span. Exotic views without overlap that
    // break this rule count as overlapping.
    bool overlaps_itself() const;

    char* data = nullptr;
    pybind11::ssize_t item_size = 0;
    int ndim = 0;
    const pybind11::ssize_t* shape = nullptr;
    const pybind11::ssize_t* strides = nullptr;  // bytes

private:
    void read_array(const pybind11::array& array);
    void read_tuple(pybind11::handle described);
    void bounds(const char** low, const char** high) const;

    pybind11::ssize_t numbers_[2 * kMaxNdim];  // shape and strides of a tuple
};

// An output, an input, and sums of the output for an array of sums that is broadcast to them. `memory` is null, or for
// the sums.
Operands summed_operands_of(pybind11::handle described, const pybind11::array& sums, char* memory);

// Rounds the sums to the dtype, into an array of their shape.
void store_sums(const ArrayView& array, DType dtype, const Sums& sums);

// The first of at least (count + 7) / 8 adjacent bytes, of an array or of bytes.
uint8_t* bytes_of(pybind11::handle bits, uint64_t count, bool writable);

// The order of the operands' axes: that of memory, in which stored bits find their elements by strides, or C order, for
// draws that are generated when they are needed.
enum class AxisOrder { memory, c };

// Operands of an operation, as the engine takes them: (dtype, (output, input, ...)). The output and the first input
// have one shape. Other inputs are broadcast to it, and None stands for -0.0, which changes no number that it is added
// to. Without a layout, element i in C order has bit i.
Operands operands_of(pybind11::handle described, Operation operation, const BitLayout* layout,
                     AxisOrder order = AxisOrder::memory);
// The same of as many arrays as the operation has operands.
Operands operands_of(int64_t dtype, const pybind11::handle* arrays, Operation operation, const BitLayout* layout,
                     AxisOrder order = AxisOrder::memory);

}  // namespace bitdrop
