// The handler of bitdrop.jax, as an object that JAX registers.
#include "../jax/handler.h"
#include "bindings.h"

namespace py = pybind11;

namespace bitdrop {

void add_jax(py::module_& m) {
    m.def(
        "xla_handler", [] { return py::capsule(reinterpret_cast<void*>(&handle_xla_call)); },
        "Return the function that XLA calls for a pass over JAX's arrays, for jax.ffi.register_ffi_target.");
}

}  // namespace bitdrop
