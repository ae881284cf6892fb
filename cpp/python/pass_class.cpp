// The class `Pass` of the extension: its values, and its methods.
#include "passes.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

template <class Value> py::object or_none(const std::optional<Value>& value) {
    return value ? py::object(tuple_of_lengths(*value)) : py::object(py::none());
}

py::object shard_tuples(const Pass& pass) {
    if (!pass.shard) return py::none();
    return py::make_tuple(tuple_of_lengths(pass.shard->shape), tuple_of_lengths(pass.shard->start));
}

py::tuple key_words(const Key& key) { return py::make_tuple(key.words[0], key.words[1]); }

// All that the pass is: for comparison, hash and pickle.
py::tuple values_of(const PassObject& self) {
    const Pass& pass = self.pass;
    const py::object bits =
        pass.owns_bits() && !self.bits.is_none()
            ? py::object(py::bytes(reinterpret_cast<const char*>(self.stored().bytes), (pass.stored_bits() + 7) / 8))
            : py::object(py::none());
    const Affine& does = pass.operation;
    const Blocks& blocks = pass.blocks;
    return py::make_tuple(tuple_of_lengths(pass.shape), static_cast<int>(pass.draws), key_words(pass.key),
                          pass.key.stream, pass.p,
                          py::make_tuple(facts_of(does.operation).name, does.scale, does.shift, does.dropped),
                          py::make_tuple(blocks.ndim, blocks.size, blocks.eps, blocks.shared_channels),
                          or_none(pass.noise_shape), shard_tuples(pass), or_none(pass.bias_shape), bits,
                          self.input_type ? py::object(py::str(self.input_type->name)) : py::object(py::none()));
}

std::optional<Lengths> optional_lengths(py::handle value) {
    if (value.is_none()) return std::nullopt;
    return lengths_of(value);
}

PassObject restored(const py::tuple& values) {
    PassObject made{{}, values[10]};
    Pass& pass = made.pass;
    pass.shape = lengths_of(values[0]);
    pass.draws = static_cast<Draws>(values[1].cast<int>());
    const py::tuple words = values[2], does = values[5], blocks = values[6];
    pass.key = {{words[0].cast<uint64_t>(), words[1].cast<uint64_t>()}, values[3].cast<uint64_t>()};
    pass.p = values[4].cast<double>();
    pass.operation = {does[1].cast<double>(), does[2].cast<double>(), does[3].cast<double>(),
                      operation_named(does[0].cast<std::string>())};
    pass.blocks = {blocks[0].cast<int>(), blocks[1].cast<int64_t>(), blocks[2].cast<double>(), blocks[3].cast<bool>()};
    pass.noise_shape = optional_lengths(values[7]);
    if (!values[8].is_none()) {
        const py::tuple shard = values[8];
        pass.shard = Shard{lengths_of(shard[0]), lengths_of(shard[1])};
    }
    pass.bias_shape = optional_lengths(values[9]);
    if (!values[11].is_none()) made.input_type = &element_type_named(values[11].cast<std::string>());
    return made;
}

}  // namespace

void add_methods(PlainClass<PassObject>& pass) {
    const auto out = py::arg("out") = py::none();
    pass.def_static("given", &given, py::arg("bits"), py::arg("shape"), py::arg("operation"),
                    "Return the pass over bits of the user's own.")
        .init(&restored, py::arg("values"))
        .property("shape", [](const PassObject& self) { return tuple_of_lengths(self.pass.shape); })
        .property("p", [](const PassObject& self) { return self.pass.p; })
        .property("probability", [](const PassObject& self) { return self.pass.probability(); })
        .property("key", [](const PassObject& self) { return key_words(self.pass.key); })
        .property("stream", [](const PassObject& self) { return self.pass.key.stream; })
        .property("draws", [](const PassObject& self) { return self.pass.draws; })
        .property("operation", [](const PassObject& self) { return self.pass.operation; })
        .property("blocks", [](const PassObject& self) { return self.pass.blocks; })
        .property("noise_shape", [](const PassObject& self) { return or_none(self.pass.noise_shape); })
        .property("shard", [](const PassObject& self) { return shard_tuples(self.pass); })
        .property("bias_shape", [](const PassObject& self) { return or_none(self.pass.bias_shape); })
        .property("size", [](const PassObject& self) { return self.pass.stored_bits(); })
        .property("bits", &bits_of)
        .property("nbytes",
                  [](const PassObject& self) { return self.bits.is_none() ? 0 : (self.pass.stored_bits() + 7) / 8; })
        .hot<&repeat, 1, 3>("repeat",
                            "repeat($self, inputs, out=None, threads=None, /)\n--\n\n"
                            "Repeat the pass on other inputs.")
        .hot<&gradient, 1, 5>("gradient",
                              "gradient($self, dy, out=None, bias_gradient=None, bits=None, threads=None, /)\n--\n\n"
                              "Return the gradient of each input.")
        .def("drop", &drop_elements, py::arg("x"), out, "Drop the elements of an array, and scale the others.")
        .def("part", &part, py::arg("start"), py::arg("shape"), "Return the pass over a part of the arrays.")
        .def(
            "__eq__",
            [](const PassObject& self, const PassObject& other) { return values_of(self).equal(values_of(other)); },
            py::arg("other"))
        .def("__hash__", [](const PassObject& self) { return py::hash(values_of(self)); })
        .def("__reduce__", [](const py::object& self) {
            return py::make_tuple(py::type::of(self),
                                  py::make_tuple(values_of(PlainObject<PassObject>::of(self.ptr()))));
        });
}

}  // namespace bitdrop
