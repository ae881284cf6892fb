// Mask format 1 in plain scalar C++: the specification that every kernel is compared with.
// The prose, with the reasons and the golden values, is docs/reference/mask-format.md.
//
// Everything here has internal linkage and uses no standard library templates, because files compiled
// for one instruction set include it: a shared inline function could be taken from the wrong file by the linker.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

namespace bitdrop {

constexpr int kMaskFormat = 1;

constexpr int kLanes = 16;                               // generators of a block
constexpr int kMaxLevels = 12;                           // coin flips of an element before the tie rule
constexpr uint64_t kRowElements = 64 * kLanes;           // one word of every lane
constexpr uint64_t kRowsPerBlock = 4;
constexpr uint64_t kBlockElements = kRowElements * kRowsPerBlock;
constexpr size_t kRowBytes = kRowElements / 8;
constexpr size_t kBlockBytes = kBlockElements / 8;

constexpr uint64_t kGamma = 0x9E3779B97F4A7C15;
constexpr uint64_t kGamma0 = 0x9E3779B97F4A7C15;         // seeds the first state word of a lane
constexpr uint64_t kGamma1 = 0xD1342543DE82EF95;         // seeds the second
constexpr uint64_t kGamma2 = 0xDB4F0B9175AE2165;         // hashes the index of a tie
constexpr uint64_t kMix1 = 0xBF58476D1CE4E5B9;
constexpr uint64_t kMix2 = 0x94D049BB133111EB;

// SplitMix64's finaliser: Steele, Lea and Flood, 2014, with Stafford's variant 13 of the constants.
static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * kMix1;
    z = (z ^ (z >> 27)) * kMix2;
    return z ^ (z >> 31);
}

static inline uint64_t rotate_left(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline int trailing_zeros(uint64_t x) {  // x != 0
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long position = 0;
    _BitScanForward64(&position, x);
    return static_cast<int>(position);
#else
    return __builtin_ctzll(x);
#endif
}

// All that a kernel must know of a mask: subkeys, threshold, and the threshold's bits as the words
// that bit-slicing consumes.
struct Plan {
    uint64_t key0, key1, key_ties;  // K0, K1, KT
    uint64_t threshold;             // T: an element is dropped with probability T / 2^64
    int32_t levels;                 // L; 0 where nothing is drawn and `constant` is every word
    int32_t ties;                   // 1 where T has more than 12 significant bits
    uint64_t constant;
    // keep' = (r & z) | (~r & ~T_j) is computed as one AND and one XOR: with u = z ^ ~T_j it is
    // (u & r) ^ ~T_j, so the XORs of two neighbouring levels merge. `first` is u before the first draw.
    uint64_t first;
    uint64_t flips[kMaxLevels];     // in the order of the draws: deepest level first
};

// T = p * 2^64, to nearest, ties to even, whatever the rounding mode. p in [0, 1).
static inline uint64_t drop_threshold(double p) {
    const double scaled = p * 18446744073709551616.0;  // exact: a power of two
    if (scaled >= 9007199254740992.0) return static_cast<uint64_t>(scaled);  // 2^53: no fraction left
    const uint64_t whole = static_cast<uint64_t>(scaled);
    const double fraction = scaled - static_cast<double>(whole);
    return whole + ((fraction > 0.5 || (fraction == 0.5 && (whole & 1))) ? 1 : 0);
}

static inline uint64_t threshold_bit(uint64_t threshold, int level) {  // T_j, j = 1 ... 64
    return (threshold >> (64 - level)) & 1;
}

static inline void derive_subkeys(Plan* plan, uint64_t k0, uint64_t k1, uint64_t stream) {
    uint64_t x = k0, y = k1;
    for (uint64_t round = 0; round < 4; ++round) {
        if (round == 2) y += stream;  // after the key has been mixed, so that neighbours never meet
        x += mix(y + kGamma * (2 * round + 1));
        y += mix(x + kGamma * (2 * round + 2));
    }
    plan->key0 = x;
    plan->key1 = y;
    plan->key_ties = mix(x ^ rotate_left(y, 32));
}

static inline void derive_levels(Plan* plan, double p) {
    plan->levels = plan->ties = 0;
    plan->threshold = p < 1.0 ? drop_threshold(p) : 0;
    plan->constant = p < 1.0 ? ~uint64_t{0} : 0;
    if (plan->threshold == 0) return;
    const int significant = 64 - trailing_zeros(plan->threshold);
    plan->levels = significant < kMaxLevels ? significant : kMaxLevels;
    plan->ties = significant > kMaxLevels;
    uint64_t keep_on_zero = threshold_bit(plan->threshold, plan->levels) - 1;  // ~T_L as a word
    plan->first = ~keep_on_zero;
    for (int draw = 0; draw < plan->levels; ++draw) {
        const int next_level = plan->levels - draw - 1;
        const uint64_t next = next_level ? threshold_bit(plan->threshold, next_level) - 1 : 0;
        plan->flips[draw] = keep_on_zero ^ next;
        keep_on_zero = next;
    }
}

static inline Plan make_plan(uint64_t k0, uint64_t k1, uint64_t stream, double p) {
    Plan plan = {};
    derive_subkeys(&plan, k0, k1, stream);
    derive_levels(&plan, p);
    return plan;
}

// The tie rule: true if an element that flipped twelve 1s is kept, given the hash of its index.
static inline bool tie_keeps(uint64_t threshold, uint64_t hash) {
    const int ones = ~hash ? trailing_zeros(~hash) : 64;
    const int level = kMaxLevels + 1 + ones;
    return level > 64 || !threshold_bit(threshold, level);
}

static inline uint64_t tie_hash(uint64_t key_ties, uint64_t index) { return mix(key_ties + kGamma2 * (index + 1)); }

// Decides the undecided elements of `count` words, the first bit of which is element `index`.
// Bits of `keep` are 1 where undecided.
static inline void resolve_ties(const Plan& plan, uint64_t index, const uint64_t* undecided, uint64_t* keep,
                                int count) {
    for (int w = 0; w < count; ++w) {
        for (uint64_t left = undecided[w]; left; left &= left - 1) {
            const uint64_t i = index + 64 * static_cast<uint64_t>(w) + static_cast<uint64_t>(trailing_zeros(left));
            if (!tie_keeps(plan.threshold, tie_hash(plan.key_ties, i))) keep[w] &= ~(left & (0 - left));
        }
    }
}

// Packed bits are little-endian words on every machine.
static inline void store_word(uint8_t* bytes, uint64_t word) {
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(word >> (8 * i));
}

static inline bool packed_bit(const uint8_t* bits, uint64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

}  // namespace bitdrop
