#include "eager.h"

#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>

#include "../engine/dispatch.h"
#include "../python/gil.h"
#include "../python/guarded_calls.h"
#include "../python/plain_class.h"
#include "caller.h"
#include "eager_tensors.h"

namespace py = pybind11;

namespace bitdrop::torch {
namespace {

constexpr uint64_t kRegenerated = 4096;  // Generating up to this many bits again takes less time than holding them.
constexpr const char* kCallName = "bitdrop.call";

// A call and, after it, its record. Autograd holds it for the gradients.
struct Call {
    Pass pass;
    AxisOrder order;      // of the result's memory
    AxisOrder numbering;  // of the draws
    py::object setting;   // for the gradients in Python
    bool holds_bits = false;
    Lengths bias_shape;

    const OperationFacts& facts() const { return facts_of(pass.operation.operation); }
};

Call& call_in(PyObject* capsule) {
    auto* const call = static_cast<Call*>(PyCapsule_GetPointer(capsule, kCallName));
    if (!call) throw py::error_already_set();
    return *call;
}

// Objects of bitdrop/torch/_passes.py, and names of attributes.
struct Kept {
    PyObject *apply, *slow_gradients, *call, *save_for_backward, *saved_tensors, *needs_input_grad;
} kept;

// The inputs of an operation. Those that it does not have, or that are optional, may be None.
struct Inputs {
    PyObject* const* tensors;
    TensorMemory memory[kMaxInputs];

    explicit Inputs(PyObject* const* arguments) : tensors(arguments) {}

    bool has(int i) const { return tensors[i] != Py_None; }

    // False if one is not plain, of another dtype than the first, or of other strides though it is not broadcast.
    bool read_plain(const OperationFacts& facts) {
        for (int i = 0; i < kMaxInputs; ++i) {
            if (i > 0 && !has(i)) continue;
            if (!torch::read_plain(tensors[i], &memory[i]) || memory[i].type != memory[0].type) return false;
            if (!facts.broadcasts[i] && !memory[i].has_strides_of(memory[0])) return false;
        }
        return true;
    }

    void read() {
        for (int i = 0; i < kMaxInputs; ++i)
            if (has(i)) memory[i] = read_tensor(tensors[i]);
    }

