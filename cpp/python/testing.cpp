// bitdrop._core.testing: functions that only tests call.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "../engine/engine.h"
#include "../engine/mask_bits.h"
#include "../runtime/float_mode.h"
#include "../runtime/thread_pool.h"
#include "arrays.h"
#include "bindings.h"
#include "gil.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Calls make(k0, k1, stream, p) for ((k0, k1), stream, p).
template <class Make> auto from_plan(const py::tuple& plan, Make make) {
    const py::tuple key = plan[0];
    return make(key[0].cast<uint64_t>(), key[1].cast<uint64_t>(), plan[1].cast<uint64_t>(), plan[2].cast<double>());
}

// The bits of the elements start ... stop - 1 of a mask, packed anew from bit 0.
py::object bits(const py::tuple& plan, uint64_t start, uint64_t stop, const std::optional<std::string>& isa) {
    if (stop < start) throw py::value_error("stop must not be before start");
    const Kernels& kernels = kernels_named(isa);
    const Plan random = from_plan(plan, make_plan);
    const BitBox box = contiguous_box(start, stop - start);
    py::object packed = empty_bits(box.size());
    uint8_t* bytes = bytes_of(packed, box.size(), true);
    without_lock(box.size(), [&] { generate_bits(kernels, random, box, bytes, num_threads()); });
    return packed;
}

// The bit-slicing alone, so that p is proved by enumeration instead of sampled.
py::tuple slice(const std::string& isa, double p, const py::array_t<uint64_t, py::array::c_style>& draws) {
    const Plan plan = make_plan(0, 0, 0, p);
    if (draws.ndim() != 2 || draws.shape(0) != plan.levels || draws.shape(1) != kLanes)
        throw py::value_error("draws must be of shape (levels, 16)");
    py::array_t<uint64_t> keep(kLanes), undecided(kLanes);
    kernels_named(isa).slice(plan, draws.data(), keep.mutable_data(), undecided.mutable_data());
    return py::make_tuple(keep, undecided);
}

py::tuple threshold(double p) {
    const Plan plan = make_plan(0, 0, 0, p);
    return py::make_tuple(plan.threshold, plan.levels, plan.ties != 0);
}

// The normal numbers of the elements start ... stop - 1 of a noise.
py::array normals(const py::tuple& plan, uint64_t start, uint64_t stop, const std::optional<std::string>& isa) {
    if (stop < start) throw py::value_error("stop must not be before start");
    const Kernels& kernels = kernels_named(isa);
    const DefaultFloatMode mode;
    const NoisePlan random = from_plan(plan, make_noise_plan);
    const uint64_t skip = start % kNoiseBlockElements, count = stop - start;
    const uint64_t blocks = (skip + count) / kNoiseBlockElements + 1;
    py::array_t<float> whole(static_cast<py::ssize_t>(blocks * kNoiseBlockElements));
    float* z = whole.mutable_data();
    without_lock(whole.size(), [&] { kernels.generate_noise(random, start / kNoiseBlockElements, blocks, z); });
    return whole[py::slice(static_cast<py::ssize_t>(skip), static_cast<py::ssize_t>(skip + count), 1)];
}

// The normal number of each 32 random bits.
py::array_t<float> normal_of_bits(const py::array_t<uint32_t, py::array::c_style>& bits) {
    py::array_t<float> z(bits.size());
    std::transform(bits.data(), bits.data() + bits.size(), z.mutable_data(), normal_of);
    return z;
}

}  // namespace

void add_testing(py::module_& m) {
    py::module_ testing = m.def_submodule("testing", "Functions that only tests call.");
    testing.def("bits", &bits, py::arg("plan"), py::arg("start"), py::arg("stop"), py::arg("isa") = py::none());
    testing.def("slice", &slice, py::arg("isa"), py::arg("p"), py::arg("draws"));
    testing.def("threshold", &threshold, py::arg("p"));
    testing.def("normals", &normals, py::arg("plan"), py::arg("start"), py::arg("stop"), py::arg("isa") = py::none());
    testing.def("normal_of", &normal_of_bits, py::arg("bits"));
    testing.def("tie_keeps", &tie_keeps, py::arg("threshold"), py::arg("hash"));
    testing.def("get_waking_factor", &waking_factor);
    testing.def("set_waking_factor", &set_waking_factor, py::arg("factor"));
}

}  // namespace bitdrop
