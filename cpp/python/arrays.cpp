#include "arrays.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <string>

#include "../runtime/buffer_pool.h"
#include "front_end.h"
#include "guarded_calls.h"
#include "numpy_api.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

constexpr int kElementTypeCount = sizeof kElementTypes / sizeof kElementTypes[0];

// NumPy's numbers of the types, -1 if unknown: bfloat16 gets its number when its first array comes.
std::atomic<int> type_numbers[kElementTypeCount];

bool is_native(const py::dtype& dtype) { return dtype.byteorder() == '=' || dtype.byteorder() == '|'; }

// Null if the dtype is not supported, or its byte order is not the machine's.
const ElementType* element_type_of(const py::dtype& dtype) {
    const int number = dtype.num();
    for (int t = 0; t < kElementTypeCount; ++t)
        if (type_numbers[t].load(std::memory_order_relaxed) == number && is_native(dtype)) return &kElementTypes[t];
    return nullptr;
}

bool is_plain_array(py::handle object) { return Py_TYPE(object.ptr()) == numpy_api().array_type(); }

// np.memmap is an ndarray that loses nothing if its class is lost.
bool is_array(py::handle object) {
    return is_plain_array(object) ||
           (py::isinstance<py::array>(object) && py::isinstance(object, attribute_of_module("numpy", "memmap")));
}

void describe(const py::array& x, const ElementType& type, Array* array) {
    array->data = static_cast<char*>(const_cast<void*>(x.data()));
    array->item_size = type.size();
    array->ndim = static_cast<int>(x.ndim());
    std::copy(x.shape(), x.shape() + x.ndim(), array->shape);
    std::copy(x.strides(), x.strides() + x.ndim(), array->stride);
}

// Returns whether the object is an array of a supported dtype.
bool read(Argument* argument, py::handle object) {
    const auto x = py::reinterpret_borrow<py::array>(object);
    argument->type = element_type_of(x.dtype());
    if (!argument->type) return false;
    describe(x, *argument->type, &argument->array);
    argument->owner = x;
    argument->is_numpy = true;
    return true;
}

bool read_memory(Argument* argument, py::handle object) {
    if (!py::isinstance<Memory>(object)) return false;
    const auto& memory = object.cast<const Memory&>();
    argument->owner = py::reinterpret_borrow<py::object>(object);
    argument->type = memory.type;
    argument->array = memory.array;
    return true;
}

// The reason why a result cannot be written into `out`, if there is one.
Misfit fit(py::handle out, const Expected& expected, Argument* output) {
    if (is_array(out)) {
        if (!read(output, out)) return Misfit::other_dtype;
    } else if (!read_memory(output, out)) {
        return Misfit::not_an_array;
    }
    if (output->type != &expected.type) return Misfit::other_dtype;
    if (!output->array.same_shape(expected.shape)) return Misfit::other_shape;
    if (output->is_numpy && !py::reinterpret_borrow<py::array>(out).writeable()) return Misfit::read_only;
    if (output->array.size() && output->array.overlaps_itself()) return Misfit::overlaps_itself;
    return Misfit::fits;
}

}  // namespace

const ElementType& element_type_named(const std::string& name) {
    for (const ElementType& type : kElementTypes)
        if (name == type.name) return type;
    throw py::value_error("no such dtype: " + name);
}

void read_input(Argument* input, py::handle object, const char* name, bool accept_complex) {
    const bool known = (is_plain_array(object) && read(input, object)) || read_memory(input, object);
    if (known && (accept_complex || input->type->parts == 1)) return;
    const py::object array = as_array(object, name, accept_complex);
    if (!read(input, array)) throw py::type_error("the front-end admitted an unknown dtype");
}

