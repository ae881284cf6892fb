// Types of array elements.
#pragma once

#include <cstdint>

namespace bitdrop {

// Types of numbers, which the kernels know.
enum class DType { float16, bfloat16, float32, float64 };
constexpr int kDTypes = 4;

static inline int64_t item_size(DType dtype) {  // bytes
    return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

static inline int64_t sum_size(DType dtype) { return dtype == DType::float64 ? 8 : 4; }  // bytes of a sum

// Types of elements: one number, or the two of a complex one, which share a draw. The one list: Python reads it too.
struct ElementType {
    const char* name;  // NumPy's
    DType number;
    int parts;

    int64_t size() const { return item_size(number) * parts; }  // bytes
};

constexpr ElementType kElementTypes[] = {
    {"float16", DType::float16, 1}, {"bfloat16", DType::bfloat16, 1}, {"float32", DType::float32, 1},
    {"float64", DType::float64, 1}, {"complex64", DType::float32, 2}, {"complex128", DType::float64, 2},
};

}  // namespace bitdrop
