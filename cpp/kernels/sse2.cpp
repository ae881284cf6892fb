#include "simd_sse2.h"

#include "kernels.inl"

namespace bitdrop {

extern const Kernels kSse2Kernels = table("sse2", 0);

}  // namespace bitdrop
