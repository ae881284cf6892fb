// Noise format 1 in plain scalar C++: the specification that every kernel is compared with.
// The prose, with the reasons and the golden values, is docs/reference/noise-format.md.
//
// Everything here has internal linkage, as in mask_format.h. Every operation is one that IEEE 754 rounds exactly, and
// none may be contracted into a fused multiply-add.
#pragma once

#include <math.h>

#include "mask_format.h"

namespace bitdrop {

constexpr int kNoiseFormat = 1;

constexpr uint64_t kNoiseBlockElements = 1024;  // seeded together, independent of every other block
constexpr int kNoiseDraws = 32;                 // of a lane, for a block
static_assert(kNoiseBlockElements == 2 * kNoiseDraws * kLanes, "each draw makes two elements");
static_assert(kNoiseBlockElements == kRowElements, "rows of bits and blocks of noise lie side by side");

constexpr uint64_t kNoiseDomain = 0x6E61697373756167;  // "gaussian": noise and mask of a key are independent

// Coefficients in rising order, fitted by tools/fit_noise_format.py. Denominators end with 1.
constexpr float kNoiseSplit = 0x1p-9f;  // tail probability below which the second function holds
constexpr float kNoiseC = 0x1.40d932p+1f;
constexpr float kNoiseP[] = {0x1.d6d318p-9f, 0x1.166408p-2f, 0x1.2fcc9ep+1f, 0x1.803be6p-7f};
constexpr float kNoiseQ[] = {0x1.20fb04p-13f, 0x1.0f71a2p-6f, 0x1.255884p-2f, 0x1.190732p+0f, 1.0f};
constexpr float kNoiseA[] = {0x1.2eb3c6p-6f, 0x1.314f14p+0f, 0x1.a67e76p+2f, -0x1.8f745cp+3f, 0x1.a3523p+2f};
constexpr float kNoiseB[] = {0x1.fc4368p-11f, 0x1.5c2c2p-4f, 0x1.91288p-1f, -0x1.26c83cp-3f, -0x1.6e3322p-1f, 1.0f};

// All that a kernel must know of a noise: its subkeys N0 and N1, and its standard deviation.
struct NoisePlan {
    uint64_t key0, key1;
    double sigma;
};

// Two more rounds on the mask's subkeys. p in [0, 1). The standard deviation is rounded: call it in the default
// floating-point mode.
static inline NoisePlan make_noise_plan(uint64_t k0, uint64_t k1, uint64_t stream, double p) {
    Plan mask = {};
    derive_subkeys(&mask, k0, k1, stream);
    uint64_t x = mask.key0, y = mask.key1 + kNoiseDomain;
    for (uint64_t round = 4; round < 6; ++round) {
        x += mix(y + kGamma * (2 * round + 1));
        y += mix(x + kGamma * (2 * round + 2));
    }
    return {x, y, sqrt(p / (1.0 - p))};
}

template <size_t n> static inline float polynomial(const float (&coefficients)[n], float x) {
    float sum = coefficients[n - 1];
    for (size_t k = n - 1; k-- > 0;) sum = sum * x + coefficients[k];
    return sum;
}

// The standard normal number of 32 random bits: the quantile function at (i + 2^31) / 2^32, i = bits | 1 as a signed
// number.
static inline float normal_of(uint32_t bits) {
    const int64_t odd = int64_t{bits | 1} - (bits >> 31 ? int64_t{1} << 32 : 0);
    const int64_t magnitude = odd < 0 ? -odd : odd;
    const float q = static_cast<float>(static_cast<int32_t>(odd)) * 0x1p-32f;
    const float t = static_cast<float>(static_cast<int32_t>((int64_t{1} << 31) - magnitude)) * 0x1p-32f;
    const float v = sqrtf(t - t * t);
    if (t < kNoiseSplit) {
        const float u = sqrtf(sqrtf(v));
        return q * polynomial(kNoiseA, u) / polynomial(kNoiseB, u);
    }
    return q * (kNoiseC + q * q * polynomial(kNoiseP, v) / polynomial(kNoiseQ, v));
}

}  // namespace bitdrop
