#include "simd_avx512.h"

#include "kernels.inl"

namespace bitdrop {

extern const Kernels kAvx512Kernels = table("avx512", kAvx | kF16c | kAvx2 | kAvx512);

}  // namespace bitdrop
