#include "simd_avx512.h"

#include "kernels.inl"

namespace bitdrop {

extern const Kernels kAvx512Kernels = table("avx512");

}  // namespace bitdrop
