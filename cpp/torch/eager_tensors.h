// Tensors of ordinary (eager) calls, read and made without PyTorch's headers. All functions need the interpreter lock.
#pragma once

#include <pybind11/pybind11.h>

#include "tensor_memory.h"

namespace bitdrop::torch {

// Keeps PyTorch's functions. `names` is a dict of bitdrop/torch/_native.py.
void keep_tensor_functions(const pybind11::dict& names);

// Reads a tensor's memory. False if anything but autograd may watch the call, or the engine cannot read the tensor.
bool read_plain(PyObject* tensor, TensorMemory* memory);

// The memory of a tensor that was checked or made here.
TensorMemory read_tensor(PyObject* tensor);

// True if autograd's reverse mode records an operation on a tensor.
bool requires_grad(PyObject* tensor);

// A new tensor of another's shape and dtype.
pybind11::object new_like(PyObject* tensor, const TensorMemory& like, const AxisOrder& order);
// A new tensor in C order, of another's dtype.
pybind11::object new_of_shape(PyObject* like, const Lengths& shape);
// A new vector of uint8 for bits.
pybind11::object new_bits(uint64_t count);

// Draws a key from PyTorch's default generator.
void draw_key(uint64_t words[2]);

}  // namespace bitdrop::torch
