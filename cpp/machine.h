// What the operating system says of this machine.
#pragma once

#include <cstdint>

namespace bitdrop {

uint64_t last_level_cache_bytes();

// Bytes of output from which stores should go past the caches.
uint64_t default_streaming_threshold();

}  // namespace bitdrop
