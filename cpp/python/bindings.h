// Pieces of the extension module.
#pragma once

#include <pybind11/numpy.h>

#include <optional>
#include <string>

#include "../kernels/kernel_table.h"

namespace bitdrop {

const Kernels& kernels_named(const std::optional<std::string>& isa);  // the active ones without a name

pybind11::array empty_bits(uint64_t count);  // uninitialised memory for packed bits

void add_stream_counter(pybind11::module_& m);
void add_testing(pybind11::module_& m);  // functions that only tests call

}  // namespace bitdrop
