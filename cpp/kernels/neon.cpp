#include "simd_neon.h"

#include "kernels.inl"

namespace bitdrop {

extern const Kernels kNeonKernels = table("neon", 0);

}  // namespace bitdrop
