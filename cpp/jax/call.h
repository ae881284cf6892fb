// Arguments and attributes of a call by XLA.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "xla_ffi.h"

namespace bitdrop::xla {

// What is wrong with a call: a jaxlib or a Python file of another version.
struct InvalidCall : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Reads attributes by name. Throws InvalidCall if there is none, or one of another type.
class AttributeReader {
public:
    explicit AttributeReader(const Attributes& attributes) : attributes_(attributes) {}

    int64_t integer(const char* name) const;
    double number(const char* name) const;
    std::string string(const char* name) const;
    std::vector<int64_t> integers(const char* name) const;

private:
    const void* find(const char* name, AttributeType type) const;
    const void* scalar(const char* name, DataType dtype) const;

    const Attributes& attributes_;
};

// Number of elements along the batch axes.
int64_t batch_size(const Buffer& array, int64_t batch_ndim);

// Number of elements before those of index `batch` of the batch axes, in C order of `whole`. An axis of length 1
// repeats along that of `whole`.
int64_t batch_offset(const Buffer& array, const Buffer& whole, int64_t batch_ndim, int64_t batch);

}  // namespace bitdrop::xla
