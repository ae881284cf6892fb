// The Python face of the engine: arrays in, arrays filled. Arguments have been checked in Python; what is
// checked again here is what memory safety depends on.
#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "buffer_pool.h"
#include "dispatch.h"
#include "engine.h"
#include "machine.h"
#include "thread_pool.h"
#include "view.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Below this many elements the work takes less time than handing the interpreter lock over.
constexpr py::ssize_t kHoldLock = 8192;

// Releases the interpreter lock: the caller's references keep the arrays alive, and nothing of Python is touched.
template <class Work> void without_lock(py::ssize_t elements, Work work) {
    if (elements < kHoldLock) return work();
    PyThreadState* state = PyEval_SaveThread();
    work();
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        // The interpreter is ending, and Python before 3.14 ends this daemon thread by unwinding its stack. That
        // would run destructors that need the lock, so the thread waits here until the process is gone.
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

// Memory that is kept for the next array when this one and all its views have died.
py::array pooled_array(const py::dtype& dtype, std::vector<py::ssize_t> shape, std::vector<py::ssize_t> strides,
                       py::ssize_t bytes) {
    void* buffer = nullptr;
    try {
        buffer = take_buffer(static_cast<size_t>(bytes));
    } catch (const std::bad_alloc&) {
        PyErr_Format(PyExc_MemoryError, "Unable to allocate %zd bytes for a result or its bits", bytes);
        throw py::error_already_set();
    }
    const py::capsule owner(buffer, [](void* memory) { return_buffer(memory); });
    return py::array(dtype, std::move(shape), std::move(strides), buffer, owner);
}

// An array of the shape, strides and dtype of `like`, which must be dense.
py::array pooled(const py::array& like) {
    const auto axes = static_cast<size_t>(like.ndim());
    return pooled_array(like.dtype(), {like.shape(), like.shape() + axes}, {like.strides(), like.strides() + axes},
                        like.nbytes());
}

py::array empty_bits(py::ssize_t elements) {
    const py::ssize_t bytes = (elements + 7) / 8;
    if (bytes < static_cast<py::ssize_t>(kPooledBytes)) return py::array_t<uint8_t>(bytes);
    return pooled_array(py::dtype::of<uint8_t>(), {bytes}, {1}, bytes);
}

const Kernels& kernels_named(const std::optional<std::string>& isa) {
    if (!isa) return active_kernels();
    if (const Kernels* kernels = find_kernels(*isa)) return *kernels;
    throw py::value_error("no such instruction set on this machine: " + *isa);
}

// The number of bits that a layout reaches into.
uint64_t bits_reached(const Layout& layout) {
    if (layout.bits_follow || layout.size() == 0) return layout.size();
    int64_t last = 0;
    for (int a = 0; a < layout.axes; ++a) {
        if (layout.axis[a].bit_step < 0) throw py::value_error("steps through the bits must not be negative");
        last += (layout.axis[a].length - 1) * layout.axis[a].bit_step;
    }
    return static_cast<uint64_t>(last) + 1;
}

DType dtype_of(int code) {
    if (code < 0 || code >= kDTypes) throw py::value_error("no such dtype");
    return static_cast<DType>(code);
}

// As Python gives them: 0 threads are the setting of the process, and a team is an address.
Threads threads_of(int threads, uintptr_t team) {
    return {threads > 0 ? threads : num_threads(), reinterpret_cast<Team>(team)};
}

Job job_of(const View& x, const View& out, DType dtype, double scale, double shift, double dropped,
           const Steps& bit_steps, int threads, uintptr_t team, const std::optional<std::string>& isa) {
    Job job;
    job.kernels = &kernels_named(isa);
    job.dtype = dtype;
    job.src = x.data;
    job.dst = out.data;
    describe(&job.layout, x, out, bit_steps);
    job.scale = scale;
    job.shift = shift;
    job.dropped = dropped;
    job.threads = threads_of(threads, team);
    return job;
}

void drop(const py::object& x, const py::object& out, const py::object& bits, int dtype, uint64_t key0, uint64_t key1,
          uint64_t stream, double p, double scale, double shift, double dropped, int threads, uintptr_t team,
          const std::optional<std::string>& isa) {
    const DType type = dtype_of(dtype);
    const View from(x, item_size(type), false), to(out, item_size(type), true);
    Job job = job_of(from, to, type, scale, shift, dropped, {}, threads, team, isa);
    const Plan plan = make_plan(key0, key1, stream, p);
    job.plan = &plan;
    const py::ssize_t size = from.size();
    py::object held = bits;
    if (held.is_none() && !job.layout.bits_follow) held = empty_bits(size);  // for the call alone
    if (!held.is_none()) job.bits = bytes_of(held, static_cast<uint64_t>(size), true);
    without_lock(size, [&] { run(job); });
}

void apply(const py::object& x, const py::object& out, const py::object& bits, int dtype, double scale, double shift,
           double dropped, const Steps& bit_steps, int threads, uintptr_t team, const std::optional<std::string>& isa) {
    const DType type = dtype_of(dtype);
    const View from(x, item_size(type), false), to(out, item_size(type), true);
    Job job = job_of(from, to, type, scale, shift, dropped, bit_steps, threads, team, isa);
    job.bits = bytes_of(bits, bits_reached(job.layout), false);
    without_lock(from.size(), [&] { run(job); });
}

py::array bits(uint64_t key0, uint64_t key1, uint64_t stream, double p, uint64_t start, uint64_t stop,
               const std::optional<std::string>& isa) {
    if (stop < start) throw py::value_error("stop must not be before start");
    const Kernels& kernels = kernels_named(isa);
    const Plan plan = make_plan(key0, key1, stream, p);
    const auto count = static_cast<py::ssize_t>(stop - start);
    py::array packed = empty_bits(count);
    auto* bytes = static_cast<uint8_t*>(packed.mutable_data());
    without_lock(count, [&] { make_bits(kernels, plan, start, stop - start, bytes, num_threads()); });
    return packed;
}

// Into memory that exists: once a stream number is taken, nothing may fail.
void make_part(const py::object& bits, uint64_t key0, uint64_t key1, uint64_t stream, double p, uint64_t start,
               const std::vector<int64_t>& lengths, const std::vector<int64_t>& steps, int threads, uintptr_t team,
               const std::optional<std::string>& isa) {
    if (lengths.size() != steps.size() || lengths.size() > kMaxAxes) throw py::value_error("one step for each axis");
    const Kernels& kernels = kernels_named(isa);
    const Plan plan = make_plan(key0, key1, stream, p);
    Layout part;
    part.add_axis(1, 0, 0, 1);  // for a part without axes
    for (size_t axis = 0; axis < lengths.size(); ++axis) part.add_axis(lengths[axis], 0, 0, steps[axis]);
    uint8_t* bytes = bytes_of(bits, part.size(), true);
    without_lock(static_cast<py::ssize_t>(part.size()),
                 [&] { make_part_bits(kernels, plan, start, part, bytes, threads_of(threads, team)); });
}

// Whether a result for x can be written into `out`, or why not. `overlaps` says that their bounds meet: whether
// elements do is a harder question, which NumPy answers.
enum class Fit { fits, other_dtype, other_shape, read_only, overlaps_itself, overlaps };

Fit fit(const py::array& x, const py::array& out) {
    if (!x.dtype().is(out.dtype()) && !x.dtype().equal(out.dtype())) return Fit::other_dtype;
    const View from(x), to(out);
    if (!from.same_shape(to)) return Fit::other_shape;
    if (!out.writeable()) return Fit::read_only;
    if (x.size() == 0) return Fit::fits;
    if (to.overlaps_itself()) return Fit::overlaps_itself;
    return from.bounds_meet(to) && !from.same_memory(to) ? Fit::overlaps : Fit::fits;
}

py::tuple slice(const std::string& isa, double p, const py::array_t<uint64_t, py::array::c_style>& draws) {
    const Plan plan = make_plan(0, 0, 0, p);
    if (draws.ndim() != 2 || draws.shape(0) != plan.levels || draws.shape(1) != kLanes)
        throw py::value_error("draws must be of shape (levels, 16)");
    py::array_t<uint64_t> keep(kLanes), undecided(kLanes);
    kernels_named(isa).slice(plan, draws.data(), keep.mutable_data(), undecided.mutable_data());
    return py::make_tuple(keep, undecided);
}

py::tuple plan_of(double p) {
    const Plan plan = make_plan(0, 0, 0, p);
    return py::make_tuple(plan.threshold, plan.levels, plan.ties != 0);
}

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
}

}  // namespace
}  // namespace bitdrop