    bool are_recorded() const {
        for (int i = 0; i < kMaxInputs; ++i)
            if (has(i) && requires_grad(tensors[i])) return true;
        return false;
    }
};

void run(const Work& work, Pass* pass, int64_t bytes) {
    const Resources with = {&active_kernels(), threads_for(bytes)};
    without_lock(pass->size(), [&] { work.run(with, pass); });
}

uint8_t* bytes_of(const py::object& bits) { return reinterpret_cast<uint8_t*>(read_tensor(bits.ptr()).data); }

// Does a call, whose pass has its key then. `bits` is null or takes its bits.
py::object result_of(Call* call, const Inputs& inputs, uint8_t* bits) {
    const TensorMemory& x = inputs.memory[0];
    py::object y = new_like(inputs.tensors[0], x, call->order);
    NumberedArrays arrays(call->numbering, read_tensor(y.ptr()), x);
    for (int i = 1; i < kMaxInputs; ++i)
        if (inputs.has(i)) arrays.add_input(i, inputs.memory[i]);
    const Work work(call->pass, *x.type, arrays.arrays(), {bits, false});
    draw_key(call->pass.key.words);
    run(work, &call->pass, x.bytes());
    return y;
}

// The call of a rule, or null if it is left to Python.
std::unique_ptr<Call> call_of(const Rule& rule, const TensorMemory& x) {
    auto call = std::make_unique<Call>();
    if (x.size() == 0 || !find_order(x, &call->order)) return nullptr;
    call->numbering = numbering(rule, call->order);
    try {
        call->pass = pass_over(rule, x, call->numbering);
    } catch (const MisfitError&) {
        return nullptr;
    }
    return call;
}

// (x, second input, third input, rule, setting, recompute): the result of a call in training, or NotImplemented if it
// is left to Python. The values of the arguments have been checked.
py::object drop(PyObject* const* arguments) {
    const Rule& rule = PlainObject<Rule>::of(arguments[3]);
    const OperationFacts& facts = facts_of(rule.training.operation);
    Inputs inputs(arguments);
    std::unique_ptr<Call> call;
    if (inputs.read_plain(facts) && !has_tangents()) call = call_of(rule, inputs.memory[0]);
    if (!call) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
    if (!inputs.are_recorded()) return result_of(call.get(), inputs, nullptr);
    const TensorMemory& bias = inputs.memory[1];
    if (facts.broadcasts[1] && inputs.has(1)) call->bias_shape.assign(bias.shape, bias.shape + bias.ndim);
    const bool is_long = call->pass.draw_count() > kRegenerated && call->pass.draws != Draws::normals;
    call->holds_bits = call->pass.keeps_active_bits() || (is_long && arguments[5] != Py_True);
    call->setting = py::reinterpret_borrow<py::object>(arguments[4]);
    const py::capsule holder(call.release(), kCallName, [](PyObject* capsule) { delete &call_in(capsule); });
    PyObject* const of_function[] = {arguments[0], arguments[1], arguments[2], holder.ptr()};
    return guarded([&] { return PyObject_Vectorcall(kept.apply, of_function, 4, nullptr); });
}

// (ctx, inputs, call): `drop` to autograd.
py::object forward(PyObject* const* arguments) {
    PyObject* const ctx = arguments[0];
    Inputs inputs(arguments + 1);
    inputs.read();
    Call& call = call_in(arguments[4]);
    if (PyObject_SetAttr(ctx, kept.call, arguments[4]) != 0) throw py::error_already_set();
    if (!call.holds_bits) return result_of(&call, inputs, nullptr);
    const py::object bits = new_bits(call.pass.stored_bits());
    py::object y = result_of(&call, inputs, bytes_of(bits));
    guarded([&] { return PyObject_CallMethodOneArg(ctx, kept.save_for_backward, bits.ptr()); });
    return y;
}

struct Incoming {
    PyObject* tensor;
    TensorMemory memory;
};

// The gradient of an input. `sums` is null, or takes the gradient of a bias.
py::object gradient_of(Call* call, Gradient gradient, const Incoming& dy, StoredBits bits, py::object* sums) {
    if (gradient == Gradient::same) return py::reinterpret_borrow<py::object>(dy.tensor);
    py::object dx = new_like(dy.tensor, dy.memory, call->order);
    NumberedArrays arrays(call->numbering, read_tensor(dx.ptr()), dy.memory);
    if (sums) {
        *sums = new_of_shape(dy.tensor, call->bias_shape);
        arrays.add_sums(read_tensor(sums->ptr()));
    }
    const Work work(call->pass, gradient, *dy.memory.type, arrays.arrays(), bits, arrays.sums());
    run(work, &call->pass, dy.memory.bytes());
    return dx;
}

// (ctx, dy): the gradients of the inputs, and None for the call.
py::object backward(PyObject* const* arguments) {
    PyObject* const ctx = arguments[0];
    Incoming dy = {arguments[1], {}};
    if (has_tangents() || requires_grad(dy.tensor) || !read_plain(dy.tensor, &dy.memory))
        return guarded([&] { return PyObject_CallFunctionObjArgs(kept.slow_gradients, ctx, dy.tensor, nullptr); });
    // Even without bits: this is what refuses a second backward pass through a graph that was not retained.
    const auto saved = py::reinterpret_borrow<py::tuple>(attribute(ctx, kept.saved_tensors));
    const auto needs = py::reinterpret_borrow<py::tuple>(attribute(ctx, kept.needs_input_grad));
    const py::object holder = attribute(ctx, kept.call);
    Call& call = call_in(holder.ptr());
    const StoredBits bits = call.holds_bits ? StoredBits{bytes_of(saved[0]), true} : StoredBits{};
    py::object gradients[kMaxInputs] = {py::none(), py::none(), py::none()};
    bool needed[kMaxInputs];
    for (size_t i = 0; i < kMaxInputs; ++i) needed[i] = needs[i].ptr() == Py_True;
    const bool sums = needed[1] && call.facts().gradients[1] == Gradient::summed;
    for (int i = 0; i < kMaxInputs; ++i) {
        const Gradient gradient = call.facts().gradients[i];
        if (gradient == Gradient::summed || !(needed[i] || (i == 0 && sums))) continue;
        gradients[i] = gradient_of(&call, gradient, dy, bits, i == 0 && sums ? &gradients[1] : nullptr);
    }
    if (!needed[0]) gradients[0] = py::none();
    return py::make_tuple(gradients[0], gradients[1], gradients[2], py::none());
}

// Setting, key, order of the draws, order of the result, whether bits are those of active elements, and the shape of
// the bias: of the call that a capsule holds.
py::tuple describe(const py::capsule& holder) {
    const Call& call = call_in(holder.ptr());
    const auto list = [](const AxisOrder& order) {
        return py::cast(std::vector<int>(order.axis, order.axis + order.ndim));
    };
    const auto& words = call.pass.key.words;
    return py::make_tuple(call.setting, py::make_tuple(words[0], words[1]), list(call.numbering), list(call.order),
                          call.pass.keeps_active_bits(), py::cast(call.bias_shape));
}

// A function of Python with positional arguments alone, as pybind11 would make it, in a third of the time of a call.
template <py::object (*function)(PyObject* const*), Py_ssize_t count>
PyObject* call(PyObject*, PyObject* const* arguments, Py_ssize_t given) {
    try {
        if (given != count) throw py::type_error("a native pass got another number of arguments.");
        return function(arguments).release().ptr();
    } catch (const std::exception&) {  // not (...): the unwinding of a thread at exit must go on
        set_error();
        return nullptr;
    }
}

template <py::object (*function)(PyObject* const*), Py_ssize_t count> PyMethodDef method(const char* name) {
    const auto fast = reinterpret_cast<void (*)()>(&call<function, count>);
    return {name, reinterpret_cast<PyCFunction>(fast), METH_FASTCALL, nullptr};
}

}  // namespace

void keep_eager_functions(const py::dict& names) {
    keep_tensor_functions(names);
    kept.apply = py::object(names["apply"]).release().ptr();
    kept.slow_gradients = py::object(names["slow_gradients"]).release().ptr();
}

void add_eager(py::module_& m) {
    static PyMethodDef methods[] = {method<drop, 6>("drop"),
                                    method<forward, 5>("forward"),
                                    method<backward, 2>("backward"),
                                    {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(m.ptr(), methods) != 0) throw py::error_already_set();
    m.def("describe", &describe, py::arg("call"));
    kept.call = PyUnicode_InternFromString("call");
    kept.save_for_backward = PyUnicode_InternFromString("save_for_backward");
    kept.saved_tensors = PyUnicode_InternFromString("saved_tensors");
    kept.needs_input_grad = PyUnicode_InternFromString("needs_input_grad");
}

}  // namespace bitdrop::torch
