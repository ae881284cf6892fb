// The gradients of a pass.
#include "call.h"
#include "front_end.h"
#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {
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
        read_output(&to[i], given, name.c_str(), {*from.type, from.array, dy.name, dy.name}, from);
        check_apart(to[i], name.c_str(), from, dy.name, false);
        if (i) check_apart(to[i], name.c_str(), to[0], "out[0]", true);
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

py::object gradient(const PassObject& self, const Arguments<5>& arguments) {
    const auto [given, out, bias_gradient, bits, threads] = arguments;
    const Given dy(self, given, facts_of(self.pass.operation.operation).gradient_name);
    if (self.input_type) return narrow_gradients(self, dy, out, bias_gradient, threads_of(threads));
    const StoredBits stored =
        bits.is_none() ? self.stored() : StoredBits{bytes_of(bits, self.pass.stored_bits(), false), true};
    return gradients(self, dy, out, bias_gradient, stored, threads_of(threads));
}

// Drops the elements of another array, and scales the others: what a fused mask does without the pass's other inputs.
py::object drop_elements(const PassObject& self, py::handle x, py::handle out) {
    return gradients(self, Given(self, x, "x"), out, py::none(), self.stored(), 0);
}

}  // namespace bitdrop
