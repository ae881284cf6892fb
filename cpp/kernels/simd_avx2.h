// Vector type for AVX2 with F16C.
#pragma once

#include <immintrin.h>

#include "half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for generating bits.
    using Words = __m256i;
    static constexpr int kWords = 4;
    static constexpr int kChains = 2;  // of four possible: more would not fit the sixteen registers

    static Words load_words(const uint64_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
    static void store_words(uint64_t* p, Words a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
    static Words broadcast(uint64_t a) { return _mm256_set1_epi64x(static_cast<long long>(a)); }
    static Words add(Words a, Words b) { return _mm256_add_epi64(a, b); }
    static Words multiply(Words a, Words b) {  // from 32-bit products: there is no 64-bit multiplication
        const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b),
                                               _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32)));
        return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(cross, 32));
    }
    static Words bit_and(Words a, Words b) { return _mm256_and_si256(a, b); }
    static Words bit_or(Words a, Words b) { return _mm256_or_si256(a, b); }
    static Words bit_xor(Words a, Words b) { return _mm256_xor_si256(a, b); }
    static Words bit_xor(Words a, Words b, Words c) { return bit_xor(bit_xor(a, b), c); }
    static Words and_xor(Words a, Words b, Words c) { return bit_xor(bit_and(a, b), c); }
    template <int n> static Words shift_left(Words a) { return _mm256_slli_epi64(a, n); }
    template <int n> static Words shift_right(Words a) { return _mm256_srli_epi64(a, n); }
    static bool any(Words a) { return !_mm256_testz_si256(a, a); }

    // Floats: 8 or 4 lanes, for applying bits. Half types widen to Singles.
    using Singles = __m256;
    using Doubles = __m256d;
    static constexpr int kSingles = 8;
    static constexpr int kDoubles = 4;

    template <bool> static Singles load(const float* p) { return _mm256_loadu_ps(p); }
    template <bool> static Doubles load(const double* p) { return _mm256_loadu_pd(p); }
    template <bool> static Singles load(const Float16* p) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }

    static Singles broadcast_scalar(float a) { return _mm256_set1_ps(a); }
    static Doubles broadcast_scalar(double a) { return _mm256_set1_pd(a); }
    static Singles add(Singles a, Singles b) { return _mm256_add_ps(a, b); }
    static Doubles add(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
    static Singles multiply(Singles a, Singles b) { return _mm256_mul_ps(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }
    static Singles subtract(Singles a, Singles b) { return _mm256_sub_ps(a, b); }
    static Singles divide(Singles a, Singles b) { return _mm256_div_ps(a, b); }
    static Singles square_root(Singles a) { return _mm256_sqrt_ps(a); }

    // Of the signed integers in the halves of words, the lower half first.
    static Singles convert_halves(Words a) { return _mm256_cvtepi32_ps(a); }
    static Words tails_of_halves(Words a) {  // 2^31 - |a|
        return _mm256_sub_epi32(_mm256_set1_epi32(INT32_MIN), _mm256_abs_epi32(a));
    }
    static bool any_less(Singles a, Singles b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)) != 0; }
    static Singles choose_if_less(Singles a, Singles b, Singles then, Singles otherwise) {
        return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
    }

    // Floats, in the vector of another type's arithmetic.
    static Singles load_as(Singles, const float* p) { return _mm256_loadu_ps(p); }
    static Doubles load_as(Doubles, const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }

    // Selector: the bit of each lane within the 32 bits that begin at the unit's byte, in every half of a lane.
    using Selector = __m256i;
    using Bits = __m256i;
    static Selector selector(Singles, unsigned first_bit) {
        const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        return _mm256_sll_epi32(lanes, _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Selector selector(Doubles, unsigned first_bit) {
        const __m256i lanes = _mm256_setr_epi32(1, 1, 2, 2, 4, 4, 8, 8);
        return _mm256_sll_epi32(lanes, _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits load_bits(Singles, const uint8_t* bytes) { return broadcast_bits(bytes); }
    static Bits load_bits(Doubles, const uint8_t* bytes) { return broadcast_bits(bytes); }
    static Singles keep(Singles a, Bits bits, Selector selector) {
        return _mm256_and_ps(a, _mm256_castsi256_ps(kept_lanes(bits, selector)));
    }
    static Doubles keep(Doubles a, Bits bits, Selector selector) {
        return _mm256_and_pd(a, _mm256_castsi256_pd(kept_lanes(bits, selector)));
    }
    // The bits' choice: a where 1, b where 0.
    static Singles choose(Singles a, Singles b, Bits bits, Selector selector) {
        return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(kept_lanes(bits, selector)));
    }
    static Doubles choose(Doubles a, Doubles b, Bits bits, Selector selector) {
        return _mm256_blendv_pd(b, a, _mm256_castsi256_pd(kept_lanes(bits, selector)));
    }

    // The lanes that are kept, and of those the ones that are active: above 0, or NaN.
    static __m256 kept(Singles, Bits bits, Selector selector) {
        return _mm256_castsi256_ps(kept_lanes(bits, selector));
    }
    static __m256d kept(Doubles, Bits bits, Selector selector) {
        return _mm256_castsi256_pd(kept_lanes(bits, selector));
    }
    static __m256 active(Singles a, __m256 kept) {
        return _mm256_and_ps(kept, _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NLE_UQ));
    }
    static __m256d active(Doubles a, __m256d kept) {
        return _mm256_and_pd(kept, _mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NLE_UQ));
    }
    static Singles zero_unless(Singles a, __m256 lanes) { return _mm256_and_ps(a, lanes); }
    static Doubles zero_unless(Doubles a, __m256d lanes) { return _mm256_and_pd(a, lanes); }
    static uint32_t bits_of(__m256 lanes) { return static_cast<uint32_t>(_mm256_movemask_ps(lanes)); }
    static uint32_t bits_of(__m256d lanes) { return static_cast<uint32_t>(_mm256_movemask_pd(lanes)); }

    template <bool non_temporal> static void store(float* p, Singles a) {
        non_temporal ? _mm256_stream_ps(p, a) : _mm256_storeu_ps(p, a);
    }
    template <bool non_temporal> static void store(double* p, Doubles a) {
        non_temporal ? _mm256_stream_pd(p, a) : _mm256_storeu_pd(p, a);
    }
    template <bool non_temporal> static void store(Float16* p, Singles a) {
        store_halves<non_temporal>(p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
    }

    // BFloat16: a 32-bit lane holds two, of which the even one is widened by a shift and the odd one by a mask.
    struct Pairs {
        Singles even, odd;
    };
    using Halves = __m256i;

    template <bool> static Pairs load(const BFloat16* p) {
        const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i odd = _mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xFFFF0000)));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), _mm256_castsi256_ps(odd)};
    }
    static Pairs multiply(Pairs a, Singles b) { return {multiply(a.even, b), multiply(a.odd, b)}; }
    static Pairs add(Pairs a, Singles b) { return {add(a.even, b), add(a.odd, b)}; }
    static Pairs add(Pairs a, Pairs b) { return {add(a.even, b.even), add(a.odd, b.odd)}; }
    static Pairs multiply(Pairs a, Pairs b) { return {multiply(a.even, b.even), multiply(a.odd, b.odd)}; }
    static Pairs load_as(Pairs, const float* p) {
        const __m256 low = _mm256_loadu_ps(p), high = _mm256_loadu_ps(p + kSingles);
        const __m256 near = _mm256_permute2f128_ps(low, high, 0x20), far = _mm256_permute2f128_ps(low, high, 0x31);
        return {_mm256_shuffle_ps(near, far, 0x88), _mm256_shuffle_ps(near, far, 0xDD)};
    }
    // To nearest even. (low + 0x7FFF + the last bit of high) carries into high; the average of 16-bit lanes is that
    // sum's upper half. A NaN that arithmetic gives is quiet, and its low half is 0, because it began as a half.
    static Halves narrow(Pairs a) {
        const __m256i even = _mm256_castps_si256(a.even), odd = _mm256_castps_si256(a.odd);
        const __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA);
        const __m256i low = _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xAA);
        const __m256i last_bit = _mm256_and_si256(high, _mm256_set1_epi16(1));
        const __m256i sum = _mm256_avg_epu16(low, _mm256_or_si256(last_bit, _mm256_set1_epi16(0x7FFE)));
        return _mm256_add_epi16(high, _mm256_srli_epi16(sum, 15));
    }
    static Selector selector(Pairs, unsigned first_bit) {
        const __m128i lanes = _mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128);
        return _mm256_sll_epi16(_mm256_broadcastsi128_si256(lanes), _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits load_bits(Pairs, const uint8_t* bytes) {  // for each eight lanes the two bytes that hold their bits
        const __m256i pairs = _mm256_setr_epi16(0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x201, 0x201,
                                                0x201, 0x201, 0x201, 0x201, 0x201, 0x201);
        return _mm256_shuffle_epi8(broadcast_bits(bytes), pairs);
    }
    static Halves keep(Pairs a, Bits bits, Selector selector) {
        return _mm256_and_si256(narrow(a), kept_halves(bits, selector));
    }
    static Halves choose(Pairs a, Pairs b, Bits bits, Selector selector) {
        return _mm256_blendv_epi8(narrow(b), narrow(a), kept_halves(bits, selector));
    }
    static Halves choose(Pairs a, Singles b, Bits bits, Selector selector) {
        return choose(a, Pairs{b, b}, bits, selector);
    }
    struct PairLanes {
        __m256 even, odd;
    };
    static PairLanes kept(Pairs, Bits bits, Selector selector) {
        const __m256i lanes = kept_halves(bits, selector);
        return {_mm256_castsi256_ps(_mm256_srai_epi32(_mm256_slli_epi32(lanes, 16), 16)),
                _mm256_castsi256_ps(_mm256_srai_epi32(lanes, 16))};
    }
    static PairLanes active(Pairs a, PairLanes kept) { return {active(a.even, kept.even), active(a.odd, kept.odd)}; }
    static Pairs zero_unless(Pairs a, PairLanes lanes) {
        return {zero_unless(a.even, lanes.even), zero_unless(a.odd, lanes.odd)};
    }
    static uint32_t bits_of(PairLanes lanes) {
        const __m256i even = _mm256_castps_si256(lanes.even), odd = _mm256_castps_si256(lanes.odd);
        const __m256i halves = _mm256_blend_epi16(even, odd, 0xAA);
        const auto bytes = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(halves, halves)));
        return (bytes & 0xFF) | (bytes >> 8 & 0xFF00);
    }
    template <bool non_temporal> static void store(BFloat16* p, Halves a) {
        __m256i* to = reinterpret_cast<__m256i*>(p);
        non_temporal ? _mm256_stream_si256(to, a) : _mm256_storeu_si256(to, a);
    }

    static void store_past_caches(float* p, float a) {
        _mm_stream_si32(reinterpret_cast<int*>(p), static_cast<int>(float_bits(a)));
    }
    static void store_past_caches(double* p, double a) {
        long long bits;
        std::memcpy(&bits, &a, sizeof bits);
        _mm_stream_si64(reinterpret_cast<long long*>(p), bits);
    }
    static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
    static void fence() { _mm_sfence(); }

private:
    static Bits broadcast_bits(const uint8_t* bytes) {
        int bits;
        std::memcpy(&bits, bytes, sizeof bits);
        return _mm256_set1_epi32(bits);
    }

    static __m256i kept_halves(Bits bits, Selector selector) {
        return _mm256_cmpeq_epi16(_mm256_and_si256(bits, selector), selector);
    }

    static __m256i kept_lanes(Bits bits, Selector selector) {
        return _mm256_cmpeq_epi32(_mm256_and_si256(bits, selector), selector);
    }

    template <bool non_temporal> static void store_halves(void* p, __m128i halves) {
        __m128i* to = static_cast<__m128i*>(p);
        non_temporal ? _mm_stream_si128(to, halves) : _mm_storeu_si128(to, halves);
    }
};

}  // namespace
}  // namespace bitdrop
