#include "simd_avx2.h"

#include "kernels.inl"

namespace bitdrop {

extern const Kernels kAvx2Kernels = table("avx2", kAvx | kF16c | kAvx2);

}  // namespace bitdrop
