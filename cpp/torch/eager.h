// Passes of ordinary (eager) calls: functions of the module `bitdrop._core.torch`.
#pragma once

#include <pybind11/pybind11.h>

namespace bitdrop::torch {

// Keeps objects of PyTorch and of bitdrop/torch/_native.py.
void keep_eager_functions(const pybind11::dict& names);

void add_eager(pybind11::module_& m);

}  // namespace bitdrop::torch
