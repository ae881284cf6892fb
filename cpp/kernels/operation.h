// Operations on an element, and the one table of their properties. Python reads it too.
#pragma once

#include <cstdint>

namespace bitdrop {

constexpr int kMaxInputs = 3;

// A template parameter of the one apply loop. Each step is rounded, in this order.
enum class Operation {
    scale,       // kept ? scale * x : +0.0
    affine,      // kept ? scale * x + shift : dropped
    relu,        // kept ? scale * max(x, +0.0) : +0.0
    fused,       // residual + (kept ? scale * (x + bias) : +0.0)
    fused_relu,  // residual + (kept ? scale * max(x + bias, +0.0) : +0.0)
    select,      // kept ? x : previous
    blend,       // scale * x + shift * previous, whatever the bits
    scale_sum,   // as `scale`, and the result is added to the second input. float32 and float64 alone
    noise,       // x * (1 + sigma * z), z a normal number. It draws no bits
};
constexpr int kOperations = 8;  // that draw bits
constexpr int kAllOperations = 9;

// The gradient with respect to an input, from the gradient dy of the output.
enum class Gradient {
    none,      // no such input
    kept,      // kept and active ? scale * dy : +0.0
    summed,    // the same, summed over the axes along which the input is broadcast
    same,      // dy
    unscaled,  // kept ? dy : +0.0
    dropped,   // kept ? +0.0 : dy
    scaled,    // scale * dy
    shifted,   // shift * dy
    noise,     // dy * (1 + sigma * z)
};

struct OperationFacts {
    const char* name;
    int inputs;
    // True if it finds which elements are active. A NaN is active, as for PyTorch. The bits that it stores are those of
    // elements that are kept and active.
    bool activates;
    bool takes_complex;  // others add numbers that only the real part has
    const char* input_names[kMaxInputs];
    const char* gradient_name;
    bool broadcasts[kMaxInputs];  // inputs that are broadcast to the first. The output must lie apart from them
    bool optional[kMaxInputs];
    Gradient gradients[kMaxInputs];
};

constexpr OperationFacts kOperationFacts[kAllOperations] = {
    {"scale", 1, false, true, {"x"}, "dy", {}, {}, {Gradient::kept}},
    {"affine", 1, false, false, {"x"}, "dy", {}, {}, {Gradient::kept}},
    {"relu", 1, true, false, {"x"}, "dy", {}, {}, {Gradient::kept}},
    {"fused",
     3,
     false,
     false,
     {"x", "bias", "residual"},
     "dy",
     {false, true, false},
     {false, true, true},
     {Gradient::kept, Gradient::summed, Gradient::same}},
    {"fused_relu",
     3,
     true,
     false,
     {"x", "bias", "residual"},
     "dy",
     {false, true, false},
     {false, true, true},
     {Gradient::kept, Gradient::summed, Gradient::same}},
    {"select", 2, false, true, {"new", "previous"}, "dh", {}, {}, {Gradient::unscaled, Gradient::dropped}},
    {"blend", 2, false, true, {"new", "previous"}, "dh", {}, {}, {Gradient::scaled, Gradient::shifted}},
    {"scale_sum", 2, false, false, {"x", "sums"}, "dy", {}, {}, {Gradient::kept}},
    {"noise", 1, false, false, {"x"}, "dy", {}, {}, {Gradient::noise}},
};

static constexpr const OperationFacts& facts_of(Operation operation) {
    return kOperationFacts[static_cast<int>(operation)];
}
static constexpr int inputs_of(Operation operation) { return facts_of(operation).inputs; }
static constexpr bool has_activation(Operation operation) { return facts_of(operation).activates; }

// An operation with its coefficients, which are converted once to the type of the arithmetic.
struct Affine {
    double scale = 1.0;
    double shift = 0.0;
    double dropped = 0.0;
    Operation operation = Operation::scale;
};

// The cheaper operation of the same results, where there is one: adding 0.0 would change -0.0.
static inline Affine make_affine(double scale, double shift, double dropped) {
    return {scale, shift, dropped, shift == 0.0 && dropped == 0.0 ? Operation::scale : Operation::affine};
}

}  // namespace bitdrop
