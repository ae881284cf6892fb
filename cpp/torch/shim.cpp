#include "shim.h"

#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace bitdrop::torch {
namespace {

using Library = struct OpaqueLibrary*;

struct Functions {
    ErrorCode (*library_init_impl)(const char* name, const char* key, const char* file, uint32_t line, Library*);
    ErrorCode (*library_impl)(Library, const char* name, Kernel);
    ErrorCode (*call_dispatcher)(const char* name, const char* overload, Slot* stack);
    bool (*grad_mode_is_enabled)();
    ErrorCode (*get_data_ptr)(Handle, void**);
    ErrorCode (*get_dim)(Handle, int64_t*);
    ErrorCode (*get_dtype)(Handle, int32_t*);
    ErrorCode (*get_numel)(Handle, int64_t*);
    ErrorCode (*get_sizes)(Handle, int64_t**);
    ErrorCode (*get_strides)(Handle, int64_t**);
    ErrorCode (*empty_strided)(int64_t ndim, const int64_t* shape, const int64_t* strides, int32_t dtype,
                               int32_t device_type, int32_t device_index, Handle*);
    ErrorCode (*delete_tensor_object)(Handle);
    ErrorCode (*cpu_randint_low_out)(Handle, int64_t low, int64_t high, const int64_t* shape, int64_t ndim);
    int32_t (*device_type_cpu)();
    int32_t (*dtype[std::size(kElementTypes)])();
    int32_t (*dtype_int64)();
    int32_t (*dtype_uint8)();
};

Functions functions;
int32_t dtype_codes[std::size(kElementTypes)], int64_code, uint8_code;

// Looks functions up in a library that the process has loaded already.
class Lookup {
public:
    explicit Lookup(const char* library) {
#if !defined(_WIN32)
        library_ = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
#else
        (void)library;  // not tried on Windows
#endif
        complete_ = library_ != nullptr;
    }

    template <class Function> void find(const std::string& name, Function* function) {
#if !defined(_WIN32)
        if (library_) *function = reinterpret_cast<Function>(dlsym(library_, ("aoti_torch_" + name).c_str()));
#endif
        complete_ = complete_ && *function;
    }

    bool complete() const { return complete_; }

private:
    void* library_ = nullptr;
    bool complete_;
};

void check(ErrorCode code, const char* what) {
    if (code != 0) throw std::runtime_error(std::string("PyTorch failed to ") + what + ".");
}

}  // namespace

bool load_shim(const char* path) {
    Lookup library(path);
    Functions& f = functions;
    library.find("library_init_impl", &f.library_init_impl);
    library.find("library_impl", &f.library_impl);
    library.find("call_dispatcher", &f.call_dispatcher);
    library.find("grad_mode_is_enabled", &f.grad_mode_is_enabled);
    library.find("get_data_ptr", &f.get_data_ptr);
    library.find("get_dim", &f.get_dim);
    library.find("get_dtype", &f.get_dtype);
    library.find("get_numel", &f.get_numel);
    library.find("get_sizes", &f.get_sizes);
    library.find("get_strides", &f.get_strides);
    library.find("empty_strided", &f.empty_strided);
    library.find("delete_tensor_object", &f.delete_tensor_object);
    library.find("cpu_randint_low_out", &f.cpu_randint_low_out);
    library.find("device_type_cpu", &f.device_type_cpu);
    for (size_t i = 0; i < std::size(kElementTypes); ++i)
        library.find(std::string("dtype_") + kElementTypes[i].name, &f.dtype[i]);
    library.find("dtype_int64", &f.dtype_int64);
    library.find("dtype_uint8", &f.dtype_uint8);
    if (!library.complete()) return false;
    for (size_t i = 0; i < std::size(kElementTypes); ++i) dtype_codes[i] = f.dtype[i]();
    int64_code = f.dtype_int64();
    uint8_code = f.dtype_uint8();
    return true;
}

// PyTorch refers to the library object for as long as the process lives, so it is not deleted.
void register_kernel(const char* dispatch_key, const char* name, Kernel kernel) {
    Library library;
    check(functions.library_init_impl("bitdrop", dispatch_key, __FILE__, __LINE__, &library), "open a library");
    check(functions.library_impl(library, name, kernel), "register a kernel");
}

void call_operator(const char* name, Slot* stack) {
    check(functions.call_dispatcher(name, "", stack), "call an operator");
}

