// The module `bitdrop._core.torch`.
#include "../python/bindings.h"
#include "caller.h"
#include "eager.h"
#include "kept_weights.h"
#include "operators.h"
#include "shim.h"

namespace py = pybind11;

namespace bitdrop {

void add_torch(py::module_& parent) {
    py::module_ m = parent.def_submodule("torch");
    m.def("load_shim", &torch::load_shim, py::arg("library"),
          "Find PyTorch's stable C interface in its library. Return whether it is there.");
    m.def("register_kernels", &torch::register_kernels, "Register kernels for operators that are defined.");
    m.def("keep_state_functions", &torch::keep_state_functions, py::arg("forward_ad"), py::arg("is_forward_enabled"),
          py::arg("num_threads"), py::arg("team"), "Keep the functions that tell the state of PyTorch.");
    m.def("leave_team", &torch::leave_team, "Do without OpenMP in a forked process.");
    m.def("keep_eager_functions", &torch::keep_eager_functions, py::arg("names"),
          "Keep what eager passes call: objects of PyTorch and of bitdrop by name.");
    torch::add_eager(m);
    torch::add_kept_weights(m);
}

}  // namespace bitdrop
