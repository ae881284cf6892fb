// Decisions of the Python front-end: the objects that are arrays, and the words of errors.
#pragma once

#include <pybind11/pybind11.h>

#include "../engine/rule.h"

namespace bitdrop {

// An object as a plain array of a supported dtype, or the error that says why it is none.
pybind11::object as_array(pybind11::handle object, const char* name, bool accept_complex);

// Raises the sentence of a misfit: of `value`, which the user knows as `name`, beside `reference`, known as
// `other_name`.
[[noreturn]] void raise_misfit(Misfit misfit, pybind11::handle value, const std::string& name,
                               pybind11::handle reference, const std::string& other_name);

void add_front_end(pybind11::module_& m);

}  // namespace bitdrop