bool is_grad_enabled() { return functions.grad_mode_is_enabled(); }

Tensor::Tensor(Slot slot) { std::memcpy(&handle_, &slot, sizeof handle_); }

Tensor::~Tensor() {
    if (handle_) functions.delete_tensor_object(handle_);
}

Slot Tensor::release() {
    Slot slot = 0;
    std::memcpy(&slot, &handle_, sizeof handle_);
    handle_ = nullptr;
    return slot;
}

namespace {

Handle new_tensor(const int64_t* shape, int64_t ndim, const int64_t* strides, int32_t dtype) {
    Handle handle;
    check(functions.empty_strided(ndim, shape, strides, dtype, functions.device_type_cpu(), 0, &handle),
          "allocate a tensor");
    return handle;
}

Slot slot_of(Handle handle) {
    Slot slot = 0;
    std::memcpy(&slot, &handle, sizeof handle);
    return slot;
}

Tensor new_vector(int64_t length, int32_t dtype) {
    const int64_t adjacent = 1;
    return Tensor(slot_of(new_tensor(&length, 1, &adjacent, dtype)));
}

// A value of an optional argument lies in memory of its own, which its receiver deletes.
Slot take_optional(Slot slot) {
    Slot* place = nullptr;
    std::memcpy(&place, &slot, sizeof place);
    const Slot value = *place;
    delete place;
    return value;
}

}  // namespace

Tensor Tensor::optional(Slot slot) { return slot ? Tensor(take_optional(slot)) : Tensor(); }

Tensor Tensor::empty(const int64_t* shape, int ndim, const AxisOrder& order, const ElementType& type) {
    int64_t strides[kMaxNdim];
    fill_strides(shape, ndim, order, strides);
    return Tensor(slot_of(new_tensor(shape, ndim, strides, dtype_codes[&type - kElementTypes])));
}

Tensor Tensor::empty_bits(uint64_t count) { return new_vector(static_cast<int64_t>((count + 7) / 8), uint8_code); }

Tensor Tensor::new_words() { return new_vector(2, int64_code); }

void Tensor::draw_words() const {
    const int64_t two = 2;
    check(functions.cpu_randint_low_out(handle_, INT64_MIN, INT64_MAX, &two, 1), "draw random numbers");
}

void* Tensor::data() const {
    void* address;
    check(functions.get_data_ptr(handle_, &address), "tell a tensor's address");
    return address;
}

TensorMemory Tensor::memory() const {
    TensorMemory memory;
    int32_t code;
    check(functions.get_dtype(handle_, &code), "tell a tensor's dtype");
    for (size_t i = 0; i < std::size(kElementTypes); ++i)
        if (code == dtype_codes[i]) memory.type = &kElementTypes[i];
    int64_t ndim, *shape, *strides;
    check(functions.get_dim(handle_, &ndim), "tell a tensor's axes");
    check(functions.get_sizes(handle_, &shape), "tell a tensor's shape");
    check(functions.get_strides(handle_, &strides), "tell a tensor's strides");
    if (!memory.type || ndim > kMaxNdim)
        throw std::invalid_argument("a tensor must be of floating-point numbers, with at most 64 axes.");
    memory.ndim = static_cast<int>(ndim);
    memory.shape = shape;
    memory.strides = strides;
    memory.data = static_cast<char*>(data());
    return memory;
}

bool Tensor::is_vector(int32_t dtype, int64_t least_length) const {
    int32_t code;
    int64_t ndim, size, *strides;
    check(functions.get_dtype(handle_, &code), "tell a tensor's dtype");
    check(functions.get_dim(handle_, &ndim), "tell a tensor's axes");
    check(functions.get_numel(handle_, &size), "tell a tensor's size");
    check(functions.get_strides(handle_, &strides), "tell a tensor's strides");
    return code == dtype && ndim == 1 && size >= least_length && (size < 2 || strides[0] == 1);
}

uint64_t* Tensor::words() const {
    if (!is_vector(int64_code, 2)) throw std::invalid_argument("a key must be two adjacent int64.");
    return static_cast<uint64_t*>(data());
}

uint8_t* Tensor::bits(uint64_t count) const {
    if (!is_vector(uint8_code, static_cast<int64_t>((count + 7) / 8)))
        throw std::invalid_argument("bits must be adjacent uint8, with eight bits in each.");
    return static_cast<uint8_t*>(data());
}

}  // namespace bitdrop::torch
