// The default floating-point mode: to nearest even, denormals respected.
#pragma once

// The kernels compute with SSE on 32-bit x86 too: CMakeLists.txt sees to that.
#if defined(__SSE2__) || defined(_M_X64) || (defined(_M_IX86_FP) && _M_IX86_FP >= 2)
#define BITDROP_MXCSR
#endif

#if defined(BITDROP_MXCSR)
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#else
#include <cfenv>
#endif

namespace bitdrop {

// Sets the default mode for its lifetime, then restores the caller's, status flags included.
class DefaultFloatMode {
public:
    DefaultFloatMode(const DefaultFloatMode&) = delete;
    DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

#if defined(BITDROP_MXCSR)
    // MXCSR alone: the kernels do not use the x87 unit, and fesetenv would take a hundred cycles for it.
    DefaultFloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }
    ~DefaultFloatMode() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#elif defined(__aarch64__)
    // The registers themselves: fesetenv(FE_DFL_ENV) leaves the alternative half-precision format as it was.
    DefaultFloatMode() {
        __asm__ volatile("mrs %0, fpcr" : "=r"(control_));
        __asm__ volatile("mrs %0, fpsr" : "=r"(status_));
        __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
    }
    ~DefaultFloatMode() {
        __asm__ volatile("msr fpcr, %0" : : "r"(control_));
        __asm__ volatile("msr fpsr, %0" : : "r"(status_));
    }

private:
    uint64_t control_, status_;
#else
    DefaultFloatMode() {
        std::fegetenv(&saved_);
        std::fesetenv(FE_DFL_ENV);
    }
    ~DefaultFloatMode() { std::fesetenv(&saved_); }

private:
    std::fenv_t saved_;
#endif
};

}  // namespace bitdrop
