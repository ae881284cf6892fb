// The assertion of these tests, and bytes with guards on both sides.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/kernel_table.h"

#if defined(__MINGW_PRINTF_FORMAT)  // MinGW has two formats: this one has %zu
#define BITDROP_PRINTF(text, values) [[gnu::format(__MINGW_PRINTF_FORMAT, text, values)]]
#elif defined(__GNUC__)
#define BITDROP_PRINTF(text, values) [[gnu::format(printf, text, values)]]
#else
#define BITDROP_PRINTF(text, values)
#endif

[[noreturn]] BITDROP_PRINTF(4, 5) inline void fail(const char* file, int line, const char* condition,
                                                   const char* format, ...) {
    std::fprintf(stderr, "%s:%d: CHECK(%s) failed: ", file, line, condition);
    va_list values;
    va_start(values, format);
    std::vfprintf(stderr, format, values);
    va_end(values);
    std::fputc('\n', stderr);
    std::exit(1);
}

// CHECK(condition, "format", values...): ends the test with a message if the condition is false.
#define CHECK(condition, ...)                                                \
    do {                                                                     \
        if (!(condition)) fail(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (false)

constexpr size_t kItemSize[bitdrop::kDTypes] = {2, 2, 4, 8};
constexpr const char* kDTypeName[bitdrop::kDTypes] = {"float16", "bfloat16", "float32", "float64"};

// `size` bytes on the heap, beginning `offset` bytes after a multiple of 64. The `offset` bytes before and the `after`
// bytes after them are guards, checked by intact(). With `after` = 0 the allocation ends with the bytes, so that
// AddressSanitizer sees even a read of the next byte.
class Guarded {
public:
    explicit Guarded(size_t size, size_t offset = 0, size_t after = 64)
        : size_(size), before_(offset), after_(after), memory_(allocate(offset + size + after)) {
        std::memset(memory_.get(), kGuard, before_ + size_ + after_);
    }

    unsigned char* data() { return memory_.get() + before_; }
    const unsigned char* data() const { return memory_.get() + before_; }
    size_t size() const { return size_; }

    bool intact() const {
        for (size_t i = 0; i < before_; ++i)
            if (memory_[i] != kGuard) return false;
        for (size_t i = 0; i < after_; ++i)
            if (data()[size_ + i] != kGuard) return false;
        return true;
    }

private:
    static constexpr std::align_val_t kLine{64};
    static constexpr unsigned char kGuard = 0xA5;

    struct Free {
        void operator()(unsigned char* memory) const { ::operator delete[](memory, kLine); }
    };
    static unsigned char* allocate(size_t bytes) { return static_cast<unsigned char*>(::operator new[](bytes, kLine)); }

    size_t size_, before_, after_;
    std::unique_ptr<unsigned char[], Free> memory_;
};
