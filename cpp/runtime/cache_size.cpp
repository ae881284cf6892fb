#include "cache_size.h"

#include <cstdio>
#include <initializer_list>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>

#include <vector>
#endif

namespace bitdrop {
namespace {

constexpr uint64_t kUsualCache = uint64_t{32} << 20;  // if the system does not tell

}  // namespace

// Linux: from the kernel's topology, not sysconf, which inside virtual machines can be ten times too large.
uint64_t last_level_cache_bytes() {
    uint64_t largest = 0;
#if defined(__linux__)
    for (int index = 0; index < 8; ++index) {
        char path[80];
        std::snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        std::FILE* file = std::fopen(path, "r");
        if (!file) break;
        unsigned long long kib = 0;
        if (std::fscanf(file, "%lluK", &kib) == 1 && kib * 1024 > largest) largest = kib * 1024;
        std::fclose(file);
    }
#elif defined(__APPLE__)
    uint64_t bytes = 0;
    size_t length = sizeof bytes;
    const char* const names[] = {"hw.l3cachesize", "hw.perflevel0.l2cachesize", "hw.l2cachesize"};
    for (const char* name : names)
        if (largest == 0 && sysctlbyname(name, &bytes, &length, nullptr, 0) == 0) largest = bytes;
#elif defined(_WIN32)
    DWORD length = 0;
    GetLogicalProcessorInformation(nullptr, &length);
    std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> entries(length / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION) +
                                                              1);
    if (GetLogicalProcessorInformation(entries.data(), &length))
        for (const auto& entry : entries)
            if (entry.Relationship == RelationCache && entry.Cache.Size > largest) largest = entry.Cache.Size;
#endif
    return largest ? largest : kUsualCache;
}

}  // namespace bitdrop
