// Size of the last-level cache.
#pragma once

#include <cstdint>

namespace bitdrop {

uint64_t last_level_cache_bytes();

}  // namespace bitdrop
