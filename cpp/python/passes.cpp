#include "passes.h"

#include "call.h"
#include "front_end.h"
#include "gil.h"
#include "guarded_calls.h"
#include "numpy_api.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// The sentence of a pass that arrays of this shape cannot have.
[[noreturn]] void raise_misfit_of_rule(const MisfitError& error, const Rule& rule, const Lengths& shape,
                                       py::handle shard) {
    const py::tuple lengths = tuple_of_lengths(shape);
    switch (error.reason) {
        case Misfit::other_ndim: raise_misfit(error.reason, lengths, rule.units.needs, py::none(), "");
        case Misfit::noise_shape:
            raise_misfit(error.reason, lengths, "x", tuple_of_lengths(rule.units.noise_shape), "");
        case Misfit::large_block:
            raise_misfit(error.reason, lengths, "x", py::make_tuple(rule.blocks.ndim, rule.blocks.size), "");
        default: raise_misfit(error.reason, lengths, "x", shard, "");
    }
}

// bitdrop.Shard, whose fields have been validated.
std::optional<Shard> shard_of(py::handle shard, const Lengths& shape) {
    if (shard.is_none()) return std::nullopt;
    if (!py::hasattr(shard, "start") || !py::hasattr(shard, "shape"))
        raise_misfit(Misfit::shard, tuple_of_lengths(shape), "x", shard, "");
    return Shard{lengths_of(shard.attr("shape")), lengths_of(shard.attr("start"))};
}

Pass prepared_pass(const Rule& rule, bool training, Lengths shape, py::handle shard) {
    if (rule.blocks.ndim && !shard.is_none())
        raise_misfit(Misfit::shard_of_blocks, tuple_of_lengths(shape), "x", shard, "");
    const std::optional<Shard> place = training ? shard_of(shard, shape) : std::nullopt;
    try {
        return pass_of(rule, training, std::move(shape), place ? &*place : nullptr);
    } catch (const MisfitError& error) {
        raise_misfit_of_rule(error, rule, place && error.reason == Misfit::noise_shape ? place->shape : shape, shard);
    }
}

// Returns true if a pass returns its first input as it is.
bool changes_nothing(const Pass& pass, const Call& call) {
    switch (pass.operation.operation) {
        case Operation::noise: return pass.p == 0.0;
        case Operation::scale:
        case Operation::fused: return pass.operation.scale == 1.0 && !call.inputs[1] && !call.inputs[2];
        default: return false;
    }
}

}  // namespace

StoredBits PassObject::stored() const {
    if (!bits || bits.is_none()) return {};
    return {bytes_of(bits, pass.stored_bits(), false), true};
}

py::object run(const Rule& rule, const Arguments<7>& arguments) {
    const auto [inputs, out, draw, mode, shard, bits, threads] = arguments;
    const bool training = mode.ptr() == Py_True;
    Call call((training ? rule.training : rule.inference).operation);
    call.read_inputs(tuple_of(inputs), facts_of(rule.training.operation).takes_complex);
    PassObject done{prepared_pass(rule, training, shape_lengths(call.inputs[0].array), shard), py::none()};
    Pass& pass = done.pass;
    done.input_type = call.input_type;
    if (call.inputs[1] && call.facts.broadcasts[1]) pass.bias_shape = shape_lengths(call.inputs[1].array);
    const bool unchanged = !training && changes_nothing(pass, call) && call.inputs[0].is_numpy;
    if (unchanged && out.is_none()) return py::make_tuple(call.inputs[0].owner, std::move(done));
    call.make_output(out);
    if (unchanged) {
        numpy_api().copy(call.out.owner, call.inputs[0].owner);
        return py::make_tuple(call.out.owner, std::move(done));
    }
    StoredBits memory;
    const bool stores = pass.keeps_active_bits() || (training && rule.store && pass.draws != Draws::normals);
    if (!bits.is_none())
        memory.bytes = bytes_of(bits, pass.stored_bits(), true);
    else if (stores) {
        done.bits = new_bits(pass.stored_bits());
        memory.bytes = bytes_of(done.bits, pass.stored_bits(), true);
    }
    const Work work(pass, *call.inputs[0].type, call.arrays(), memory);
    if (training) pass.key = draw_key(draw);
    do_work(work, threads_of(threads), &pass);
    return py::make_tuple(call.out.owner, std::move(done));
}

