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

void add_x86(std::vector<const Kernels*>* list) {
    const Registers one = cpuid(1, 0), seven = cpuid(7, 0);
    const bool osxsave = has(one.ecx, 27);
    const uint64_t states = osxsave ? enabled_states() : 0;
    const bool avx_state = (states & 0x06) == 0x06;      // xmm, ymm
    const bool avx512_state = (states & 0xE6) == 0xE6;   // and k, zmm low, zmm high
    const bool avx2 = avx_state && has(one.ecx, 28) && has(one.ecx, 29) && has(seven.ebx, 5);  // AVX, F16C, AVX2
    const bool avx512 = avx2 && avx512_state && has(seven.ebx, 16) && has(seven.ebx, 17) && has(seven.ebx, 30) &&
                        has(seven.ebx, 31);  // F, DQ, BW, VL
    if (avx512) list->push_back(&kAvx512Kernels);
    if (avx2) list->push_back(&kAvx2Kernels);
    list->push_back(&kSse2Kernels);  // part of x86-64 itself
}

#endif

std::vector<const Kernels*> detect() {
    std::vector<const Kernels*> list;
#if defined(BITDROP_X86)
    add_x86(&list);
#elif defined(BITDROP_NEON)
    list.push_back(&kNeonKernels);  // part of 64-bit Arm itself
#endif
    list.push_back(&kScalarKernels);
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
