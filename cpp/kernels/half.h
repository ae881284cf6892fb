// The 16-bit floating-point formats, converted in integer arithmetic: to nearest even, denormals and
// infinities included, NaN to NaN. Internal linkage, as in mask_format.h.
#pragma once

#include <cstdint>
#include <cstring>

namespace bitdrop {

struct Float16 {
    uint16_t bits;
};
struct BFloat16 {
    uint16_t bits;
};

static inline uint32_t float_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float widen(BFloat16 half) { return float_from_bits(static_cast<uint32_t>(half.bits) << 16); }

static inline BFloat16 narrow_bfloat16(float value) {
    const uint32_t bits = float_bits(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};  // a quiet NaN
    return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
}

static inline float widen(Float16 half) {
    const uint32_t sign = static_cast<uint32_t>(half.bits & 0x8000) << 16;
    const uint32_t magnitude = half.bits & 0x7FFF;
    if (magnitude >= 0x7C00) return float_from_bits(sign | 0x7F800000 | (magnitude & 0x3FF) << 13);
    if (magnitude >= 0x0400) return float_from_bits(sign | ((magnitude << 13) + (112u << 23)));
    const float denormal = static_cast<float>(magnitude) * 0x1p-24f;
    return float_from_bits(sign | float_bits(denormal));
}

static inline Float16 narrow_float16(float value) {
    const uint32_t bits = float_bits(value);
    const uint32_t sign = (bits >> 16) & 0x8000;
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    uint32_t half;
    if (magnitude > 0x7F800000) {
        half = 0x7E00 | ((magnitude >> 13) & 0x3FF);  // a quiet NaN
    } else if (magnitude >= 0x477FF000) {
        half = 0x7C00;  // 65520 and more round to infinity
    } else if (magnitude >= 0x38800000) {
        half = (magnitude - (112u << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
    } else {
        // A denormal: adding 0.5, whose last place is 2^-24, makes the adder round to a multiple of 2^-24.
        half = float_bits(float_from_bits(magnitude) + 0.5f) - float_bits(0.5f);
    }
    return {static_cast<uint16_t>(sign | half)};
}

}  // namespace bitdrop
