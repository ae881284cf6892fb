#include "eager_tensors.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <memory>

#include "../python/guarded_calls.h"
#include "../runtime/buffer_pool.h"
#include "exchange.h"
#include "shim.h"

namespace py = pybind11;

namespace bitdrop::torch {
namespace {

// Objects of PyTorch, kept for as long as the process lives.
struct Kept {
    const Exchange* exchange;
    PyTypeObject *tensor, *parameter;
    PyObject *are_transforms_active, *dispatch_modes, *tracing_state, *is_neg;
    PyObject *is_grad_enabled, *is_inference, *empty_like, *c_order, *new_like, *empty, *uint8, *cpu;
    PyObject *requires_grad, *dtype, *empty_like_keywords, *empty_keywords;
} kept;

// True if the function, which takes nothing, answers 0, False or None.
bool denies(PyObject* function) {
    const py::object answer = owned(PyObject_CallNoArgs(function));
    if (answer.is_none() || answer.ptr() == Py_False) return true;
    return PyLong_CheckExact(answer.ptr()) && PyLong_AsLong(answer.ptr()) == 0;
}

const ElementType* type_of(const DlType& type) {
    const int index = type.code == kDlBfloat && type.bits == 16  ? 1
                      : type.code == kDlFloat && type.bits == 16 ? 0
                      : type.code == kDlFloat && type.bits == 32 ? 2
                      : type.code == kDlFloat && type.bits == 64 ? 3
                                                                 : -1;
    return index < 0 || type.lanes != 1 ? nullptr : &kElementTypes[index];
}

TensorMemory memory_of(const DlTensor& tensor) {
    char* const address = static_cast<char*>(tensor.data) + tensor.byte_offset;
    return {address, type_of(tensor.type), tensor.ndim, tensor.shape, tensor.strides};
}

// The views of complex numbers that lack their signs look like any other tensor to DLPack.
bool is_negated(PyObject* tensor) { return owned(PyObject_CallOneArg(kept.is_neg, tensor)).ptr() != Py_False; }

// A tensor in memory of the buffer pool, described for PyTorch, which deletes it.
struct PooledTensor {
    DlManagedTensor managed;
    int64_t shape[kMaxNdim], strides[kMaxNdim];