PYBIND11_MODULE(_core, m) {
    using namespace bitdrop;
    const auto threads = py::arg("threads") = 0;
    const auto team = py::arg("team") = 0;
    const auto isa = py::arg("isa") = py::none();
    m.attr("MASK_FORMAT") = kMaskFormat;
    m.attr("COMPILER") = BITDROP_COMPILER;

    m.def("drop", &drop, py::arg("x"), py::arg("out"), py::arg("bits"), py::arg("dtype"), py::arg("key0"),
          py::arg("key1"), py::arg("stream"), py::arg("p"), py::arg("scale"), py::arg("shift") = 0.0,
          py::arg("dropped") = 0.0, threads, team, isa);
    m.def("apply", &apply, py::arg("x"), py::arg("out"), py::arg("bits"), py::arg("dtype"), py::arg("scale"),
          py::arg("shift") = 0.0, py::arg("dropped") = 0.0, py::arg("bit_steps") = py::none(), threads, team, isa);
    m.def("bits", &bits, py::arg("key0"), py::arg("key1"), py::arg("stream"), py::arg("p"), py::arg("start"),
          py::arg("stop"), isa);

    m.def("make_part", &make_part, py::arg("bits"), py::arg("key0"), py::arg("key1"), py::arg("stream"), py::arg("p"),
          py::arg("start"), py::arg("lengths"), py::arg("steps"), threads, team, isa);

    m.attr("POOLED_BYTES") = kPooledBytes;
    m.def("empty_bits", &empty_bits, py::arg("elements"));
    m.def("pooled", &pooled, py::arg("like"));
    m.def("get_buffer_limit", &buffer_limit);
    m.def("set_buffer_limit", &set_buffer_limit, py::arg("nbytes"));
    m.def("held_buffer_bytes", &held_buffer_bytes);
    m.def("clear_buffers", &clear_buffers);

    py::native_enum<Fit>(m, "Fit", "enum.IntEnum")
        .value("FITS", Fit::fits)
        .value("OTHER_DTYPE", Fit::other_dtype)
        .value("OTHER_SHAPE", Fit::other_shape)
        .value("READ_ONLY", Fit::read_only)
        .value("OVERLAPS_ITSELF", Fit::overlaps_itself)
        .value("OVERLAPS", Fit::overlaps)
        .finalize();
    m.def(
        "fit", [](const py::array& x, const py::array& out) { return static_cast<int>(fit(x, out)); }, py::arg("x"),
        py::arg("out"));

    m.def("isas", &isas);
    m.def("get_isa", [] { return active_kernels().name; });
    m.def("set_isa", [](const std::string& name) { set_active_kernels(kernels_named(name)); }, py::arg("name"));
    m.def("get_num_threads", &num_threads);
    m.def("set_num_threads", &set_num_threads, py::arg("n"));
    m.def("get_waking_factor", &waking_factor);
    m.def("set_waking_factor", &set_waking_factor, py::arg("factor"));
    m.def("get_streaming_threshold", &streaming_threshold);
    m.def("set_streaming_threshold", &set_streaming_threshold, py::arg("nbytes"));
    m.def("last_level_cache", &last_level_cache_bytes);

    m.def("plan", &plan_of, py::arg("p"));
    m.def("slice", &slice, py::arg("isa"), py::arg("p"), py::arg("draws"));
    m.def("tie_keeps", &tie_keeps, py::arg("threshold"), py::arg("hash"));
}
