// Thinned layers: functions of the module `bitdrop._core.torch`.
#pragma once

#include <pybind11/pybind11.h>

namespace bitdrop::torch {

void add_kept_weights(pybind11::module_& m);

}  // namespace bitdrop::torch
