// The extension module: memory and values in, arrays filled, nothing decided. Python has validated the arguments; the
// checks here are those that memory safety depends on.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "../engine/dispatch.h"
#include "../engine/engine.h"
#include "../runtime/buffer_pool.h"
#include "../runtime/cache_size.h"
#include "arrays.h"
#include "bindings.h"
#include "gil.h"
#include "results.h"
#include "values.h"

namespace py = pybind11;

namespace bitdrop {

const Kernels& kernels_named(const std::optional<std::string>& isa) {
    if (!isa) return active_kernels();
    if (const Kernels* kernels = find_kernels(*isa)) return *kernels;
    throw py::value_error("no such instruction set on this machine: " + *isa);
}

namespace {

using Isa = std::optional<std::string>;

// The number of bits that the operands' strides reach.
uint64_t bits_reached(const Layout& layout) {
    if (layout.bits_follow || layout.size() == 0) return layout.size();
    int64_t last = 0;
    for (int a = 0; a < layout.ndim; ++a) last += (layout.axis[a].length - 1) * layout.axis[a].bit_stride;
    return static_cast<uint64_t>(last) + 1;
}

// The layout of a call, if it has one.
class OptionalLayout {
public:
    explicit OptionalLayout(py::handle layout) {
        if (!layout.is_none()) layout_.emplace(layout);
    }

    const BitLayout* get() const { return layout_ ? &*layout_ : nullptr; }

private:
    std::optional<BitLayout> layout_;
};

// Generates bits into `bits`, or into memory of the call alone if a pass that stores none needs them, and applies them.
void drop_operands(Resources with, const Operands& arrays, const Affine& affine, const Plan& plan,
                   const BitLayout* layout, py::object bits) {
    const uint64_t size = arrays.layout.size();
    const BitBox box = layout ? layout->box : contiguous_box(0, size);
    const uint64_t count = std::max(box.size(), bits_reached(arrays.layout));
    if (bits.is_none() && !arrays.layout.bits_follow) bits = empty_bits(count);
    uint8_t* bytes = bits.is_none() ? nullptr : bytes_of(bits, count, true);
    py::object active;
    if (has_activation(affine.operation) && !arrays.layout.bits_follow) {
        if (layout) throw py::value_error("an activation needs a bit for each element");
        active = empty_bits(size);
        with.active_bits = bytes_of(active, size, true);
    }
    without_lock(size, [&] { drop(with, arrays, affine, plan, box, bytes); });
}

void apply_to_operands(const Resources& with, const Operands& arrays, const Affine& affine, py::handle bits) {
    const uint8_t* bytes = bytes_of(bits, bits_reached(arrays.layout), false);
    without_lock(arrays.layout.size(), [&] { apply(with, arrays, affine, bytes); });
}

void drop_arrays(py::handle operands, py::handle affine, py::handle plan, py::handle layout, py::handle bits,
                 py::handle threads, const Isa& isa) {
    if (PyBytes_Check(bits.ptr())) throw py::type_error("bits to be written must be an array");
    const OptionalLayout bit_layout(layout);
    const Affine coefficients = affine_of(affine);
    const Resources with = {&kernels_named(isa), threads_of(threads)};
    drop_operands(with, operands_of(operands, coefficients.operation, bit_layout.get()), coefficients, plan_of(plan),
                  bit_layout.get(), py::reinterpret_borrow<py::object>(bits));
}

void apply_bits(py::handle operands, py::handle affine, py::handle bits, py::handle layout, py::handle threads,
                const Isa& isa) {
    const OptionalLayout bit_layout(layout);
    const Affine coefficients = affine_of(affine);
    if (has_activation(coefficients.operation)) throw py::value_error("stored bits are applied without an activation");
    const Resources with = {&kernels_named(isa), threads_of(threads)};
    apply_to_operands(with, operands_of(operands, coefficients.operation, bit_layout.get()), coefficients, bits);
}

// Sums are stored as numbers of the dtype at last. `gradient` has the shape of the sums, and any strides.
void apply_and_sum_bits(py::handle operands, py::handle affine, py::handle bits, const py::array& gradient,
                        py::handle threads, const Isa& isa) {
    const Affine coefficients = affine_of(affine);
    if (has_activation(coefficients.operation)) throw py::value_error("stored bits are applied without an activation");
    const ArrayView sums_view(gradient);
    Operands arrays = summed_operands_of(operands, gradient, nullptr);
    if (!gradient.writeable() || gradient.itemsize() != item_size(arrays.dtype))
        throw py::value_error("the sums must be writable, and of the operands' dtype");
    const uint64_t size = arrays.layout.size(), count = static_cast<uint64_t>(sums_view.size());
    const uint64_t chunk = Sums::chunk_for(count), chunks = std::max<uint64_t>(chunks_of(size, chunk), 1);
    const auto memory = empty_bits(8 * chunks * count * static_cast<uint64_t>(sum_size(arrays.dtype)));
    const Sums sums = {count, chunk, static_cast<char*>(const_cast<void*>(memory.data()))};
    arrays.data[arrays.layout.operands - 1] = sums.memory;
    const uint8_t* bytes = bytes_of(bits, size, false);
    const Resources with = {&kernels_named(isa), threads_of(threads)};
    without_lock(size, [&] {
        apply_and_sum(with, arrays, coefficients, bytes, sums);
        store_sums(sums_view, arrays.dtype, sums);
    });
}

// Into existing memory: once a stream number is taken, nothing may fail.
void fill(py::handle bits, py::handle plan, py::handle layout, py::handle threads, const Isa& isa) {
    if (PyBytes_Check(bits.ptr())) throw py::type_error("bits to be written must be an array");
    const BitBox box = BitLayout(layout).box;
    uint8_t* bytes = bytes_of(bits, box.size(), true);
    const Kernels& kernels = kernels_named(isa);
    const Threads limit = threads_of(threads);
    const Plan random = plan_of(plan);
    without_lock(box.size(), [&] { generate_bits(kernels, random, box, bytes, limit); });
}

// Without a layout, element i in C order has number i of the noise. A layout's bit strides go through the noise, from
// its first bit on.
void multiply_noise(py::handle operands, py::handle plan, py::handle layout, py::handle threads, const Isa& isa) {
    const OptionalLayout of_draws(layout);
    const Operands arrays = operands_of(operands, Operation::scale, of_draws.get(), AxisOrder::c);
    if (arrays.parts != 1) throw py::value_error("noise takes real numbers alone");
    const uint64_t first = of_draws.get() ? of_draws.get()->box.first : 0;
    const Resources with = {&kernels_named(isa), threads_of(threads)};
    const NoisePlan random = noise_plan_of(plan);
    without_lock(arrays.layout.size(), [&] { noise(with, arrays, random, first); });
}

// Returns the number of kept elements.
uint64_t fill_blocks(py::handle bits, py::handle plan, py::handle maps, py::handle threads, const Isa& isa) {
    const Maps shape = maps_of(maps);
    uint8_t* bytes = bytes_of(bits, shape.size(), true);
    const Kernels& kernels = kernels_named(isa);
    const Threads limit = threads_of(threads);
    const Plan random = plan_of(plan);
    uint64_t kept = 0;
    without_lock(shape.size(), [&] { kept = generate_block_bits(kernels, random, shape, bytes, limit); });
    return kept;
}

// x and the result of a pass, which is `out` or new. It has none if x has no dtype of `codes` or not the shape of the
// mask, or `out` does not fit.
struct Arrays {
    const py::handle x;
    const int64_t dtype;
    py::object y;

