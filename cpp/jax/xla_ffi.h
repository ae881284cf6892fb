// The structures of XLA's C interface for foreign functions that a handler on the CPU sees, as xla/ffi/api/c_api.h of
// jaxlib lays them out.
//
// They are declared here so that a build needs no jaxlib. tests/jax/interface.cpp compares sizes and offsets with an
// installed header. XLA only adds fields at the end of a structure: each begins with its size.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitdrop::xla {

// The interface of jaxlib 0.4.35, on which version 0.3 of jaxlib 0.10 still calls. XLA refuses a handler of a version
// that it cannot call when the handler is registered.
constexpr int kMajorVersion = 0;
constexpr int kMinorVersion = 1;

enum class ErrorCode : int32_t { invalid_argument = 3, resource_exhausted = 8 };
enum class DataType : int32_t {
    s32 = 4,
    s64 = 5,
    u32 = 8,
    f16 = 10,
    f32 = 11,
    f64 = 12,
    c64 = 15,
    bf16 = 16,
    c128 = 18
};
enum class ExtensionType : int32_t { metadata = 1 };
enum class AttributeType : int32_t { array = 1, scalar = 3, string = 4 };

struct Error;   // opaque
struct Opaque;  // for fields that are not used

struct Extension {
    size_t struct_size;
    ExtensionType type;
    Extension* next;
};

struct ApiVersion {
    size_t struct_size;
    Extension* extension_start;
    int major_version;
    int minor_version;
};

struct Metadata {
    size_t struct_size;
    ApiVersion api_version;
    uint32_t traits;
};

struct MetadataExtension {
    Extension base;
    Metadata* metadata;
};

struct CreateErrorArguments {
    size_t struct_size;
    Extension* extension_start;
    const char* message;
    ErrorCode code;
};

struct Api {
    size_t struct_size;
    Extension* extension_start;
    ApiVersion api_version;
    const Opaque* internal_api;
    Error* (*create_error)(CreateErrorArguments*);
};

struct Buffer {
    size_t struct_size;
    Extension* extension_start;
    DataType dtype;
    void* data;
    int64_t rank;
    int64_t* dims;
};

struct ByteSpan {
    const char* data;
    size_t size;
};

struct Scalar {
    DataType dtype;
    void* value;
};

struct Array {
    DataType dtype;
    size_t size;
    void* data;
};

struct Buffers {  // arguments or results
    size_t struct_size;
    Extension* extension_start;
    int64_t size;
    int32_t* types;
    Buffer** buffers;
};

struct Attributes {
    size_t struct_size;
    Extension* extension_start;
    int64_t size;
    AttributeType* types;
    ByteSpan** names;
    void** values;
};

struct CallFrame {
    size_t struct_size;
    Extension* extension_start;
    const Api* api;
    Opaque* context;
    int32_t stage;
    Buffers arguments;
    Buffers results;
    Attributes attributes;
};

}  // namespace bitdrop::xla
