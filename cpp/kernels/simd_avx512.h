// Vector type for AVX-512 F, BW, DQ and VL.
#pragma once

#include <immintrin.h>

#include "../half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for making bits.
    using Words = __m512i;
    static constexpr int kWords = 8;
    static constexpr int kChains = 2;  // vectors of generators in flight: one alone waits for its own results

    static Words load_words(const uint64_t* p) { return _mm512_loadu_si512(p); }
    static void store_words(uint64_t* p, Words a) { _mm512_storeu_si512(p, a); }
    static Words broadcast(uint64_t a) { return _mm512_set1_epi64(static_cast<long long>(a)); }
    static Words add(Words a, Words b) { return _mm512_add_epi64(a, b); }
    static Words multiply(Words a, Words b) { return _mm512_mullo_epi64(a, b); }
    static Words bit_and(Words a, Words b) { return _mm512_and_si512(a, b); }
    static Words bit_or(Words a, Words b) { return _mm512_or_si512(a, b); }
    static Words bit_xor(Words a, Words b) { return _mm512_xor_si512(a, b); }
    static Words bit_xor(Words a, Words b, Words c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
    static Words and_xor(Words a, Words b, Words c) { return _mm512_ternarylogic_epi64(a, b, c, 0x6A); }  // (a & b) ^ c
    template <int n> static Words shift_left(Words a) { return _mm512_slli_epi64(a, n); }
    template <int n> static Words shift_right(Words a) { return _mm512_srli_epi64(a, n); }
    static bool any(Words a) { return _mm512_test_epi64_mask(a, a) != 0; }

    // Floats: 16 or 8 lanes, for applying them. Half types widen to Singles.
    using Singles = __m512;
    using Doubles = __m512d;
    static constexpr int kSingles = 16;
    static constexpr int kDoubles = 8;

    template <bool streaming> static Singles load(const float* p) {
        return streaming ? _mm512_loadu_ps(p) : unfolded(_mm512_loadu_ps(p));
    }
    template <bool streaming> static Doubles load(const double* p) {
        return streaming ? _mm512_loadu_pd(p) : unfolded(_mm512_loadu_pd(p));
    }
    template <bool> static Singles load(const Float16* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    template <bool> static Singles load(const BFloat16* p) {
        const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }

    static Singles broadcast_scalar(float a) { return _mm512_set1_ps(a); }
    static Doubles broadcast_scalar(double a) { return _mm512_set1_pd(a); }
    static Singles add(Singles a, Singles b) { return _mm512_add_ps(a, b); }
    static Doubles add(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
    static Singles multiply(Singles a, Singles b) { return _mm512_mul_ps(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }

    // Selector: the bit of each lane within the 32 bits that begin at the unit's byte.
    using Selector = __m512i;
    using Bits = __m512i;
    static Selector selector(Singles, unsigned first_bit) {
        const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        return _mm512_sll_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), lanes),
                                _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Selector selector(Doubles, unsigned first_bit) {
        const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
        return _mm512_sll_epi64(_mm512_sllv_epi64(_mm512_set1_epi64(1), lanes),
                                _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits broadcast_bits(uint32_t bits) { return _mm512_set1_epi32(static_cast<int>(bits)); }
    static Singles keep(Singles a, Bits bits, Selector selector) {
        return _mm512_maskz_mov_ps(_mm512_test_epi32_mask(bits, selector), a);
    }
    static Doubles keep(Doubles a, Bits bits, Selector selector) {
        return _mm512_maskz_mov_pd(_mm512_test_epi64_mask(bits, selector), a);
    }
    // The bits' choice: a where 1, b where 0.
    static Singles choose(Singles a, Singles b, Bits bits, Selector selector) {
        return _mm512_mask_mov_ps(b, _mm512_test_epi32_mask(bits, selector), a);
    }
    static Doubles choose(Doubles a, Doubles b, Bits bits, Selector selector) {
        return _mm512_mask_mov_pd(b, _mm512_test_epi64_mask(bits, selector), a);
    }

    template <bool streaming> static void store(float* p, Singles a) {
        streaming ? _mm512_stream_ps(p, a) : _mm512_storeu_ps(p, a);
    }
    template <bool streaming> static void store(double* p, Doubles a) {
        streaming ? _mm512_stream_pd(p, a) : _mm512_storeu_pd(p, a);
    }
    template <bool streaming> static void store(Float16* p, Singles a) {
        store_halves<streaming>(p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    template <bool streaming> static void store(BFloat16* p, Singles a) {
        const __m512i bits = _mm512_castps_si512(a);
        const __m512i last_bit = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), last_bit);
        const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
        const __m512i quiet = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
        store_halves<streaming>(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(quiet, 16)));
    }

    static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
    static void fence() { _mm_sfence(); }

private:
    // Keeps the compiler from folding a load into the masked multiplication that follows. A load under a mask
    // does not train Zen 5's prefetcher: in cache that is slower, but beside software prefetching, as streaming
    // does it, 8 % faster.
    template <class Vector> static Vector unfolded(Vector a) {
#if defined(__GNUC__)
        __asm__("" : "+v"(a));
#endif
        return a;
    }

    template <bool streaming> static void store_halves(void* p, __m256i halves) {
        __m256i* to = static_cast<__m256i*>(p);
        streaming ? _mm256_stream_si256(to, halves) : _mm256_storeu_si256(to, halves);
    }
};

}  // namespace
}  // namespace bitdrop
