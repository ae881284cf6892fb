// The extension module: settings and memory, and the pieces of the other files.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "../engine/dispatch.h"
#include "../engine/mask_bits.h"
#include "../runtime/buffer_pool.h"
#include "../runtime/cache_size.h"
#include "../runtime/float_mode.h"
#include "arrays.h"
#include "bindings.h"
#include "front_end.h"
#include "gil.h"
#include "passes.h"

namespace py = pybind11;

namespace bitdrop {

const Kernels& kernels_named(const std::optional<std::string>& isa) {
    if (!isa) return active_kernels();
    if (const Kernels* kernels = find_kernels(*isa)) return *kernels;
    throw py::value_error("no such instruction set on this machine: " + *isa);
}

namespace {

// Into existing memory: the box of a mask's bits of these lengths and strides, from element `first` on.
void fill(py::handle bits, const py::tuple& key, uint64_t stream, double p, uint64_t first,
          const std::vector<int64_t>& lengths, const std::vector<int64_t>& strides) {
    BitBox box;
    box.first = first;
    box.add_axis(1, 1);
    for (size_t axis = 0; axis < lengths.size(); ++axis) box.add_axis(lengths[axis], strides.at(axis));
    uint8_t* bytes = bytes_of(bits, box.size(), true);
    const Plan plan = make_plan(key[0].cast<uint64_t>(), key[1].cast<uint64_t>(), stream, p);
    without_lock(box.size(), [&] { generate_bits(active_kernels(), plan, box, bytes, num_threads()); });
}

// Whole blocks of a noise, from block `first` on: its random words, or its normal numbers.
void fill_noise(py::array out, const py::tuple& key, uint64_t stream, uint64_t first) {
    const bool words = out.dtype().equal(py::dtype::of<uint32_t>());
    const bool fits = words || out.dtype().equal(py::dtype::of<float>());
    const auto count = static_cast<uint64_t>(out.size());
    if (!fits || !(out.flags() & py::array::c_style) || count % kNoiseBlockElements)
        throw py::value_error("out must be whole blocks of uint32 or float32 in C order");
    void* const data = out.mutable_data();
    const DefaultFloatMode mode;
    const NoisePlan plan = make_noise_plan(key[0].cast<uint64_t>(), key[1].cast<uint64_t>(), stream, 0.5);
    without_lock(count, [&] {
        const uint64_t blocks = count / kNoiseBlockElements;
        if (!words) return active_kernels().generate_noise(plan, first, blocks, static_cast<float*>(data));
        for (uint64_t block = 0; block < blocks; ++block)
            noise_words(plan, first + block, static_cast<uint32_t*>(data) + block * kNoiseBlockElements);
    });
}

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
}

void add_memory(py::module_& m) {
    m.attr("POOLED_BYTES") = kPooledBytes;
    m.def("get_buffer_limit", &buffer_limit);
    m.def("set_buffer_limit", &set_buffer_limit, py::arg("nbytes"));
    m.def("held_buffer_bytes", &held_buffer_bytes);
    m.def("clear_buffers", &clear_buffers);
    m.def("fill", &fill, py::arg("bits"), py::arg("key"), py::arg("stream"), py::arg("p"), py::arg("first"),
          py::arg("lengths"), py::arg("strides"), "Generate a box of a mask's bits into memory for them.");
    m.def("fill_noise", &fill_noise, py::arg("out"), py::arg("key"), py::arg("stream"), py::arg("first"),
          "Generate blocks of a noise into an array: random words of uint32, or normal numbers of float32.");
}

void add_settings(py::module_& m) {
    m.attr("VERSION") = BITDROP_VERSION;
    m.attr("MASK_FORMAT") = kMaskFormat;
    m.attr("NOISE_FORMAT") = kNoiseFormat;
    m.attr("COMPILER") = BITDROP_COMPILER;
    m.def("isas", &isas);
    m.def("get_isa", [] { return active_kernels().name; });
    m.def("set_isa", [](const std::string& name) { set_active_kernels(kernels_named(name)); }, py::arg("name"));
    m.def("get_num_threads", &num_threads);
    m.def("set_num_threads", &set_num_threads, py::arg("n"));
    m.def("get_non_temporal_threshold", &non_temporal_threshold);
    m.def("set_non_temporal_threshold", &set_non_temporal_threshold, py::arg("nbytes"));
    m.def("last_level_cache", &last_level_cache_bytes);
}

}  // namespace
}  // namespace bitdrop

// Free-threaded Python runs these functions in parallel: whatever they share is atomic or behind a lock of its own.
PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    // pybind11's first look-up of NumPy releases the interpreter lock, in objects whose destructors must not throw. In
    // a daemon thread at exit they would, before Python 3.14: the look-up is done here instead.
    (void)py::dtype::of<uint8_t>();
    bitdrop::add_memory(m);
    bitdrop::add_settings(m);
    bitdrop::add_front_end(m);
    bitdrop::add_arrays(m);
    bitdrop::add_values(m);
    bitdrop::add_jax(m);
    bitdrop::add_keys(m);
    bitdrop::add_stream_counter(m);
    bitdrop::add_torch(m);
    bitdrop::add_testing(m);
}