void read_output(Argument* output, py::handle out, const char* out_name, const Expected& expected,
                 const Argument& prototype) {
    if (out.is_none()) {
        if (!prototype.is_numpy) throw py::type_error("memory needs an output");
        output->owner = empty_like(py::reinterpret_borrow<py::array>(prototype.owner), expected.type);
        output->type = &expected.type;
        output->is_numpy = true;
        describe(py::reinterpret_borrow<py::array>(output->owner), expected.type, &output->array);
        return;
    }
    const Misfit misfit = fit(out, expected, output);
    if (misfit == Misfit::other_dtype)
        raise_misfit(misfit, out, out_name, py::str(expected.type.name), expected.type_of);
    if (misfit != Misfit::fits) raise_misfit(misfit, out, out_name, shape_of(expected.shape), expected.shape_of);
}

void check_apart(const Argument& output, const char* out_name, const Argument& input, const char* name, bool at_all) {
    if (output.array.size() == 0 || input.array.size() == 0 || !output.array.bounds_meet(input.array)) return;
    if (!at_all && output.type == input.type && output.array.same_memory(input.array)) return;
    if (!output.is_numpy || !input.is_numpy) return;  // native front-ends know their memory
    // The bounds meet. An overlap of elements is a harder question, which NumPy answers.
    const py::object shares_memory = attribute_of_module("numpy", "shares_memory");
    if (call(shares_memory, input.owner, output.owner).cast<bool>())
        raise_misfit(at_all ? Misfit::overlaps_at_all : Misfit::overlaps, output.owner, out_name, input.owner, name);
}

namespace {

// Memory that is reused when the array that owns this capsule and all its views have died.
py::capsule pooled_memory(py::ssize_t bytes) {
    try {
        return {take_buffer(static_cast<size_t>(bytes)), [](void* memory) { return_buffer(memory); }};
    } catch (const std::bad_alloc&) {
        PyErr_Format(PyExc_MemoryError, "Unable to allocate %zd bytes for a result or its bits", bytes);
        throw py::error_already_set();
    }
}

// An array of the shape, strides and dtype of `like`, which must be dense.
py::object pooled(const py::array& like) {
    const py::capsule memory = pooled_memory(like.nbytes());
    return py::array(like.dtype(), {like.shape(), like.shape() + like.ndim()},
                     {like.strides(), like.strides() + like.ndim()}, memory.get_pointer(), memory);
}

bool repeats_an_axis(const py::array& x) {
    return std::any_of(x.strides(), x.strides() + x.ndim(), [](py::ssize_t stride) { return stride == 0; });
}

}  // namespace

py::array empty_bits(uint64_t count) {
    const auto bytes = static_cast<Py_intptr_t>((count + 7) / 8);
    if (bytes < static_cast<Py_intptr_t>(kPooledBytes)) return numpy_api().empty_bytes(bytes);
    const py::capsule memory = pooled_memory(bytes);
    return py::array(py::dtype::of<uint8_t>(), {bytes}, {Py_intptr_t{1}}, memory.get_pointer(), memory);
}

py::object new_bits(uint64_t count) {
    const auto bytes = static_cast<py::ssize_t>((count + 7) / 8);
    if (bytes >= static_cast<py::ssize_t>(kPooledBytes)) return empty_bits(count);
    return owned(PyBytes_FromStringAndSize(nullptr, bytes));
}

py::object empty_like(const py::array& x, const ElementType& type) {
    // If x repeats an axis, NumPy would make that axis the innermost, and scatter the rows of the result.
    const MemoryOrder order = repeats_an_axis(x) ? MemoryOrder::c : MemoryOrder::keep;
    const bool same = element_type_of(x.dtype()) == &type;
    const py::object dtype = same ? py::object() : py::object(py::dtype(type.name));
    const py::object like = numpy_api().empty_like(x, order, dtype);
    const auto array = py::reinterpret_borrow<py::array>(like);
    // An untouched array costs no memory, so NumPy's own gives the strides.
    return array.nbytes() < static_cast<py::ssize_t>(kPooledBytes) ? like : pooled(array);
}