PassObject pass_with_key(const Rule& rule, const Lengths& shape, py::handle key, uint64_t stream, py::handle shard,
                         bool training) {
    PassObject made{prepared_pass(rule, training, shape, shard), py::none()};
    const py::tuple words = tuple_of(key);
    made.pass.key = {{words[0].cast<uint64_t>(), words[1].cast<uint64_t>()}, stream};
    if (made.pass.draws == Draws::blocks) {  // its scale follows from its bits
        Buffer bits;
        bits.allocate(static_cast<size_t>(made.pass.stored_bits() / 8 + 1));
        without_lock(made.pass.size(), [&] { generate_kept_bits(resources(0), &made.pass, bits.get()); });
    }
    return made;
}

// Repeats a pass on other inputs.
py::object repeat(const PassObject& self, const Arguments<3>& arguments) {
    const auto [inputs, out, threads] = arguments;
    Call call(self.pass.operation.operation);
    call.read_inputs(tuple_of(inputs), call.facts.takes_complex);
    const Argument& first = call.inputs[0];
    if (shape_lengths(first.array) != self.pass.shape)
        raise_misfit(Misfit::not_of_pass, shape_of(first.array), call.facts.input_names[0],
                     tuple_of_lengths(self.pass.shape), kind_of(self.pass));
    call.make_output(out);
    const StoredBits bits = self.pass.keeps_active_bits() ? StoredBits{} : self.stored();
    const Work work(self.pass, *first.type, call.arrays(), bits);
    do_again(work, threads_of(threads), self.pass);
    return call.out.owner;
}

namespace {

// Packed bits, in an array that cannot be written to.
py::array read_only_bits(py::object owner, uint64_t count) {
    const auto size = static_cast<Py_ssize_t>((count + 7) / 8);
    if (!PyBytes_CheckExact(owner.ptr())) owner.attr("setflags")(false);
    py::array bits(py::dtype::of<uint8_t>(), {size}, {Py_ssize_t{1}}, bytes_of(owner, count, false), owner);
    bits.attr("setflags")(false);
    return bits;
}

}  // namespace

py::array bits_of(PassObject& self) {
    const uint64_t count = self.pass.stored_bits();
    if (!self.bits.is_none()) return read_only_bits(self.bits, count);
    if (self.pass.owns_bits()) throw py::value_error("which elements are active is not known before the pass");
    py::array bits = empty_bits(count);
    uint8_t* bytes = bytes_of(bits, count, true);
    Pass pass = self.pass;
    without_lock(count, [&] { generate_kept_bits(resources(0), &pass, bytes); });
    return read_only_bits(bits, count);
}

PassObject part(PassObject& self, const py::tuple& start, const py::tuple& shape) {
    PassObject made{{}, py::none(), self.input_type};
    py::object source = self.bits;
    if (self.pass.draws == Draws::blocks && source.is_none()) source = bits_of(self);
    const uint8_t* bits = source.is_none() ? nullptr : bytes_of(source, self.pass.stored_bits(), false);
    const auto allocate = [](void* to, uint64_t count) {
        auto& memory = *static_cast<py::object*>(to);
        memory = new_bits(count);
        return bytes_of(memory, count, true);
    };
    made.pass = part_of(self.pass, {lengths_of(shape), lengths_of(start)}, bits, allocate, &made.bits);
    return made;
}

// A pass over bits of the user's own.
PassObject given(py::object bits, const py::tuple& shape, const Affine& operation) {
    PassObject made{{}, std::move(bits)};
    made.pass.draws = Draws::given;
    made.pass.operation = operation;
    made.pass.shape = lengths_of(shape);
    bytes_of(made.bits, made.pass.stored_bits(), false);
    return made;
}

}  // namespace bitdrop
