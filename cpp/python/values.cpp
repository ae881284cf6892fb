#include "values.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace bitdrop {

Plan plan_of(const py::tuple& plan) {
    if (plan.size() != 3) throw py::value_error("a plan must be (key, stream, p)");
    const auto key = plan[0].cast<py::tuple>();
    if (key.size() != 2) throw py::value_error("a key must be two words");
    return make_plan(key[0].cast<uint64_t>(), key[1].cast<uint64_t>(), plan[1].cast<uint64_t>(),
                     plan[2].cast<double>());
}

Affine affine_of(const py::tuple& affine) {
    if (affine.size() != 3) throw py::value_error("an affine must be (scale, shift, dropped)");
    return {affine[0].cast<double>(), affine[1].cast<double>(), affine[2].cast<double>()};
}

Threads threads_of(const py::tuple& threads) {
    if (threads.size() != 2) throw py::value_error("threads must be (limit, team)");
    const int limit = threads[0].cast<int>();
    return {limit > 0 ? limit : num_threads(), reinterpret_cast<Team>(threads[1].cast<uintptr_t>())};
}

BitLayout::BitLayout(const py::tuple& layout) {
    if (layout.size() < 4) throw py::value_error("a layout must be (first, lengths, strides, bit_strides, ...)");
    box.first = layout[0].cast<uint64_t>();
    const auto lengths = layout[1].cast<std::vector<int64_t>>(), strides = layout[2].cast<std::vector<int64_t>>();
    bit_strides = layout[3].cast<std::vector<int64_t>>();
    if (lengths.size() != strides.size() || lengths.size() > kMaxNdim)
        throw py::value_error("one stride for each axis");
    box.add_axis(1, 1);  // for a box without axes
    for (size_t axis = 0; axis < lengths.size(); ++axis) box.add_axis(lengths[axis], strides[axis]);
    for (const int64_t stride : bit_strides)
        if (stride < 0) throw py::value_error("bit strides must not be negative");
}

}  // namespace bitdrop