    Arrays(py::handle codes, py::handle input, py::handle out, py::handle shape)
        : x(input), dtype(dtype_code(codes, x)) {
        if (dtype < 0 || (!shape.is_none() && !has_shape(x, shape))) return;
        if (out.is_none())
            y = empty_like(x);
        else if (fit(x, out) == Fit::fits)
            y = py::reinterpret_borrow<py::object>(out);
    }

    Operands operands(const Affine& affine, const BitLayout* layout) const {
        const py::handle arrays[] = {y, x};  // a pass over arrays has one input
        return operands_of(dtype, arrays, affine.operation, layout);
    }
};

Resources defaults() { return {&active_kernels(), num_threads()}; }

// A whole forward pass. Key and stream number are drawn once nothing can fail any more.
py::object forward(py::handle codes, py::handle x, py::handle out, py::handle rule, py::handle layout,
                   py::handle draw) {
    const Arrays arrays(codes, x, out, py::none());
    if (!arrays.y) return py::none();
    const Items of_rule(rule, 6, "a rule: (p, affine, at inference, units, accept complex, store bits)");
    const bool store = of_rule[5].is(py::handle(Py_True));
    const Affine affine = affine_of(of_rule[1]);
    if (inputs_of(affine.operation) != 1) throw py::value_error("a forward pass has one input");
    const OptionalLayout bit_layout(layout);
    const Operands operands = arrays.operands(affine, bit_layout.get());
    const bool needs_bits = store || !operands.layout.bits_follow;
    const uint64_t count = bit_layout.get() ? bit_layout.get()->box.size() : operands.layout.size();
    const py::object bits = needs_bits ? new_bits(count) : py::none();
    const py::object plan = plan_tuple(draw_number(draw), of_rule[0]);
    drop_operands(defaults(), operands, affine, plan_of(plan), bit_layout.get(), bits);
    const auto affine_value = py::reinterpret_borrow<py::object>(of_rule[1]);
    const auto layout_value = py::reinterpret_borrow<py::object>(layout);
    const py::object mask = pack<5>({shape_of(x), plan, layout_value, affine_value, store ? bits : py::none()});
    return pack<2>({arrays.y, mask});
}

// A mask's pass on another array, or the linear part of that pass: with stored bits, or generated again.
py::object repeat(py::handle codes, py::handle x, py::handle out, py::handle mask, bool linear) {
    const Items of_mask(mask, 5, "a mask: (shape, plan, layout, affine, bits)");
    const py::handle bits = of_mask[4];
    const Arrays arrays(codes, x, out, of_mask[0]);
    if (!arrays.y) return py::none();
    const OptionalLayout bit_layout(of_mask[2]);
    Affine affine = affine_of(of_mask[3]);
    if (linear) affine = make_affine(affine.scale, 0.0, 0.0);
    const Operands operands = arrays.operands(affine, bit_layout.get());
    if (bits.is_none())
        drop_operands(defaults(), operands, affine, plan_of(of_mask[1]), bit_layout.get(), py::none());
    else
        apply_to_operands(defaults(), operands, affine, bits);
    return arrays.y;
}

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
}

void add_engine(py::module_& m) {
    const auto layout = py::arg("layout") = py::none();
    const auto threads = py::arg("threads") = py::make_tuple(0, 0);
    const auto isa = py::arg("isa") = py::none();  // a test seam
    m.def("drop", &drop_arrays, py::arg("operands"), py::arg("affine"), py::arg("plan"), layout,
          py::arg("bits") = py::none(), threads, py::kw_only(), isa,
          "Generate bits and apply them: kept elements become scale * x + shift, others `dropped`.\n\n"
          "Without a layout, element i in C order has bit i. If `bits` is given, the packed bits are stored there.\n"
          "A fourth item of `affine` names another operation, which may have more inputs: see kernel_table.h.");
    m.def("apply", &apply_bits, py::arg("operands"), py::arg("affine"), py::arg("bits"), layout, threads, py::kw_only(),
          isa, "Apply stored bits: kept elements become scale * x + shift, others `dropped`.");
    m.def("apply_and_sum", &apply_and_sum_bits, py::arg("operands"), py::arg("affine"), py::arg("bits"),
          py::arg("sums"), threads, py::kw_only(), isa,
          "Apply stored bits as `apply`, and sum the result over the axes along which `sums` would be broadcast.");
    m.def("forward", &forward, py::arg("codes"), py::arg("x"), py::arg("out"), py::arg("rule"), py::arg("layout"),
          py::arg("draw"),
          "Drop units of an array: return the result and the values of its mask. None if x or out does not fit.");
    m.def("repeat", &repeat, py::arg("codes"), py::arg("x"), py::arg("out"), py::arg("mask"), py::arg("linear"),
          "Repeat a mask's forward pass on an array, or its linear part: return the result. None if x or out does not "
          "fit.");
    m.def("fill", &fill, py::arg("bits"), py::arg("plan"), py::arg("layout"), threads, py::kw_only(), isa,
          "Generate the bits of a layout's box into memory for them.");
    m.def("noise", &multiply_noise, py::arg("operands"), py::arg("plan"), layout, threads, py::kw_only(), isa,
          "Multiply by noise: each x becomes x * (1 + sqrt(p / (1 - p)) * z).");
    m.def("fill_blocks", &fill_blocks, py::arg("bits"), py::arg("plan"), py::arg("maps"), threads, py::kw_only(), isa,
          "Generate the bits of maps that lose whole blocks into memory for them, and return the number kept.\n\n"
          "The plan decides the seeds: one for each place that a block can have in a map, in C order.");
}

void add_memory(py::module_& m) {
    m.attr("POOLED_BYTES") = kPooledBytes;
    m.def("get_buffer_limit", &buffer_limit);
    m.def("set_buffer_limit", &set_buffer_limit, py::arg("nbytes"));
    m.def("held_buffer_bytes", &held_buffer_bytes);
    m.def("clear_buffers", &clear_buffers);
}

void add_settings(py::module_& m) {
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
    bitdrop::add_engine(m);
    bitdrop::add_memory(m);
    bitdrop::add_settings(m);
    bitdrop::add_results(m);
    bitdrop::add_keys(m);
    bitdrop::import_plan_type();
    bitdrop::add_stream_counter(m);
    bitdrop::add_testing(m);
}
