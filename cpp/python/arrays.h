// Memory that Python passes: NumPy arrays, and memory of other libraries.
#pragma once

#include <pybind11/numpy.h>

#include "../engine/operands.h"
#include "../engine/rule.h"

namespace bitdrop {

// Memory of another library. Its address is not validated.
struct Memory {
    const ElementType* type;
    Array array;
};

// An argument that is an array: what it keeps alive, and its memory.
struct Argument {
    pybind11::object owner;
    const ElementType* type = nullptr;
    Array array;

    bool is_numpy = false;  // else memory of another library

    explicit operator bool() const { return type != nullptr; }
};

// Reads an input. Objects that are not plain arrays of a supported dtype go to the front-end first.
void read_input(Argument* input, pybind11::handle object, const char* name, bool accept_complex);

// The dtype and shape that an output must have, and the arguments that they come from.
struct Expected {
    const ElementType& type;
    const Array& shape;
    const char* type_of;
    const char* shape_of;
};

// Reads an array to be written to: `out`, or without it a new one for a result that belongs to `prototype`.
void read_output(Argument* output, pybind11::handle out, const char* out_name, const Expected& expected,
                 const Argument& prototype);

// Checks that an output does not overlap an input in part, or at all.
void check_apart(const Argument& output, const char* out_name, const Argument& input, const char* name, bool at_all);

// An uninitialised array for a result that belongs to an array, of a type and in the layout that NumPy would choose.
pybind11::object empty_like(const pybind11::array& x, const ElementType& type);

// Uninitialised memory for packed bits, as bytes or as an array: bytes cost half as much.
pybind11::object new_bits(uint64_t count);
pybind11::array empty_bits(uint64_t count);

// The first of at least (count + 7) / 8 adjacent bytes, of an array, memory or bytes.
uint8_t* bytes_of(pybind11::handle bits, uint64_t count, bool writable);

Lengths lengths_of(pybind11::handle sequence);  // of ints
pybind11::tuple tuple_of_lengths(const int64_t* lengths, size_t count);
inline pybind11::tuple tuple_of_lengths(const Lengths& lengths) {
    return tuple_of_lengths(lengths.data(), lengths.size());
}
inline pybind11::tuple shape_of(const Array& array) {
    return tuple_of_lengths(array.shape, static_cast<size_t>(array.ndim));
}

const ElementType& element_type_named(const std::string& name);

void add_arrays(pybind11::module_& m);

}  // namespace bitdrop
