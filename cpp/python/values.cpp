// The values that a rule is made of.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <string>

#include "passes.h"

namespace py = pybind11;

namespace bitdrop {

Operation operation_named(const std::string& name) {
    for (int o = 0; o < kAllOperations; ++o)
        if (name == kOperationFacts[o].name) return static_cast<Operation>(o);
    throw py::value_error("no such operation: " + name);
}

namespace {

py::tuple input_names(const Affine& operation) {
    const OperationFacts& facts = facts_of(operation.operation);
    py::list names;
    for (int i = 0; i < facts.inputs; ++i) names.append(facts.input_names[i]);
    return py::tuple(names);
}

bool equal(const Affine& a, const Affine& b) {
    return a.scale == b.scale && a.shift == b.shift && a.dropped == b.dropped && a.operation == b.operation;
}

void add_operation(py::module_& m) {
    py::class_<Affine>(m, "Operation",
                       "What becomes of an element: a row of the table of operations, with coefficients.")
        .def_static(
            "scale", [](double factor) { return Affine{factor}; }, py::arg("factor") = 1.0, "kept ? factor * x : +0.0")
        .def_static(
            "affine",
            [](double scale, double shift, double dropped) { return Affine{scale, shift, dropped, Operation::affine}; },
            py::arg("scale"), py::arg("shift"), py::arg("dropped"), "kept ? scale * x + shift : dropped")
        .def_static(
            "fused",
            [](double scale, bool active) {
                return Affine{scale, 0.0, 0.0, active ? Operation::fused_relu : Operation::fused};
            },
            py::arg("scale"), py::arg("active"), "residual + (kept ? scale * activation(x + bias) : +0.0)")
        .def_static(
            "select", [] { return Affine{1.0, 0.0, 0.0, Operation::select}; }, "kept ? new : previous")
        .def_static(
            "blend", [](double a, double b) { return Affine{a, b, 0.0, Operation::blend}; }, py::arg("new"),
            py::arg("previous"), "new * x + previous * y, without draws")
        .def_static(
            "noise", [] { return Affine{1.0, 0.0, 0.0, Operation::noise}; },
            "x * (1 + sqrt(p / (1 - p)) * z), z a normal number")
        .def_property_readonly("name", [](const Affine& self) { return facts_of(self.operation).name; })
        .def_property_readonly("input_names", &input_names)
        .def_property_readonly("takes_complex",
                               [](const Affine& self) { return facts_of(self.operation).takes_complex; })
        .def_property_readonly("activates", [](const Affine& self) { return has_activation(self.operation); })
        .def_readonly("factor", &Affine::scale)
        .def_readonly("shift", &Affine::shift)
        .def_readonly("dropped", &Affine::dropped)
        .def("__eq__", &equal, py::arg("other"))
        .def("__hash__", [](const Affine& self) {
            return py::hash(py::make_tuple(static_cast<int>(self.operation), self.scale, self.shift, self.dropped));
        });
}

std::vector<int64_t> noise_entries(const std::vector<std::optional<int64_t>>& entries) {
    std::vector<int64_t> lengths;
    for (const auto& entry : entries) lengths.push_back(entry.value_or(Units::kAll));
    return lengths;
}

Units units_of(std::optional<int64_t> leading, std::vector<int> unbatched, std::vector<int> ndims,
               const std::optional<std::vector<std::optional<int64_t>>>& noise_shape, const std::string& needs) {
    Units units;
    units.leading = leading.value_or(Units::kAll);
    units.unbatched = std::move(unbatched);
    units.ndims = std::move(ndims);
    units.has_noise_shape = noise_shape.has_value();
    if (noise_shape) units.noise_shape = noise_entries(*noise_shape);
    units.needs = needs;
    return units;
}

void add_units(py::module_& m) {
    py::class_<Units>(m, "Units", "The axes that own a draw: all, the first ones, or those of a noise shape.")
        .def(py::init(&units_of), py::arg("leading") = py::none(), py::arg("unbatched") = std::vector<int>(),
             py::arg("ndims") = std::vector<int>(), py::arg("noise_shape") = py::none(), py::arg("needs") = "");
    py::class_<Blocks>(m, "Blocks", "Intervals, squares or cubes along the last axes of an array.")
        .def(py::init([](int ndim, int64_t size, double eps, bool shared_channels) {
                 return Blocks{ndim, size, eps, shared_channels};
             }),
             py::arg("ndim"), py::arg("size"), py::arg("eps"), py::arg("shared_channels"))
        .def_readonly("ndim", &Blocks::ndim)
        .def_readonly("size", &Blocks::size)
        .def_readonly("eps", &Blocks::eps)
        .def_readonly("shared_channels", &Blocks::shared_channels);
}

void add_rule(py::module_& m) {
    PlainClass<Rule>(m, "Rule", "What a layer or a call is set to do.")
        .init([](double p, const Affine& training, const Affine& inference, const Units& units,
                 std::optional<Blocks> blocks,
                 bool store) { return Rule{p, training, inference, units, blocks.value_or(Blocks{}), store}; },
              py::arg("p"), py::arg("training"), py::arg("inference") = Affine{}, py::arg("units") = Units{},
              py::arg("blocks") = py::none(), py::arg("store") = true)
        .member("p", &Rule::p)
        .member("training", &Rule::training)
        .member("inference", &Rule::inference)
        .member("units", &Rule::units)
        .member("blocks", &Rule::blocks)
        .member("store", &Rule::store)
        .hot<&run, 4, 7>("run",
                         "run($self, inputs, out, draw, training, shard=None, bits=None, threads=None, /)\n--\n\n"
                         "Do a pass over inputs: return the result and the pass. The key is drawn once nothing can "
                         "fail any more.")
        .def("pass_with_key", &pass_with_key, py::arg("shape"), py::arg("key"), py::arg("stream") = 0,
             py::arg("shard") = py::none(), py::arg("training") = true,
             "Return the pass that a run would have done under a key.");
}

}  // namespace

void add_values(py::module_& m) {
    py::native_enum<Draws>(m, "Draws", "enum.Enum")
        .value("BITS", Draws::bits)
        .value("BLOCKS", Draws::blocks)
        .value("NORMALS", Draws::normals)
        .value("GIVEN", Draws::given)
        .finalize();
    py::class_<Threads>(m, "Threads",
                        "Threads of a call: the maximum number, and the address of a team of another library.")
        .def(py::init([](int limit, uint64_t team) {
                 return Threads(limit, reinterpret_cast<Team>(static_cast<uintptr_t>(team)));
             }),
             py::arg("limit") = 0, py::arg("team") = 0);
    // All classes come before the methods whose signatures name them.
    PlainClass<PassObject> pass(
        m, "Pass",
        "What one call did: a value that repeats it, and gives its gradients. It is made of the "
        "values that its pickle holds.");
    add_operation(m);
    add_units(m);
    add_rule(m);
    add_methods(pass);
}

}  // namespace bitdrop
