// Floating-point types of array elements.
#pragma once

#include <cstdint>

namespace bitdrop {

enum class DType { float16, bfloat16, float32, float64 };
constexpr int kDTypes = 4;

static inline int64_t item_size(DType dtype) {  // bytes
    return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

static inline int64_t sum_size(DType dtype) { return dtype == DType::float64 ? 8 : 4; }  // bytes of a sum

}  // namespace bitdrop
