// Kernels of bitdrop's operators for the CPU, which compiled graphs call.
#pragma once

namespace bitdrop::torch {

// The operators are defined in bitdrop/torch/_native.py.
void register_kernels();

}  // namespace bitdrop::torch
