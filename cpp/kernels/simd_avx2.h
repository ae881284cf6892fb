// Vector type for AVX2 with F16C.
#pragma once

#include <immintrin.h>

#include "../half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for making bits.
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

    // Floats: 8 or 4 lanes, for applying them. Half types widen to Singles.
    using Singles = __m256;
    using Doubles = __m256d;
    static constexpr int kSingles = 8;
    static constexpr int kDoubles = 4;

    template <bool> static Singles load(const float* p) { return _mm256_loadu_ps(p); }
    template <bool> static Doubles load(const double* p) { return _mm256_loadu_pd(p); }
    template <bool> static Singles load(const Float16* p) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    template <bool> static Singles load(const BFloat16* p) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    }

    static Singles broadcast_scalar(float a) { return _mm256_set1_ps(a); }
    static Doubles broadcast_scalar(double a) { return _mm256_set1_pd(a); }
    static Singles add(Singles a, Singles b) { return _mm256_add_ps(a, b); }
    static Doubles add(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
    static Singles multiply(Singles a, Singles b) { return _mm256_mul_ps(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }

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
    static Bits broadcast_bits(uint32_t bits) { return _mm256_set1_epi32(static_cast<int>(bits)); }
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

    template <bool streaming> static void store(float* p, Singles a) {
        streaming ? _mm256_stream_ps(p, a) : _mm256_storeu_ps(p, a);
    }
    template <bool streaming> static void store(double* p, Doubles a) {
        streaming ? _mm256_stream_pd(p, a) : _mm256_storeu_pd(p, a);
    }
    template <bool streaming> static void store(Float16* p, Singles a) {
        store_halves<streaming>(p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
    }
    template <bool streaming> static void store(BFloat16* p, Singles a) {
        const __m256i bits = _mm256_castps_si256(a);
        const __m256i last_bit = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), last_bit);
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
        const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
        const __m256i wide = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
        store_halves<streaming>(p, _mm256_castsi256_si128(packed));
    }

    static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
    static void fence() { _mm_sfence(); }

private:
    static __m256i kept_lanes(Bits bits, Selector selector) {
        return _mm256_cmpeq_epi32(_mm256_and_si256(bits, selector), selector);
    }

    template <bool streaming> static void store_halves(void* p, __m128i halves) {
        __m128i* to = static_cast<__m128i*>(p);
        streaming ? _mm_stream_si128(to, halves) : _mm_storeu_si128(to, halves);
    }
};

}  // namespace
}  // namespace bitdrop
