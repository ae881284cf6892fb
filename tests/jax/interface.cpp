// Prints sizes and offsets of XLA's C interface as bitdrop declares it and as jaxlib's header does, one line for each:
// a name and the two numbers.
#include <cstdio>

#include "jax/xla_ffi.h"
#include "xla/ffi/api/c_api.h"

namespace ours = bitdrop::xla;

#define VALUE(name, mine, theirs) std::printf("%s %lld %lld\n", name, (long long)(mine), (long long)(theirs))
#define FIELD(type, field, theirs, their_field) \
    VALUE(#type "." #field, offsetof(ours::type, field), offsetof(theirs, their_field))
#define WIDTH(type, field, theirs, their_field)                                           \
    VALUE("width of " #type "." #field, sizeof(static_cast<ours::type*>(nullptr)->field), \
          sizeof(static_cast<theirs*>(nullptr)->their_field))
#define MEMBER(type, field, theirs, their_field) \
    FIELD(type, field, theirs, their_field);     \
    WIDTH(type, field, theirs, their_field)

int main() {
    MEMBER(Extension, struct_size, XLA_FFI_Extension_Base, struct_size);
    MEMBER(Extension, type, XLA_FFI_Extension_Base, type);
    MEMBER(Extension, next, XLA_FFI_Extension_Base, next);
    MEMBER(ApiVersion, extension_start, XLA_FFI_Api_Version, extension_start);
    MEMBER(ApiVersion, major_version, XLA_FFI_Api_Version, major_version);
    MEMBER(ApiVersion, minor_version, XLA_FFI_Api_Version, minor_version);
    MEMBER(Metadata, api_version, XLA_FFI_Metadata, api_version);
    MEMBER(Metadata, traits, XLA_FFI_Metadata, traits);
    MEMBER(MetadataExtension, base, XLA_FFI_Metadata_Extension, extension_base);
    MEMBER(MetadataExtension, metadata, XLA_FFI_Metadata_Extension, metadata);
    MEMBER(CreateErrorArguments, extension_start, XLA_FFI_Error_Create_Args, extension_start);
    MEMBER(CreateErrorArguments, message, XLA_FFI_Error_Create_Args, message);
    MEMBER(CreateErrorArguments, code, XLA_FFI_Error_Create_Args, errc);
    MEMBER(Api, api_version, XLA_FFI_Api, api_version);
    MEMBER(Api, internal_api, XLA_FFI_Api, internal_api);
    MEMBER(Api, create_error, XLA_FFI_Api, XLA_FFI_Error_Create);
    MEMBER(Buffer, extension_start, XLA_FFI_Buffer, extension_start);
    MEMBER(Buffer, dtype, XLA_FFI_Buffer, dtype);
    MEMBER(Buffer, data, XLA_FFI_Buffer, data);
    MEMBER(Buffer, rank, XLA_FFI_Buffer, rank);
    MEMBER(Buffer, dims, XLA_FFI_Buffer, dims);
    MEMBER(ByteSpan, data, XLA_FFI_ByteSpan, ptr);
    MEMBER(ByteSpan, size, XLA_FFI_ByteSpan, len);
    MEMBER(Scalar, dtype, XLA_FFI_Scalar, dtype);
    MEMBER(Scalar, value, XLA_FFI_Scalar, value);
    MEMBER(Array, dtype, XLA_FFI_Array, dtype);
    MEMBER(Array, size, XLA_FFI_Array, size);
    MEMBER(Array, data, XLA_FFI_Array, data);
    MEMBER(Buffers, size, XLA_FFI_Args, size);
    MEMBER(Buffers, types, XLA_FFI_Args, types);
    MEMBER(Buffers, buffers, XLA_FFI_Args, args);
    MEMBER(Buffers, size, XLA_FFI_Rets, size);
    MEMBER(Buffers, types, XLA_FFI_Rets, types);
    MEMBER(Buffers, buffers, XLA_FFI_Rets, rets);
    MEMBER(Attributes, size, XLA_FFI_Attrs, size);
    MEMBER(Attributes, types, XLA_FFI_Attrs, types);
    MEMBER(Attributes, names, XLA_FFI_Attrs, names);
    MEMBER(Attributes, values, XLA_FFI_Attrs, attrs);
    MEMBER(CallFrame, extension_start, XLA_FFI_CallFrame, extension_start);
    MEMBER(CallFrame, api, XLA_FFI_CallFrame, api);
    MEMBER(CallFrame, context, XLA_FFI_CallFrame, ctx);
    MEMBER(CallFrame, stage, XLA_FFI_CallFrame, stage);
    FIELD(CallFrame, arguments, XLA_FFI_CallFrame, args);
    FIELD(CallFrame, results, XLA_FFI_CallFrame, rets);
    FIELD(CallFrame, attributes, XLA_FFI_CallFrame, attrs);
    VALUE("metadata", ours::ExtensionType::metadata, XLA_FFI_Extension_Metadata);
    VALUE("invalid argument", ours::ErrorCode::invalid_argument, XLA_FFI_Error_Code_INVALID_ARGUMENT);
    VALUE("resource exhausted", ours::ErrorCode::resource_exhausted, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED);
    VALUE("array", ours::AttributeType::array, XLA_FFI_AttrType_ARRAY);
    VALUE("scalar", ours::AttributeType::scalar, XLA_FFI_AttrType_SCALAR);
    VALUE("string", ours::AttributeType::string, XLA_FFI_AttrType_STRING);
    VALUE("s32", ours::DataType::s32, XLA_FFI_DataType_S32);
    VALUE("s64", ours::DataType::s64, XLA_FFI_DataType_S64);
    VALUE("u32", ours::DataType::u32, XLA_FFI_DataType_U32);
    VALUE("f16", ours::DataType::f16, XLA_FFI_DataType_F16);
    VALUE("bf16", ours::DataType::bf16, XLA_FFI_DataType_BF16);
    VALUE("f32", ours::DataType::f32, XLA_FFI_DataType_F32);
    VALUE("f64", ours::DataType::f64, XLA_FFI_DataType_F64);
    VALUE("c64", ours::DataType::c64, XLA_FFI_DataType_C64);
    VALUE("c128", ours::DataType::c128, XLA_FFI_DataType_C128);
    VALUE("major version", ours::kMajorVersion, XLA_FFI_API_MAJOR);
}
