#include "passes.h"

#include <array>
#include <cstring>

#include "../engine/dispatch.h"
#include "front_end.h"
#include "gil.h"
#include "guarded_calls.h"
#include "numpy_api.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

Resources resources(const Threads& threads) {
    return {&active_kernels(), {threads.limit > 0 ? threads.limit : num_threads(), threads.team}};
}

const char* kind_of(const Pass& pass) { return pass.draws == Draws::normals ? "noise" : "mask"; }

// Inputs and output of a call.
struct Call {
    const OperationFacts& facts;
    std::array<Argument, kMaxInputs> inputs;
    const ElementType* input_type = nullptr;  // of x, if it was widened
    Argument out;

    explicit Call(Operation operation) : facts(facts_of(operation)) {}

    void read_inputs(const py::tuple& given, bool accept_complex) {
        if (static_cast<int>(given.size()) > facts.inputs) throw py::type_error("the operation has fewer inputs");
        for (int i = 0; i < static_cast<int>(given.size()); ++i) {
            const py::handle object = PyTuple_GET_ITEM(given.ptr(), i);
            if (facts.optional[i] && object.is_none()) continue;
            read_input(&inputs[i], object, facts.input_names[i], accept_complex);
            if (i) check_input(i);
        }
        const Argument& last = inputs[kMaxInputs - 1];
        if (last && last.type != inputs[0].type) widen_to(*last.type);
    }

    // Beside a residual of float32, x and bias of a half type are widened first. So the result is rounded nowhere.
    void widen_to(const ElementType& type) {
        input_type = inputs[0].type;
        for (int i = 0; i + 1 < facts.inputs; ++i) {
            if (!inputs[i]) continue;
            const py::object wide = inputs[i].owner.attr("astype")(type.name);
            read_input(&inputs[i], wide, facts.input_names[i], false);
        }
    }

    bool is_wide_residual(int i) const {
        const bool half = inputs[0].type->size() == 2 && inputs[0].is_numpy && inputs[i].is_numpy;
        return i == kMaxInputs - 1 && half && inputs[i].type->number == DType::float32 && inputs[i].type->parts == 1;
    }

    // Further inputs are of the first one's dtype, and of its shape or broadcast to it.
    void check_input(int i) const {
        const Argument &first = inputs[0], &input = inputs[i];
        Misfit misfit = Misfit::fits;
        if (input.type != first.type && !is_wide_residual(i))
            misfit = Misfit::other_dtype;
        else if (facts.broadcasts[i])
            misfit = input.array.broadcasts_to(first.array) ? Misfit::fits : Misfit::no_broadcast;
        else if (!input.array.same_shape(first.array))
            misfit = Misfit::other_shape;
        if (misfit == Misfit::fits) return;
        const py::object expected =
            misfit == Misfit::other_dtype ? py::object(py::str(first.type->name)) : py::object(shape_of(first.array));
        raise_misfit(misfit, input.owner, facts.input_names[i], expected, facts.input_names[0]);
    }

    void make_output(py::handle given) {
        const char* const name = facts.input_names[0];
        read_output(&out, given, "out", {*inputs[0].type, inputs[0].array, input_type ? "residual" : name, name},
                    inputs[0]);
        if (given.is_none()) return;
        for (int i = 0; i < facts.inputs; ++i)
            if (inputs[i]) check_apart(out, "out", inputs[i], facts.input_names[i], facts.broadcasts[i]);
    }

    Arrays arrays() const {
        Arrays described = {&out.array, {}};
        for (int i = 0; i < facts.inputs; ++i) described.inputs[i] = inputs[i] ? &inputs[i].array : nullptr;
        return described;
    }
};

Lengths shape_lengths(const Array& array) { return Lengths(array.shape, array.shape + array.ndim); }

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

Pass prepared_pass(const Rule& rule, bool training, const Lengths& shape, py::handle shard) {
    if (rule.blocks.ndim && !shard.is_none())
        raise_misfit(Misfit::shard_of_blocks, tuple_of_lengths(shape), "x", shard, "");
    const std::optional<Shard> place = training ? shard_of(shard, shape) : std::nullopt;
    try {
        return pass_of(rule, training, shape, place ? &*place : nullptr);
    } catch (const MisfitError& error) {
        raise_misfit_of_rule(error, rule, place && error.reason == Misfit::noise_shape ? place->shape : shape, shard);
    }
}