    static void destroy(DlManagedTensor* managed) {
        return_buffer(managed->tensor.data);
        delete static_cast<PooledTensor*>(managed->context);
    }
};

py::object new_pooled(const int64_t* shape, int ndim, const AxisOrder& order, const DlType& type) {
    auto pooled = std::make_unique<PooledTensor>();
    std::copy(shape, shape + ndim, pooled->shape);
    fill_strides(shape, ndim, order, pooled->strides);
    size_t bytes = type.bits / 8;
    for (int a = 0; a < ndim; ++a) bytes *= static_cast<size_t>(shape[a]);
    const DlTensor tensor = {take_buffer(bytes), {kDlCpu, 0}, ndim, type, pooled->shape, pooled->strides, 0};
    pooled->managed = {{kExchangeMajor, 0}, pooled.get(), PooledTensor::destroy, 0, tensor};
    void* object;
    if (kept.exchange->object_of(&pooled.release()->managed, &object) != 0) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(static_cast<PyObject*>(object));
}

DlType dl_type_of(const ElementType& type) {
    const uint8_t code = type.number == DType::bfloat16 ? kDlBfloat : kDlFloat;
    return {code, static_cast<uint8_t>(8 * type.size()), 1};
}

}  // namespace

void keep_tensor_functions(const py::dict& names) {
    const auto take = [&](const char* name) { return py::object(names[name]).release().ptr(); };
    const py::object capsule = names["exchange"];
    kept.exchange = static_cast<const Exchange*>(PyCapsule_GetPointer(capsule.ptr(), kExchangeName));
    if (!kept.exchange) throw py::error_already_set();
    if (kept.exchange->version.major != kExchangeMajor) throw py::import_error("another version of DLPack");
    kept.tensor = reinterpret_cast<PyTypeObject*>(take("tensor"));
    kept.parameter = reinterpret_cast<PyTypeObject*>(take("parameter"));
    kept.are_transforms_active = take("are_transforms_active");
    kept.dispatch_modes = take("dispatch_modes");
    kept.tracing_state = take("tracing_state");
    kept.is_neg = take("is_neg");
    kept.is_grad_enabled = take("is_grad_enabled");
    kept.is_inference = take("is_inference");
    kept.empty_like = take("empty_like");
    kept.c_order = take("c_order");
    kept.new_like = take("new_like");
    kept.empty = take("empty");
    kept.uint8 = take("uint8");
    kept.cpu = take("cpu");
    kept.dtype = PyUnicode_InternFromString("dtype");
    kept.requires_grad = PyUnicode_InternFromString("requires_grad");
    kept.empty_like_keywords = py::make_tuple("memory_format").release().ptr();
    kept.empty_keywords = py::make_tuple("dtype", "device").release().ptr();
}

bool read_plain(PyObject* tensor, TensorMemory* memory) {
    if (Py_TYPE(tensor) != kept.tensor && Py_TYPE(tensor) != kept.parameter) return false;
    if (!denies(kept.are_transforms_active) || !denies(kept.dispatch_modes) || !denies(kept.tracing_state))
        return false;
    DlTensor read;
    if (kept.exchange->tensor_of(tensor, &read) != 0) {
        PyErr_Clear();
        return false;
    }
    if (read.device.type != kDlCpu || read.ndim > kMaxNdim || is_negated(tensor)) return false;
    *memory = memory_of(read);
    return memory->type != nullptr && memory->data != nullptr;
}

TensorMemory read_tensor(PyObject* tensor) {
    DlTensor read;
    if (kept.exchange->tensor_of(tensor, &read) != 0) throw py::error_already_set();
    return memory_of(read);
}

bool requires_grad(PyObject* tensor) {
    return attribute(tensor, kept.requires_grad).ptr() == Py_True && !denies(kept.is_grad_enabled);
}

py::object new_like(PyObject* tensor, const TensorMemory& like, const AxisOrder& order) {
    if (like.bytes() >= static_cast<int64_t>(kPooledBytes))
        return new_pooled(like.shape, like.ndim, order, dl_type_of(*like.type));
    PyObject* const arguments[] = {tensor, kept.c_order};
    if (!order.ndim) return owned(PyObject_Vectorcall(kept.empty_like, arguments, 1, kept.empty_like_keywords));
    py::tuple axes(order.ndim);
    for (int place = 0; place < order.ndim; ++place) axes[static_cast<size_t>(place)] = py::int_(order.axis[place]);
    return owned(PyObject_CallFunctionObjArgs(kept.new_like, tensor, axes.ptr(), nullptr));
}

py::object new_of_shape(PyObject* like, const Lengths& shape) {
    const py::object dtype = attribute(like, kept.dtype), lengths = py::tuple(py::cast(shape));
    PyObject* const arguments[] = {lengths.ptr(), dtype.ptr(), kept.cpu};
    return owned(PyObject_Vectorcall(kept.empty, arguments, 1, kept.empty_keywords));
}

py::object new_bits(uint64_t count) {
    const auto bytes = static_cast<int64_t>((count + 7) / 8);
    if (bytes >= static_cast<int64_t>(kPooledBytes)) return new_pooled(&bytes, 1, {}, {kDlUnsigned, 8, 1});
    const py::int_ length(bytes);
    PyObject* const arguments[] = {length.ptr(), kept.uint8, kept.cpu};
    return owned(PyObject_Vectorcall(kept.empty, arguments, 1, kept.empty_keywords));
}

// A tensor to draw into, one for each thread: a new one takes longer than the draw. Tensors of the inference mode could
// not be written to outside of it, so they are not kept.
void draw_key(uint64_t words[2]) {
    thread_local std::unique_ptr<const Tensor> of_thread;
    std::unique_ptr<const Tensor> of_call;
    if (!of_thread) {
        auto made = std::make_unique<const Tensor>(Tensor::new_words());
        (denies(kept.is_inference) ? of_thread : of_call) = std::move(made);
    }
    const Tensor& drawn = of_thread ? *of_thread : *of_call;
    drawn.draw_words();
    std::copy(drawn.words(), drawn.words() + 2, words);
}

}  // namespace bitdrop::torch
