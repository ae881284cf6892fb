// PyTorch's stable C interface for operators: functions of its shared library, found at run time. It needs no header of
// PyTorch, and one binary serves all versions.
#pragma once

#include <cstdint>

#include "tensor_memory.h"

namespace bitdrop::torch {

using Handle = struct OpaqueTensor*;  // a reference that its owner deletes
using Slot = uint64_t;  // an argument or a result of an operator
using Kernel = void (*)(Slot* stack, uint64_t arguments, uint64_t results);
using ErrorCode = int32_t;

// True if PyTorch's library is loaded and has all functions. Must be called once, before all else here.
bool load_shim(const char* library);

void register_kernel(const char* dispatch_key, const char* name, Kernel kernel);
void call_operator(const char* name, Slot* stack);  // takes the arguments and leaves the results
bool is_grad_enabled();

// An owned reference to a tensor of the CPU.
class Tensor {
public:
    Tensor() = default;
    explicit Tensor(Slot slot);  // takes the reference
    Tensor(Tensor&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
    Tensor& operator=(Tensor&&) = delete;
    ~Tensor();

    static Tensor empty(const int64_t* shape, int ndim, const AxisOrder& order, const ElementType& type);
    static Tensor empty_bits(uint64_t count);
    static Tensor new_words();  // for a key
    static Tensor optional(Slot slot);  // takes it; no tensor if it is None

    explicit operator bool() const { return handle_ != nullptr; }
    TensorMemory memory() const;  // of a type of the engine, else it throws std::invalid_argument
    uint64_t* words() const;  // the two of a key, else it throws
    uint8_t* bits(uint64_t count) const;  // at least this many, eight in each byte, else it throws
    void draw_words() const;  // from PyTorch's default generator: those of torch.randint
    Slot release();

private:
    bool is_vector(int32_t dtype, int64_t least_length) const;
    void* data() const;

    Handle handle_ = nullptr;
};

}  // namespace bitdrop::torch
