// Random arguments for the entry points: mostly small, often at an edge, always valid.
#pragma once

#include <cstdint>
#include <random>

#include "check.h"
#include "golden.h"

class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}

    uint64_t bits() { return engine_(); }
    uint64_t below(uint64_t end) { return engine_() % end; }
    uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
    bool one_in(uint64_t n) { return below(n) == 0; }

    template <class T, size_t n> T any_of(const T (&list)[n]) { return list[below(n)]; }

    // A length near the sizes of vectors, words, rows and blocks.
    uint64_t count() {
        if (one_in(3)) return below(20);
        if (one_in(2)) return below(300);
        if (one_in(8)) return below(3 * bitdrop::kBlockElements);
        const uint64_t edges[] = {64, 128, 512, bitdrop::kRowElements, bitdrop::kBlockElements};
        return any_of(edges) + below(5) - 2;
    }

    // An index at least 2^20 below the last.
    uint64_t index() {
        const uint64_t near[] = {0, uint64_t{1} << 32, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0} - (1 << 21)};
        return any_of(near) + (one_in(2) ? below(1 << 14) : 0);
    }

    double p() {
        const double edges[] = {0, 0x1p-65, 0x1p-64, 0x1p-60, 0x1p-12, 0x1p-13, 0.1, 0.25, 0.5, 0.75, 1 - 0x1p-53, 1};
        return one_in(2) ? any_of(edges) : static_cast<double>(bits() >> 11) * 0x1p-53;
    }

    double scale() {
        const double usual[] = {1, 2, 1 / 0.9, 0.7, 0, 0x1p53, 0x1p-20};
        return any_of(usual);
    }

    // In half of the calls without shift and value of dropped elements.
    bitdrop::Affine affine() {
        const double numbers[] = {0, 1.5, -0.25, 1 / 3.0, -0x1p-20, 0x1p14};
        if (one_in(6)) return {1, 0, 0, bitdrop::Operation::select};
        if (one_in(6)) return {scale(), any_of(numbers), 0, bitdrop::Operation::blend};
        if (one_in(2)) return bitdrop::make_affine(scale(), 0, 0);
        return bitdrop::make_affine(scale(), any_of(numbers), any_of(numbers));
    }

    // Of any operation that applies without sums.
    bitdrop::Affine operation() {
        bitdrop::Affine any = affine();
        const bitdrop::Operation fused[] = {bitdrop::Operation::relu, bitdrop::Operation::fused,
                                            bitdrop::Operation::fused_relu};
        if (one_in(2)) any.operation = any_of(fused);
        return any;
    }

    bitdrop::Plan plan() { return bitdrop::make_plan(bits(), bits(), one_in(2) ? below(4) : bits(), p()); }
    bitdrop::DType dtype() { return static_cast<bitdrop::DType>(below(bitdrop::kDTypes)); }

    // Offset of the bytes, and size of the guard after them: often 0, so that AddressSanitizer sees one byte too far.
    size_t offset() { return one_in(3) ? 0 : below(64); }
    Guarded bytes(size_t size) { return Guarded(size, offset(), one_in(2) ? 0 : 64); }

    // Elements of every kind, including NaNs.
    void fill(unsigned char* to, size_t size) {
        for (size_t i = 0; i < size; i += 8) {
            const uint64_t value =
                bits() & (one_in(16) ? 0x83FF83FF83FF83FF : ~uint64_t{0});  // small halves, denormals
            std::memcpy(to + i, &value, size - i < 8 ? size - i : 8);
        }
    }

private:
    std::mt19937_64 engine_;
};

inline bool is_nan(bitdrop::DType dtype, uint64_t bits) {
    static constexpr uint64_t kInfinity[bitdrop::kDTypes] = {0x7C00, 0x7F80, 0x7F800000, 0x7FF0000000000000};
    const int code = static_cast<int>(dtype);
    return (bits & ~(uint64_t{1} << (8 * kItemSize[code] - 1))) > kInfinity[code];
}

// Equal bits, or both NaN.
inline bool same_element(bitdrop::DType dtype, const unsigned char* a, const unsigned char* b) {
    const size_t item = kItemSize[static_cast<int>(dtype)];
    const uint64_t left = get_element(a, item), right = get_element(b, item);
    return left == right || (is_nan(dtype, left) && is_nan(dtype, right));
}
