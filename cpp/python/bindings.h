// Pieces of the extension module.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "../kernels/kernel_table.h"

namespace bitdrop {

const Kernels& kernels_named(const std::optional<std::string>& isa);  // the active ones without a name

void add_jax(pybind11::module_& m);
void add_keys(pybind11::module_& m);
void add_stream_counter(pybind11::module_& m);
void add_torch(pybind11::module_& m);    // passes on tensors of PyTorch
void add_testing(pybind11::module_& m);  // functions that only tests call

}  // namespace bitdrop
