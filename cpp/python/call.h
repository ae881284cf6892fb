// Inputs and output of a call.
#pragma once

#include <array>

#include "passes.h"

namespace bitdrop {

struct Call {
    const OperationFacts& facts;
    std::array<Argument, kMaxInputs> inputs;
    const ElementType* input_type = nullptr;  // of x, if it was widened
    Argument out;

    explicit Call(Operation operation) : facts(facts_of(operation)) {}

    void read_inputs(const pybind11::tuple& given, bool accept_complex);
    void make_output(pybind11::handle given);
    Arrays arrays() const;

private:
    void widen_to(const ElementType& type);
    bool is_wide_residual(int i) const;
    void check_input(int i) const;
};

inline Lengths shape_lengths(const Array& array) { return {array.shape, array.shape + array.ndim}; }

// The word for a pass in an error.
inline const char* kind_of(const Pass& pass) { return pass.draws == Draws::normals ? "noise" : "mask"; }

// Without threads, those of the process.
Threads threads_of(pybind11::handle threads);

Resources resources(const Threads& threads);

// Does the work of a pass that other threads may read. Only the scale of DropBlock is written.
void do_again(const Work& work, const Threads& threads, const Pass& pass);
void do_work(const Work& work, const Threads& threads, Pass* pass);

}  // namespace bitdrop
