// Pieces of the extension module.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "../kernels/kernel_table.h"

namespace bitdrop {

const Kernels& kernels_named(const std::optional<std::string>& isa);  // the active ones without a name

// Key and stream number of a draw: of a StreamCounter, or of a callable that returns both.
pybind11::object draw_number(pybind11::handle draw);

void add_keys(pybind11::module_& m);
void add_stream_counter(pybind11::module_& m);
void add_testing(pybind11::module_& m);  // functions that only tests call

}  // namespace bitdrop