// Whether a pass returns its first input as it is.
bool changes_nothing(const Pass& pass, const Call& call) {
    switch (pass.operation.operation) {
        case Operation::noise: return pass.p == 0.0;
        case Operation::scale:
        case Operation::fused: return pass.operation.scale == 1.0 && !call.inputs[1] && !call.inputs[2];
        default: return false;
    }
}

// Without threads, those of the process.
Threads threads_of(py::handle threads) { return threads.is_none() ? Threads(0) : threads.cast<const Threads&>(); }

void do_work(const Work& work, const Threads& threads, Pass* pass) {
    without_lock(pass->size(), [&] { work.run(resources(threads), pass); });
}

// The same of a pass that other threads may read. Only the scale of DropBlock is written.
void do_again(const Work& work, const Threads& threads, const Pass& pass) {
    if (pass.draws != Draws::blocks) return do_work(work, threads, const_cast<Pass*>(&pass));
    Pass copy = pass;
    do_work(work, threads, &copy);
}

}  // namespace

StoredBits PassObject::stored() const {
    if (!bits || bits.is_none()) return {};
    return {bytes_of(bits, pass.stored_bits(), false), true};
}

py::tuple run(const Rule& rule, const py::tuple& inputs, py::handle out, py::handle draw, bool training,
              py::handle shard, py::handle bits, py::handle threads) {
    Call call((training ? rule.training : rule.inference).operation);
    call.read_inputs(inputs, facts_of(rule.training.operation).takes_complex);
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
py::object repeat(PassObject& self, const py::tuple& inputs, py::handle out, py::handle threads) {
    Call call(self.pass.operation.operation);
    call.read_inputs(inputs, call.facts.takes_complex);
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

// The shape of the bias, without memory.
Array bias_shape_of(const Pass& pass, py::handle given) {
    if (!pass.bias_shape) raise_misfit(Misfit::no_bias, given, "bias_gradient", py::none(), "bias");
    Array shape;
    shape.ndim = static_cast<int>(pass.bias_shape->size());
    std::copy(pass.bias_shape->begin(), pass.bias_shape->end(), shape.shape);
    return shape;
}

// Reads the array for the gradient with respect to the bias, which lies apart from dy and dx.
Array read_bias_gradient(const Pass& pass, py::handle given, const Argument& dy, const Argument& dx) {
    const char* const name = "bias_gradient";
    const Array shape = bias_shape_of(pass, given);
    Argument gradient;
    read_output(&gradient, given, name, {*dy.type, shape, "dy", "the bias"}, dy);
    check_apart(gradient, name, dx, "out", true);
    check_apart(gradient, name, dy, "dy", true);
    return gradient.array;
}

// The inputs that have a gradient of their own; that of a residual is dy, and that of a bias is summed.
int gradients_of(const OperationFacts& facts, Gradient* gradients) {
    int count = 0;
    for (const Gradient gradient : facts.gradients)
        if (gradient != Gradient::none && gradient != Gradient::same && gradient != Gradient::summed)
            gradients[count++] = gradient;
    return count;
}

// The gradient of the output, and its name.
struct Given {
    Argument array;
    const char* name;

    Given(const PassObject& self, py::handle object, const char* its_name) : name(its_name) {
        const OperationFacts& facts = facts_of(self.pass.operation.operation);
        read_input(&array, object, name, facts.takes_complex || facts.gradients[0] == Gradient::kept);
        if (shape_lengths(array.array) != self.pass.shape)
            raise_misfit(Misfit::not_of_pass, shape_of(array.array), name, tuple_of_lengths(self.pass.shape),
                         kind_of(self.pass));
    }
};

// Gradients with respect to the inputs. Outputs may be dy itself: that one is written last.
py::object gradients(const PassObject& self, const Given& dy, py::handle out, py::handle bias_gradient,
                     const StoredBits& stored, const Threads& threads) {
    const Argument& from = dy.array;
    Gradient wanted[kMaxInputs];
    const int count = gradients_of(facts_of(self.pass.operation.operation), wanted);
    const bool pair = count > 1 && !out.is_none();
    const py::tuple outs = pair ? tuple_of(out) : py::tuple();
    if (pair && static_cast<int>(outs.size()) != count) throw py::type_error("out must have one array for each input.");
    Argument to[kMaxInputs];
    for (int i = 0; i < count; ++i) {
        const std::string name = count == 1 ? "out" : "out[" + std::to_string(i) + "]";
        const py::handle given = pair ? py::handle(PyTuple_GET_ITEM(outs.ptr(), i)) : out;
        read_output(&to[i], given, name, {*from.type, from.array, dy.name, dy.name}, from);
        check_apart(to[i], name, from, dy.name, false);
        if (i) check_apart(to[i], name, to[0], "out[0]", true);
    }
    const bool has_sums = !bias_gradient.is_none();
    const Array sums = has_sums ? read_bias_gradient(self.pass, bias_gradient, from, to[0]) : Array();
    const bool first_last = count > 1 && to[0].array.same_memory(from.array);
    for (int i = 0; i < count; ++i) {
        const int next = first_last ? count - 1 - i : i;
        const Work work(self.pass, wanted[next], *from.type, {&to[next].array, {&from.array}}, stored,
                        has_sums ? &sums : nullptr);
        do_again(work, threads, self.pass);
    }
    return count == 1 ? to[0].owner : py::object(py::make_tuple(to[0].owner, to[1].owner));
}

// Sums the elements of dx for the bias.
void sum_for_bias(const Pass& pass, const Argument& dx, py::handle bias_gradient, const Threads& threads) {
    PassObject keeping_all{{}, py::none()};
    keeping_all.pass.shape = pass.shape;
    keeping_all.pass.bias_shape = pass.bias_shape;
    gradients(keeping_all, Given(keeping_all, dx.owner, "dx"), py::none(), bias_gradient, {}, threads);
}

// The gradients of x and bias in their own type, which is narrower than that of dy. That of x is rounded once, and
// then summed for the bias.
py::object narrow_gradients(const PassObject& self, const Given& dy, py::handle out, py::handle bias_gradient,
                            const Threads& threads) {
    const Argument& from = dy.array;
    if (from.type->number != DType::float32 || from.type->parts != 1)
        raise_misfit(Misfit::other_dtype, from.owner, dy.name, py::str("float32"), "the result");
    Argument to, bias;
    read_output(&to, out, "out", {*self.input_type, from.array, "x", dy.name}, from);
    if (!bias_gradient.is_none()) {
        const Array shape = bias_shape_of(self.pass, bias_gradient);
        read_output(&bias, bias_gradient, "bias_gradient", {*self.input_type, shape, "x", "the bias"}, from);
        check_apart(bias, "bias_gradient", to, "out", true);
    }
    const py::object dx = gradients(self, dy, py::none(), py::none(), self.stored(), threads);
    attribute_of_module("numpy", "copyto")(to.owner, dx, "unsafe");
    if (bias) sum_for_bias(self.pass, to, bias_gradient, threads);
    return to.owner;
}

}  // namespace

py::object gradient(const PassObject& self, py::handle object, py::handle out, py::handle bias_gradient,
                    py::handle bits, py::handle threads) {
    const Given dy(self, object, facts_of(self.pass.operation.operation).gradient_name);
    if (self.input_type) return narrow_gradients(self, dy, out, bias_gradient, threads_of(threads));
    const StoredBits stored =
        bits.is_none() ? self.stored() : StoredBits{bytes_of(bits, self.pass.stored_bits(), false), true};
    return gradients(self, dy, out, bias_gradient, stored, threads_of(threads));
}

// Drops the elements of another array, and scales the others: what a fused mask does without the pass's other inputs.
py::object drop_elements(const PassObject& self, py::handle x, py::handle out) {
    return gradients(self, Given(self, x, "x"), out, py::none(), self.stored(), 0);
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