uint8_t* bytes_of(py::handle bits, uint64_t count, bool writable) {
    const char* const error = "bits must be (size + 7) // 8 adjacent bytes";
    if (PyBytes_CheckExact(bits.ptr())) {
        if (static_cast<uint64_t>(PyBytes_GET_SIZE(bits.ptr())) < (count + 7) / 8) throw py::value_error(error);
        return reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(bits.ptr()));
    }
    Array bytes;
    if (py::isinstance<Memory>(bits)) {
        bytes = bits.cast<const Memory&>().array;
    } else {
        if (!py::isinstance<py::array>(bits)) throw py::type_error("bits must be an array, memory or bytes");
        const auto array = py::reinterpret_borrow<py::array>(bits);
        if (writable && !array.writeable()) throw py::value_error("bits to be written to are read-only");
        static const ElementType byte = {"uint8", DType::float16, 1};
        describe(array, byte, &bytes);
        if (array.itemsize() != 1) throw py::value_error(error);
    }
    if (bytes.ndim != 1 || (bytes.shape[0] > 1 && bytes.stride[0] != 1) ||
        static_cast<uint64_t>(bytes.shape[0]) < (count + 7) / 8)
        throw py::value_error(error);
    return reinterpret_cast<uint8_t*>(bytes.data);
}

Lengths lengths_of(py::handle sequence) {
    const py::tuple items = tuple_of(sequence);
    Lengths lengths;
    for (const py::handle item : items) lengths.push_back(item.cast<int64_t>());
    return lengths;
}

py::tuple tuple_of_lengths(const int64_t* lengths, size_t count) {
    const py::object tuple = new_tuple(static_cast<Py_ssize_t>(count));
    for (size_t a = 0; a < count; ++a)
        PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(a), py::int_(lengths[a]).release().ptr());
    return py::reinterpret_borrow<py::tuple>(tuple);
}

namespace {

// Strides are those of other libraries: in elements.
Memory memory_of(const std::string& dtype, uint64_t address, py::handle shape, py::handle strides) {
    Memory memory;
    const bool bytes = dtype == "uint8";
    memory.type = bytes ? nullptr : &element_type_named(dtype);
    memory.array.data = reinterpret_cast<char*>(static_cast<uintptr_t>(address));
    memory.array.item_size = bytes ? 1 : memory.type->size();
    const Lengths lengths = lengths_of(shape), steps = lengths_of(strides);
    if (lengths.size() != steps.size() || lengths.size() > static_cast<size_t>(kMaxNdim))
        throw py::value_error("memory needs one stride for each axis, and at most 64 axes");
    memory.array.ndim = static_cast<int>(lengths.size());
    for (size_t a = 0; a < lengths.size(); ++a) {
        memory.array.shape[a] = lengths[a];
        memory.array.stride[a] = steps[a] * memory.array.item_size;
    }
    return memory;
}

// Lets arrays of bfloat16 pass: ml_dtypes has its dtype, which need not be installed.
void admit_dtype(const py::dtype& dtype, const std::string& name) {
    type_numbers[&element_type_named(name) - kElementTypes].store(dtype.num(), std::memory_order_relaxed);
}

}  // namespace

void add_arrays(py::module_& m) {
    numpy_api();
    py::list names;
    for (int t = 0; t < kElementTypeCount; ++t) {
        const char* const name = kElementTypes[t].name;
        const bool is_numpys = std::string(name) != "bfloat16";
        type_numbers[t].store(is_numpys ? py::dtype(name).num() : -1);
        names.append(name);
    }
    m.attr("DTYPES") = py::tuple(names);
    m.def("admit_dtype", &admit_dtype, py::arg("dtype"), py::arg("name"), "Let arrays of a dtype pass under a name.");
    m.def("empty_bits", &empty_bits, py::arg("count"), "Return uninitialised memory for a number of packed bits.");
    py::class_<Memory>(m, "Memory", "Memory of another library. Its address is not validated.")
        .def(py::init(&memory_of), py::arg("dtype"), py::arg("address"), py::arg("shape"), py::arg("strides"));
}

}  // namespace bitdrop
