// The foreign function that XLA calls for a pass over JAX's arrays. It knows no Python.
#pragma once

#include "xla_ffi.h"

namespace bitdrop {

// Arguments: the words of a key, the start of a shard if there is one, the inputs. Result: the output. All have the
// same number of batch axes, and each index of those is a pass with a key of its own. See python/bitdrop/jax.
xla::Error* handle_xla_call(xla::CallFrame* frame) noexcept;

}  // namespace bitdrop
