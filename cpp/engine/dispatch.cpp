#include "dispatch.h"

#include <atomic>
#include <cstdint>

#if defined(BITDROP_X86)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace bitdrop {
namespace {

#if defined(BITDROP_X86)

struct Registers {
    uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
    Registers r = {};
#if defined(_MSC_VER)
    int values[4];
    __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
    r = {static_cast<uint32_t>(values[0]), static_cast<uint32_t>(values[1]), static_cast<uint32_t>(values[2]),
         static_cast<uint32_t>(values[3])};
#else
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = {};
#endif
    return r;
}

// Register states that the operating system saves when it switches threads.
uint64_t enabled_states() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

bool has(uint32_t reg, int bit) { return (reg >> bit) & 1; }

uint32_t detected_features() {
    const Registers one = cpuid(1, 0), seven = cpuid(7, 0);
    const uint64_t states = has(one.ecx, 27) ? enabled_states() : 0;  // OSXSAVE
    const bool ymm = (states & 0x06) == 0x06, zmm = (states & 0xE6) == 0xE6;
    uint32_t features = 0;
    if (ymm && has(one.ecx, 28)) features |= kAvx;
    if (has(one.ecx, 29)) features |= kF16c;
    if (has(seven.ebx, 5)) features |= kAvx2;
    const bool avx512 = has(seven.ebx, 16) && has(seven.ebx, 17) && has(seven.ebx, 30) && has(seven.ebx, 31);
    if (zmm && avx512) features |= kAvx512;  // F, DQ, BW, VL
    return features;
}

// Best first. Kernels that require no feature run on every machine that they are compiled for.
constexpr const Kernels* kCompiled[] = {&kAvx512Kernels, &kAvx2Kernels, &kSse2Kernels, &kScalarKernels};

#else

uint32_t detected_features() { return 0; }

#if defined(BITDROP_NEON)
constexpr const Kernels* kCompiled[] = {&kNeonKernels, &kScalarKernels};
#else
constexpr const Kernels* kCompiled[] = {&kScalarKernels};
#endif

#endif

std::vector<const Kernels*> detect() {
    const uint32_t features = detected_features();
    std::vector<const Kernels*> list;
    for (const Kernels* kernels : kCompiled)
        if ((kernels->required & ~features) == 0) list.push_back(kernels);
    return list;
}

std::atomic<const Kernels*>& active() {
    static std::atomic<const Kernels*> kernels{available_kernels().front()};
    return kernels;
}

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> list = detect();
    return list;
}

const Kernels* find_kernels(const std::string& name) {
    for (const Kernels* kernels : available_kernels())
        if (name == kernels->name) return kernels;
    return nullptr;
}

const Kernels& active_kernels() { return *active().load(std::memory_order_relaxed); }

void set_active_kernels(const Kernels& kernels) { active().store(&kernels, std::memory_order_relaxed); }

}  // namespace bitdrop
