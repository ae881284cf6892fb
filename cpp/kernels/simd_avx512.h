// Vector type for AVX-512 F, BW, DQ and VL.
#pragma once

#include <immintrin.h>

#include "half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for generating bits.
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

    // Floats: 16 or 8 lanes, for applying bits. Half types widen to Singles.
    using Singles = __m512;
    using Doubles = __m512d;
    static constexpr int kSingles = 16;
    static constexpr int kDoubles = 8;

    template <bool non_temporal> static Singles load(const float* p) {
        return non_temporal ? _mm512_loadu_ps(p) : unfolded(_mm512_loadu_ps(p));
    }
    template <bool non_temporal> static Doubles load(const double* p) {
        return non_temporal ? _mm512_loadu_pd(p) : unfolded(_mm512_loadu_pd(p));
    }
    template <bool> static Singles load(const Float16* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }

    static Singles broadcast_scalar(float a) { return _mm512_set1_ps(a); }
    static Doubles broadcast_scalar(double a) { return _mm512_set1_pd(a); }
    static Singles add(Singles a, Singles b) { return _mm512_add_ps(a, b); }
    static Doubles add(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
    static Singles multiply(Singles a, Singles b) { return _mm512_mul_ps(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }
    static Singles subtract(Singles a, Singles b) { return _mm512_sub_ps(a, b); }
    static Singles divide(Singles a, Singles b) { return _mm512_div_ps(a, b); }
    static Singles square_root(Singles a) { return _mm512_sqrt_ps(a); }

    // Of the signed integers in the halves of words, the lower half first.
    static Singles convert_halves(Words a) { return _mm512_cvtepi32_ps(a); }
    static Words tails_of_halves(Words a) {  // 2^31 - |a|
        return _mm512_sub_epi32(_mm512_set1_epi32(INT32_MIN), _mm512_abs_epi32(a));
    }
    static bool any_less(Singles a, Singles b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0; }
    static Singles choose_if_less(Singles a, Singles b, Singles then, Singles otherwise) {
        return _mm512_mask_mov_ps(otherwise, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), then);
    }

    // Floats, in the vector of another type's arithmetic.
    static Singles load_as(Singles, const float* p) { return _mm512_loadu_ps(p); }
    static Doubles load_as(Doubles, const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

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
    static Bits load_bits(Singles, const uint8_t* bytes) { return _mm512_set1_epi32(read<int>(bytes)); }
    static Bits load_bits(Doubles, const uint8_t* bytes) { return _mm512_set1_epi32(read<int>(bytes)); }
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

    // The lanes that are kept, and of those the ones that are active: above 0, or NaN.
    static __mmask16 kept(Singles, Bits bits, Selector selector) { return _mm512_test_epi32_mask(bits, selector); }
    static __mmask8 kept(Doubles, Bits bits, Selector selector) { return _mm512_test_epi64_mask(bits, selector); }
    static __mmask16 active(Singles a, __mmask16 kept) {
        return _mm512_mask_cmp_ps_mask(kept, a, _mm512_setzero_ps(), _CMP_NLE_UQ);
    }
    static __mmask8 active(Doubles a, __mmask8 kept) {
        return _mm512_mask_cmp_pd_mask(kept, a, _mm512_setzero_pd(), _CMP_NLE_UQ);
    }
    static Singles zero_unless(Singles a, __mmask16 lanes) { return _mm512_maskz_mov_ps(lanes, a); }
    static Doubles zero_unless(Doubles a, __mmask8 lanes) { return _mm512_maskz_mov_pd(lanes, a); }
    static uint32_t bits_of(__mmask16 lanes) { return lanes; }
    static uint32_t bits_of(__mmask8 lanes) { return lanes; }

    template <bool non_temporal> static void store(float* p, Singles a) {
        non_temporal ? _mm512_stream_ps(p, a) : _mm512_storeu_ps(p, a);
    }
    template <bool non_temporal> static void store(double* p, Doubles a) {
        non_temporal ? _mm512_stream_pd(p, a) : _mm512_storeu_pd(p, a);
    }
    template <bool non_temporal> static void store(Float16* p, Singles a) {
        store_halves<non_temporal>(p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }

    // BFloat16: a 32-bit lane holds two, of which the even one is widened by a shift and the odd one by a mask.
    struct Pairs {
        Singles even, odd;
    };
    using Halves = __m512i;

    template <bool> static Pairs load(const BFloat16* p) {
        const __m512i both = _mm512_loadu_si512(p);
        const __m512i odd = _mm512_and_si512(both, _mm512_set1_epi32(static_cast<int>(0xFFFF0000)));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), _mm512_castsi512_ps(odd)};
    }
    static Pairs multiply(Pairs a, Singles b) { return {multiply(a.even, b), multiply(a.odd, b)}; }
    static Pairs add(Pairs a, Singles b) { return {add(a.even, b), add(a.odd, b)}; }
    static Pairs add(Pairs a, Pairs b) { return {add(a.even, b.even), add(a.odd, b.odd)}; }
    static Pairs multiply(Pairs a, Pairs b) { return {multiply(a.even, b.even), multiply(a.odd, b.odd)}; }
    static Pairs load_as(Pairs, const float* p) {
        const __m512 low = _mm512_loadu_ps(p), high = _mm512_loadu_ps(p + kSingles);
        const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
        return {_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high)};
    }
    // To nearest even. (low + 0x7FFF + the last bit of high) carries into high; the average of 16-bit lanes is that
    // sum's upper half. A NaN that arithmetic gives is quiet, and its low half is 0, because it began as a half.
    static Halves narrow(Pairs a) {
        const __m512i even = _mm512_castps_si512(a.even), odd = _mm512_castps_si512(a.odd);
        const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
        const __m512i high = _mm512_ternarylogic_epi32(upper, odd, _mm512_srli_epi32(even, 16), 0xCA);
        const __m512i low = _mm512_ternarylogic_epi32(upper, _mm512_slli_epi32(odd, 16), even, 0xCA);
        const __m512i half = _mm512_ternarylogic_epi32(high, _mm512_set1_epi16(1), _mm512_set1_epi16(0x7FFE), 0xEA);
        return _mm512_add_epi16(high, _mm512_srli_epi16(_mm512_avg_epu16(low, half), 15));
    }
    static Selector selector(Pairs, unsigned first_bit) {
        const __m512i lanes = _mm512_set1_epi64(0x0008000400020001);
        const __m512i eight = _mm512_mask_slli_epi64(lanes, 0xAA, lanes, 4);
        return _mm512_sll_epi16(eight, _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits load_bits(Pairs, const uint8_t* bytes) {  // for each eight lanes the two bytes that hold their bits
        const __m512i pairs =
            _mm512_set_epi64(0x0403040304030403, 0x0403040304030403, 0x0302030203020302, 0x0302030203020302,
                             0x0201020102010201, 0x0201020102010201, 0x0100010001000100, 0x0100010001000100);
        return _mm512_shuffle_epi8(_mm512_set1_epi64(read<long long>(bytes)), pairs);
    }
    static Halves keep(Pairs a, Bits bits, Selector selector) {
        return _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(bits, selector), narrow(a));
    }
    static Halves choose(Pairs a, Pairs b, Bits bits, Selector selector) {
        return _mm512_mask_mov_epi16(narrow(b), _mm512_test_epi16_mask(bits, selector), narrow(a));
    }
    static Halves choose(Pairs a, Singles b, Bits bits, Selector selector) {
        return choose(a, Pairs{b, b}, bits, selector);
    }
    struct PairLanes {
        __mmask16 even, odd;
    };
    static PairLanes kept(Pairs, Bits bits, Selector selector) {
        const __m512i lanes = _mm512_movm_epi16(_mm512_test_epi16_mask(bits, selector));
        return {_mm512_movepi32_mask(_mm512_slli_epi32(lanes, 16)), _mm512_movepi32_mask(lanes)};
    }
    static PairLanes active(Pairs a, PairLanes kept) { return {active(a.even, kept.even), active(a.odd, kept.odd)}; }
    static Pairs zero_unless(Pairs a, PairLanes lanes) {
        return {zero_unless(a.even, lanes.even), zero_unless(a.odd, lanes.odd)};
    }
    static uint32_t bits_of(PairLanes lanes) {
        const __m512i even = _mm512_movm_epi32(lanes.even), odd = _mm512_movm_epi32(lanes.odd);
        return _mm512_movepi16_mask(_mm512_mask_blend_epi16(0xAAAAAAAA, even, odd));
    }
    template <bool non_temporal> static void store(BFloat16* p, Halves a) {
        __m512i* to = reinterpret_cast<__m512i*>(p);
        non_temporal ? _mm512_stream_si512(to, a) : _mm512_storeu_si512(to, a);
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
    template <class T> static T read(const uint8_t* bytes) {
        T value;
        std::memcpy(&value, bytes, sizeof value);
        return value;
    }

    // Keeps the compiler from folding a load into the masked multiplication that follows. A load under a mask
    // does not train Zen 5's prefetcher: in cache that is slower, but beside the software prefetching of
    // non-temporal stores, 8 % faster.
    template <class Vector> static Vector unfolded(Vector a) {
#if defined(__GNUC__)
        __asm__("" : "+v"(a));
#endif
        return a;
    }

    template <bool non_temporal> static void store_halves(void* p, __m256i halves) {
        __m256i* to = static_cast<__m256i*>(p);
        non_temporal ? _mm256_stream_si256(to, halves) : _mm256_storeu_si256(to, halves);
    }
};

}  // namespace
}  // namespace bitdrop
