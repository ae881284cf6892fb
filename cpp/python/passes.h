// A pass as Python holds it, with the memory of its bits.
#pragma once

#include <pybind11/pybind11.h>

#include "../engine/pass.h"
#include "arrays.h"
#include "plain_class.h"

namespace bitdrop {

// The key and stream number of a draw: of a StreamCounter, or the key that a callable returns.
Key draw_key(pybind11::handle draw);

struct PassObject {
    Pass pass;
    pybind11::object bits;  // packed, or None: they are generated when they are needed
    const ElementType* input_type = nullptr;  // of x, if the result is wider: a fused pass beside a float32 residual

    StoredBits stored() const;
};

// A call by a rule: what may fail is done before the key is drawn.
// Arguments: inputs, out, draw, training, shard, bits, threads.
pybind11::object run(const Rule& rule, const Arguments<7>& arguments);

// A pass of a rule that no call has done, under a given key.
PassObject pass_with_key(const Rule& rule, const Lengths& shape, pybind11::handle key, uint64_t stream,
                         pybind11::handle shard, bool training);

// Repeats a pass on other inputs. Arguments: inputs, out, threads.
pybind11::object repeat(const PassObject& self, const Arguments<3>& arguments);

// The gradient of each input, from that of the output, and the sum for the bias. Arguments: dy, out, bias_gradient,
// bits, threads.
pybind11::object gradient(const PassObject& self, const Arguments<5>& arguments);

// Drops the elements of another array, and scales the others: what a fused mask does without the pass's other inputs.
pybind11::object drop_elements(const PassObject& self, pybind11::handle x, pybind11::handle out);

// Packed bits, in an array that cannot be written to.
pybind11::array bits_of(PassObject& self);

PassObject part(PassObject& self, const pybind11::tuple& start, const pybind11::tuple& shape);

// A pass over bits of the user's own.
PassObject given(pybind11::object bits, const pybind11::tuple& shape, const Affine& operation);

Operation operation_named(const std::string& name);

void add_values(pybind11::module_& m);
void add_methods(PlainClass<PassObject>& pass);

}  // namespace bitdrop

namespace pybind11::detail {

template <> struct type_caster<bitdrop::PassObject> : bitdrop::PlainCaster<bitdrop::PassObject> {
    static constexpr auto name = const_name("Pass");
};

template <> struct type_caster<bitdrop::Rule> : bitdrop::PlainCaster<bitdrop::Rule> {
    static constexpr auto name = const_name("Rule");
};

}  // namespace pybind11::detail
