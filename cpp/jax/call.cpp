#include "call.h"

#include <cstring>

namespace bitdrop::xla {

const void* AttributeReader::find(const char* name, AttributeType type) const {
    const size_t length = std::strlen(name);
    for (int64_t i = 0; i < attributes_.size; ++i) {
        const ByteSpan& found = *attributes_.names[i];
        if (found.size == length && std::memcmp(found.data, name, length) == 0 && attributes_.types[i] == type)
            return attributes_.values[i];
    }
    throw InvalidCall(std::string("no attribute of the expected type is called ") + name);
}

const void* AttributeReader::scalar(const char* name, DataType dtype) const {
    const auto& value = *static_cast<const Scalar*>(find(name, AttributeType::scalar));
    if (value.dtype != dtype) throw InvalidCall(std::string("an attribute has another dtype: ") + name);
    return value.value;
}

int64_t AttributeReader::integer(const char* name) const {
    return *static_cast<const int64_t*>(scalar(name, DataType::s64));
}

double AttributeReader::number(const char* name) const {
    return *static_cast<const double*>(scalar(name, DataType::f64));
}

std::string AttributeReader::string(const char* name) const {
    const auto& text = *static_cast<const ByteSpan*>(find(name, AttributeType::string));
    return std::string(text.data, text.size);
}

std::vector<int64_t> AttributeReader::integers(const char* name) const {
    const auto& array = *static_cast<const Array*>(find(name, AttributeType::array));
    if (array.dtype != DataType::s64) throw InvalidCall(std::string("an attribute has another dtype: ") + name);
    const auto* first = static_cast<const int64_t*>(array.data);
    return std::vector<int64_t>(first, first + array.size);
}

int64_t batch_size(const Buffer& array, int64_t batch_ndim) {
    int64_t size = 1;
    for (int64_t a = 0; a < batch_ndim; ++a) size *= array.dims[a];
    return size;
}

int64_t batch_offset(const Buffer& array, const Buffer& whole, int64_t batch_ndim, int64_t batch) {
    int64_t stride = 1, offset = 0;
    for (int64_t a = batch_ndim; a < array.rank; ++a) stride *= array.dims[a];
    for (int64_t a = batch_ndim - 1; a >= 0; --a) {
        if (array.dims[a] != 1) offset += batch % whole.dims[a] * stride;
        batch /= whole.dims[a];
        stride *= array.dims[a];
    }
    return offset;
}

}  // namespace bitdrop::xla
