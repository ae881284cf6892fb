#include "call.h"

#include "../engine/dispatch.h"
#include "front_end.h"
#include "gil.h"
#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {

void Call::read_inputs(const py::tuple& given, bool accept_complex) {
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
void Call::widen_to(const ElementType& type) {
    input_type = inputs[0].type;
    for (int i = 0; i + 1 < facts.inputs; ++i) {
        if (!inputs[i]) continue;
        const py::object wide = inputs[i].owner.attr("astype")(type.name);
        read_input(&inputs[i], wide, facts.input_names[i], false);
    }
}

bool Call::is_wide_residual(int i) const {
    const bool half = inputs[0].type->size() == 2 && inputs[0].is_numpy && inputs[i].is_numpy;
    return i == kMaxInputs - 1 && half && inputs[i].type->number == DType::float32 && inputs[i].type->parts == 1;
}

// Further inputs are of the first one's dtype, and of its shape or broadcast to it.
void Call::check_input(int i) const {
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

void Call::make_output(py::handle given) {
    const char* const name = facts.input_names[0];
    read_output(&out, given, "out", {*inputs[0].type, inputs[0].array, input_type ? "residual" : name, name},
                inputs[0]);
    if (given.is_none()) return;
    for (int i = 0; i < facts.inputs; ++i)
        if (inputs[i]) check_apart(out, "out", inputs[i], facts.input_names[i], facts.broadcasts[i]);
}

Arrays Call::arrays() const {
    Arrays described = {&out.array, {}};
    for (int i = 0; i < facts.inputs; ++i) described.inputs[i] = inputs[i] ? &inputs[i].array : nullptr;
    return described;
}

Resources resources(const Threads& threads) {
    return {&active_kernels(), {threads.limit > 0 ? threads.limit : num_threads(), threads.team}};
}

Threads threads_of(py::handle threads) { return threads.is_none() ? Threads(0) : threads.cast<const Threads&>(); }

void do_work(const Work& work, const Threads& threads, Pass* pass) {
    without_lock(pass->size(), [&] { work.run(resources(threads), pass); });
}

void do_again(const Work& work, const Threads& threads, const Pass& pass) {
    if (pass.draws != Draws::blocks) return do_work(work, threads, const_cast<Pass*>(&pass));
    Pass copy = pass;
    do_work(work, threads, &copy);
}

}  // namespace bitdrop
