// DLPack's exchange of tensors between C functions (https://dmlc.github.io/dlpack, version 1.2): the parts that eager
// passes need. `torch.Tensor.__dlpack_c_exchange_api__` holds the table, from PyTorch 2.10 on.
#pragma once

#include <cstdint>

namespace bitdrop::torch {

struct DlDevice {
    int32_t type;  // 1: the CPU
    int32_t number;
};

struct DlType {
    uint8_t code;  // 2: IEEE floating point, 4: bfloat16
    uint8_t bits;
    uint16_t lanes;
};

struct DlTensor {
    void* data;
    DlDevice device;
    int32_t ndim;
    DlType type;
    int64_t* shape;
    int64_t* strides;  // in elements
    uint64_t byte_offset;
};

struct DlVersion {
    uint32_t major, minor;
};

struct DlManagedTensor {
    DlVersion version;
    void* context;
    void (*deleter)(DlManagedTensor* self);
    uint64_t flags;
    DlTensor tensor;
};

constexpr const char* kExchangeName = "dlpack_exchange_api";  // of the capsule
constexpr uint32_t kExchangeMajor = 1;
constexpr int32_t kDlCpu = 1;
constexpr uint8_t kDlUnsigned = 1, kDlFloat = 2, kDlBfloat = 4;

// Functions return 0, or -1 with a Python error.
struct Exchange {
    DlVersion version;
    Exchange* older;
    int (*allocate)(DlTensor* prototype, DlManagedTensor** out, void* context,
                    void (*set_error)(void* context, const char* kind, const char* message));
    int (*managed_tensor_of)(void* object, DlManagedTensor** out);
    int (*object_of)(DlManagedTensor* tensor, void** out);  // takes the tensor
    int (*tensor_of)(void* object, DlTensor* out);          // the object keeps the memory
    int (*current_stream)(int32_t device_type, int32_t device_number, void** out);
};

}  // namespace bitdrop::torch
