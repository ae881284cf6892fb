#include "operators.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../engine/block_bits.h"
#include "../engine/dispatch.h"
#include "caller.h"
#include "shim.h"

// A kernel owns the arguments on its stack, and leaves its results there. Autograd passes it by: if something records
// the call, another operator, in Python, takes the same arguments and leaves the same results.
namespace bitdrop::torch {
namespace {

double number(Slot slot) {
    double value;
    std::memcpy(&value, &slot, sizeof value);
    return value;
}

int64_t integer(Slot slot) { return static_cast<int64_t>(slot); }

double probability(Slot slot) {
    const double p = number(slot);
    if (!(p >= 0.0 && p <= 1.0)) throw std::invalid_argument("p must be in [0, 1].");
    return p;
}

// An input of the dtype of the first, to which it is broadcast.
TensorMemory broadcast_input(const Tensor& tensor, const TensorMemory& first) {
    const TensorMemory memory = tensor.memory();
    bool fits = memory.type == first.type && memory.ndim <= first.ndim;
    for (int a = 0; fits && a < memory.ndim; ++a)
        fits = memory.shape[a] == 1 || memory.shape[a] == first.shape[first.ndim - memory.ndim + a];
    if (!fits) throw std::invalid_argument("other inputs must be of x's dtype, and broadcast to its shape.");
    return memory;
}

// Runs a kernel with the threads that it may use, or the operator in Python that autograd records.
template <void (*kernel)(Slot*, const Threads&)> void unless_recorded(const char* recorded, Slot* stack) {
    Tensor first(stack[0]);
    const int64_t bytes = first.memory().bytes();
    stack[0] = first.release();
    const Caller caller = caller_of_operator(bytes);
    if (caller.records)
        call_operator(recorded, stack);
    else
        kernel(stack, caller.threads);
}

void run(const Work& work, Pass* pass, const uint64_t* key, const Threads& threads) {
    if (key) std::copy(key, key + 2, pass->key.words);
    work.run({&active_kernels(), threads}, pass);
}

// The operations by the numbers of bitdrop/torch/_settings.py.
Affine operation_of(const Slot* code_and_p) {
    const double scale = number(code_and_p[2]), shift = number(code_and_p[3]), dropped = number(code_and_p[4]);
    switch (code_and_p[0]) {
        case 0: return {scale};
        case 1: return make_affine(scale, shift, dropped);
        case 2: return {1.0, 0.0, 0.0, Operation::select};
        case 3: return {1.0, 0.0, 0.0, Operation::noise};
        default: throw std::invalid_argument("operation must be 0, 1, 2 or 3.");
    }
}

// Of the arguments of `drop` after its tensors.
Rule rule_of(const Slot* arguments, int ndim) {
    Rule rule;
    rule.p = probability(arguments[1]);
    rule.training = operation_of(arguments);
    rule.blocks = {static_cast<int>(arguments[5]), integer(arguments[6]), number(arguments[7]), arguments[8] != 0};
    const Slot shared = arguments[9];
    if (rule.blocks.ndim < 0 || rule.blocks.ndim > kMapNdim || rule.blocks.size < 1 || (rule.blocks.ndim && shared))
        throw std::invalid_argument("blocks must have 1 to 3 axes, 1 or more elements, and no shared axes.");
    rule.units.has_noise_shape = shared != 0;
    for (int a = 0; shared && a < ndim; ++a) rule.units.noise_shape.push_back(shared >> a & 1 ? 1 : Units::kAll);
    return rule;
}

// (Tensor x, Tensor? previous, Tensor key, and a setting: int operation, float p, float scale, float shift,
// float dropped, int block_ndim, int block_size, float eps, bool shared_channels, int shared, int order,
// int result_order) -> Tensor
void drop(Slot* stack, const Threads& threads) {
    const Tensor x(stack[0]), previous(Tensor::optional(stack[1])), key(stack[2]);
    const TensorMemory from = x.memory();
    const Rule rule = rule_of(stack + 3, from.ndim);
    const OperationFacts& facts = facts_of(rule.training.operation);
    if (facts.inputs != 1 + static_cast<bool>(previous))
        throw std::invalid_argument("previous must be given for zoneout, and for nothing else.");
    if (from.type->parts > 1 && !facts.takes_complex)
        throw std::invalid_argument("the operation must be one that takes complex numbers.");
    const AxisOrder order = decode_order(integer(stack[13]), from.ndim);
    const AxisOrder result_order = decode_order(integer(stack[14]), from.ndim);
    const uint64_t* const words = key.words();
    Pass pass = pass_over(rule, from, order);
    Tensor out = Tensor::empty(from.shape, from.ndim, result_order, *from.type);
    NumberedArrays arrays(order, out.memory(), from);
    if (previous) arrays.add_input(1, broadcast_input(previous, from));
    run(Work(pass, *from.type, arrays.arrays(), {}), &pass, words, threads);
    stack[0] = out.release();
}

// (Tensor x, Tensor? bias, Tensor? residual, Tensor key, float p, float scale, int active, int order, int result_order)
// -> (Tensor, Tensor)
void fused(Slot* stack, const Threads& threads) {
    const Tensor x(stack[0]), bias(Tensor::optional(stack[1])), residual(Tensor::optional(stack[2])), key(stack[3]);
    const TensorMemory from = x.memory();
    if (from.type->parts > 1) throw std::invalid_argument("a fused pass must be over real numbers.");
    Rule rule;
    rule.p = probability(stack[4]);
    rule.training = {number(stack[5]), 0.0, 0.0, stack[6] ? Operation::fused_relu : Operation::fused};
    const AxisOrder order = decode_order(integer(stack[7]), from.ndim);
    const AxisOrder result_order = decode_order(integer(stack[8]), from.ndim);
    const uint64_t* const words = key.words();
    Pass pass = pass_over(rule, from, order);
    Tensor out = Tensor::empty(from.shape, from.ndim, result_order, *from.type);
    Tensor bits = Tensor::empty_bits(pass.stored_bits());
    NumberedArrays arrays(order, out.memory(), from);
    if (bias) arrays.add_input(1, broadcast_input(bias, from));
    if (residual) arrays.add_input(2, broadcast_input(residual, from));
    const StoredBits stored = {bits.bits(pass.stored_bits()), false};
    run(Work(pass, *from.type, arrays.arrays(), stored), &pass, words, threads);
    stack[0] = out.release();
    stack[1] = bits.release();
}

// A pass of which the gradient is known by its bits.
Pass pass_of_bits(const TensorMemory& dy, const AxisOrder& order, double scale) {
    Rule rule;
    rule.training = {scale};
    return pass_over(rule, dy, order);
}

// (Tensor dy, Tensor bits, float scale, int order) -> Tensor
void fused_backward(Slot* stack, const Threads& threads) {
    const Tensor dy(stack[0]), bits(stack[1]);
    const TensorMemory from = dy.memory();
    const AxisOrder order = decode_order(integer(stack[3]), from.ndim);
    Pass pass = pass_of_bits(from, order, number(stack[2]));
    const StoredBits stored = {bits.bits(pass.size()), true};
    Tensor dx = Tensor::empty(from.shape, from.ndim, order, *from.type);
    const NumberedArrays arrays(order, dx.memory(), from);
    run(Work(pass, Gradient::kept, *from.type, arrays.arrays(), stored), &pass, nullptr, threads);
    stack[0] = dx.release();
}

// (Tensor dy, Tensor bits, Tensor bias, float scale, int order) -> (Tensor, Tensor)
void fused_backward_bias(Slot* stack, const Threads& threads) {
    const Tensor dy(stack[0]), bits(stack[1]), bias(stack[2]);
    const TensorMemory from = dy.memory(), like = broadcast_input(bias, from);
    const AxisOrder order = decode_order(integer(stack[4]), from.ndim);
    Pass pass = pass_of_bits(from, order, number(stack[3]));
    const StoredBits stored = {bits.bits(pass.size()), true};
    Tensor dx = Tensor::empty(from.shape, from.ndim, order, *from.type);
    Tensor d_bias = Tensor::empty(like.shape, like.ndim, {}, *from.type);
    NumberedArrays arrays(order, dx.memory(), from);
    arrays.add_sums(d_bias.memory());
    const Work work(pass, Gradient::kept, *from.type, arrays.arrays(), stored, arrays.sums());
    run(work, &pass, nullptr, threads);
    stack[0] = dx.release();
    stack[1] = d_bias.release();
}

// (int position=0) -> Tensor
void draw_key(Slot* stack, uint64_t, uint64_t) {
    Tensor words = Tensor::new_words();
    words.draw_words();
    stack[0] = words.release();
}

}  // namespace

void register_kernels() {
    register_kernel("CPU", "native_drop",
                    [](Slot* stack, uint64_t, uint64_t) { unless_recorded<drop>("bitdrop::drop", stack); });
    register_kernel("CPU", "native_fused",
                    [](Slot* stack, uint64_t, uint64_t) { unless_recorded<fused>("bitdrop::recorded_fused", stack); });
    register_kernel("CPU", "native_fused_backward", [](Slot* stack, uint64_t, uint64_t) {
        unless_recorded<fused_backward>("bitdrop::recorded_fused_backward", stack);
    });
    register_kernel("CPU", "native_fused_backward_bias", [](Slot* stack, uint64_t, uint64_t) {
        unless_recorded<fused_backward_bias>("bitdrop::recorded_fused_backward_bias", stack);
    });
    register_kernel("CompositeExplicitAutograd", "draw_key", draw_key);
}

}  // namespace bitdrop::torch
