// Plan, Affine, BitLayout and Threads of the Python package, read from the tuples that they are.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "../engine/engine.h"

namespace bitdrop {

Plan plan_of(const pybind11::tuple& plan);
Affine affine_of(const pybind11::tuple& affine);
Threads threads_of(const pybind11::tuple& threads);  // a limit of 0 is the setting of the process

// The fields of bitdrop._bit_layout.BitLayout that the engine needs.
struct BitLayout {
    BitBox box;
    std::vector<int64_t> bit_strides;

    explicit BitLayout(const pybind11::tuple& layout);
};

}  // namespace bitdrop
