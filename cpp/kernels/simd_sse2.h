// Vector type for SSE2, which every x86-64 machine has.
#pragma once

#include <emmintrin.h>

#include "half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for generating bits.
    using Words = __m128i;
    static constexpr int kWords = 2;
    static constexpr int kChains = 2;  // of eight possible: more would not fit the sixteen registers

    static Words load_words(const uint64_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
    static void store_words(uint64_t* p, Words a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), a); }
    static Words broadcast(uint64_t a) { return _mm_set1_epi64x(static_cast<long long>(a)); }
    static Words add(Words a, Words b) { return _mm_add_epi64(a, b); }
    static Words multiply(Words a, Words b) {  // from 32-bit products: there is no 64-bit multiplication
        const __m128i cross =
            _mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64(a, 32), b), _mm_mul_epu32(a, _mm_srli_epi64(b, 32)));
        return _mm_add_epi64(_mm_mul_epu32(a, b), _mm_slli_epi64(cross, 32));
    }
    static Words bit_and(Words a, Words b) { return _mm_and_si128(a, b); }
    static Words bit_or(Words a, Words b) { return _mm_or_si128(a, b); }
    static Words bit_xor(Words a, Words b) { return _mm_xor_si128(a, b); }
    static Words bit_xor(Words a, Words b, Words c) { return bit_xor(bit_xor(a, b), c); }
    static Words and_xor(Words a, Words b, Words c) { return bit_xor(bit_and(a, b), c); }
    template <int n> static Words shift_left(Words a) { return _mm_slli_epi64(a, n); }
    template <int n> static Words shift_right(Words a) { return _mm_srli_epi64(a, n); }
    static bool any(Words a) { return _mm_movemask_epi8(_mm_cmpeq_epi32(a, _mm_setzero_si128())) != 0xFFFF; }

    // Floats: 4 or 2 lanes, for applying bits. Half types widen to Singles.
    using Singles = __m128;
    using Doubles = __m128d;
    static constexpr int kSingles = 4;
    static constexpr int kDoubles = 2;

    template <bool> static Singles load(const float* p) { return _mm_loadu_ps(p); }
    template <bool> static Doubles load(const double* p) { return _mm_loadu_pd(p); }
    // Conversion came with F16C, so it is done here as in half.h. Denormals come from integers: the processor
    // takes a hundred cycles to multiply a denormal float.
    template <bool> static Singles load(const Float16* p) {
        const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
        const __m128i wide = _mm_unpacklo_epi16(halves, _mm_setzero_si128());
        const __m128i sign = _mm_slli_epi32(_mm_and_si128(wide, _mm_set1_epi32(0x8000)), 16);
        const __m128i magnitude = _mm_and_si128(wide, _mm_set1_epi32(0x7FFF));
        const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7BFF));  // infinity or NaN
        const __m128i exponent = _mm_and_si128(special, _mm_set1_epi32(0x7F800000));
        const __m128i normal = _mm_add_epi32(_mm_slli_epi32(magnitude, 13), _mm_set1_epi32(112 << 23));
        const __m128 denormal = _mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(0x1p-24f));
        const __m128i is_denormal = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x400));
        const __m128i number = select(is_denormal, _mm_castps_si128(denormal), normal);
        return _mm_castsi128_ps(_mm_or_si128(_mm_or_si128(number, exponent), sign));
    }

    static Singles broadcast_scalar(float a) { return _mm_set1_ps(a); }
    static Doubles broadcast_scalar(double a) { return _mm_set1_pd(a); }
    static Singles add(Singles a, Singles b) { return _mm_add_ps(a, b); }
    static Doubles add(Doubles a, Doubles b) { return _mm_add_pd(a, b); }
    static Singles multiply(Singles a, Singles b) { return _mm_mul_ps(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return _mm_mul_pd(a, b); }
    static Singles subtract(Singles a, Singles b) { return _mm_sub_ps(a, b); }
    static Singles divide(Singles a, Singles b) { return _mm_div_ps(a, b); }
    static Singles square_root(Singles a) { return _mm_sqrt_ps(a); }

    // Of the signed integers in the halves of words, the lower half first.
    static Singles convert_halves(Words a) { return _mm_cvtepi32_ps(a); }
    static Words tails_of_halves(Words a) {  // 2^31 - |a|
        const __m128i positive = _mm_xor_si128(_mm_srai_epi32(a, 31), _mm_set1_epi32(-1));
        const __m128i negated = _mm_sub_epi32(_mm_xor_si128(a, positive), positive);  // -|a|
        return _mm_add_epi32(negated, _mm_set1_epi32(INT32_MIN));
    }
    static bool any_less(Singles a, Singles b) { return _mm_movemask_ps(_mm_cmplt_ps(a, b)) != 0; }
    static Singles choose_if_less(Singles a, Singles b, Singles then, Singles otherwise) {
        const __m128 less = _mm_cmplt_ps(a, b);
        return _mm_or_ps(_mm_and_ps(less, then), _mm_andnot_ps(less, otherwise));
    }

    // Floats, in the vector of another type's arithmetic.
    static Singles load_as(Singles, const float* p) { return _mm_loadu_ps(p); }
    static Doubles load_as(Doubles, const float* p) {
        return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
    }

    // Selector: the bit of each lane within the 32 bits that begin at the unit's byte, in every half of a lane.
    using Selector = __m128i;
    using Bits = __m128i;
    static Selector selector(Singles, unsigned first_bit) {
        return _mm_sll_epi32(_mm_setr_epi32(1, 2, 4, 8), _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Selector selector(Doubles, unsigned first_bit) {
        return _mm_sll_epi32(_mm_setr_epi32(1, 1, 2, 2), _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits load_bits(Singles, const uint8_t* bytes) { return _mm_set1_epi32(read<int>(bytes)); }
    static Bits load_bits(Doubles, const uint8_t* bytes) { return _mm_set1_epi32(read<int>(bytes)); }
    static Singles keep(Singles a, Bits bits, Selector selector) {
        return _mm_and_ps(a, _mm_castsi128_ps(kept_lanes(bits, selector)));
    }
    static Doubles keep(Doubles a, Bits bits, Selector selector) {
        return _mm_and_pd(a, _mm_castsi128_pd(kept_lanes(bits, selector)));
    }
    // The bits' choice: a where 1, b where 0.
    static Singles choose(Singles a, Singles b, Bits bits, Selector selector) {
        const __m128 kept = _mm_castsi128_ps(kept_lanes(bits, selector));
        return _mm_or_ps(_mm_and_ps(kept, a), _mm_andnot_ps(kept, b));
    }
    static Doubles choose(Doubles a, Doubles b, Bits bits, Selector selector) {
        const __m128d kept = _mm_castsi128_pd(kept_lanes(bits, selector));
        return _mm_or_pd(_mm_and_pd(kept, a), _mm_andnot_pd(kept, b));
    }

    // The lanes that are kept, and of those the ones that are active: above 0, or NaN.
    static __m128 kept(Singles, Bits bits, Selector selector) { return _mm_castsi128_ps(kept_lanes(bits, selector)); }
    static __m128d kept(Doubles, Bits bits, Selector selector) { return _mm_castsi128_pd(kept_lanes(bits, selector)); }
    static __m128 active(Singles a, __m128 kept) { return _mm_and_ps(kept, _mm_cmpnle_ps(a, _mm_setzero_ps())); }
    static __m128d active(Doubles a, __m128d kept) { return _mm_and_pd(kept, _mm_cmpnle_pd(a, _mm_setzero_pd())); }
    static Singles zero_unless(Singles a, __m128 lanes) { return _mm_and_ps(a, lanes); }
    static Doubles zero_unless(Doubles a, __m128d lanes) { return _mm_and_pd(a, lanes); }
    static uint32_t bits_of(__m128 lanes) { return static_cast<uint32_t>(_mm_movemask_ps(lanes)); }
    static uint32_t bits_of(__m128d lanes) { return static_cast<uint32_t>(_mm_movemask_pd(lanes)); }

    template <bool non_temporal> static void store(float* p, Singles a) {
        non_temporal ? _mm_stream_ps(p, a) : _mm_storeu_ps(p, a);
    }
    template <bool non_temporal> static void store(double* p, Doubles a) {
        non_temporal ? _mm_stream_pd(p, a) : _mm_storeu_pd(p, a);
    }
    // To nearest even, as narrow_float16 in half.h. Four halves are eight bytes, and no non-temporal vector
    // store takes eight.
    template <bool> static void store(Float16* p, Singles a) {
        const __m128i bits = _mm_castps_si128(a);
        const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7FFFFFFF));
        const __m128i last_bit = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
        const __m128i rebiased = _mm_sub_epi32(magnitude, _mm_set1_epi32((112 << 23) - 0xFFF));
        const __m128i normal = _mm_srli_epi32(_mm_add_epi32(rebiased, last_bit), 13);
        const __m128 sum = _mm_add_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0.5f));
        const __m128i denormal = _mm_sub_epi32(_mm_castps_si128(sum), _mm_castps_si128(_mm_set1_ps(0.5f)));
        const __m128i payload = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(0x3FF));
        const __m128i nan = _mm_or_si128(payload, _mm_set1_epi32(0x7E00));
        __m128i half = select(_mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x38800000)), denormal, normal);
        half = select(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477FEFFF)), _mm_set1_epi32(0x7C00), half);
        half = select(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7F800000)), nan, half);
        // The sign's copies fill the upper half, so the saturating pack changes nothing.
        const __m128i sign = _mm_slli_epi32(_mm_srai_epi32(bits, 31), 15);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(_mm_or_si128(half, sign), sign));
    }

    // BFloat16: a 32-bit lane holds two, of which the even one is widened by a shift and the odd one by a mask.
    struct Pairs {
        Singles even, odd;
    };
    using Halves = __m128i;

    template <bool> static Pairs load(const BFloat16* p) {
        const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return {_mm_castsi128_ps(_mm_slli_epi32(both, 16)), _mm_castsi128_ps(upper_half(both))};
    }
    static Pairs multiply(Pairs a, Singles b) { return {multiply(a.even, b), multiply(a.odd, b)}; }
    static Pairs add(Pairs a, Singles b) { return {add(a.even, b), add(a.odd, b)}; }
    static Pairs add(Pairs a, Pairs b) { return {add(a.even, b.even), add(a.odd, b.odd)}; }
    static Pairs multiply(Pairs a, Pairs b) { return {multiply(a.even, b.even), multiply(a.odd, b.odd)}; }
    static Pairs load_as(Pairs, const float* p) {
        const __m128 low = _mm_loadu_ps(p), high = _mm_loadu_ps(p + kSingles);
        return {_mm_shuffle_ps(low, high, 0x88), _mm_shuffle_ps(low, high, 0xDD)};
    }
    // To nearest even. (low + 0x7FFF + the last bit of high) carries into high; the average of 16-bit lanes is that
    // sum's upper half. A NaN that arithmetic gives is quiet, and its low half is 0, because it began as a half.
    static Halves narrow(Pairs a) {
        const __m128i even = _mm_castps_si128(a.even), odd = _mm_castps_si128(a.odd);
        const __m128i high = _mm_or_si128(_mm_srli_epi32(even, 16), upper_half(odd));
        const __m128i low =
            _mm_or_si128(_mm_andnot_si128(upper_half(_mm_set1_epi32(-1)), even), _mm_slli_epi32(odd, 16));
        const __m128i last_bit = _mm_and_si128(high, _mm_set1_epi16(1));
        const __m128i sum = _mm_avg_epu16(low, _mm_or_si128(last_bit, _mm_set1_epi16(0x7FFE)));
        return _mm_add_epi16(high, _mm_srli_epi16(sum, 15));
    }
    static Selector selector(Pairs, unsigned first_bit) {
        const __m128i lanes = _mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128);
        return _mm_sll_epi16(lanes, _mm_cvtsi32_si128(static_cast<int>(first_bit)));
    }
    static Bits load_bits(Pairs, const uint8_t* bytes) { return _mm_set1_epi16(read<short>(bytes)); }
    static Halves keep(Pairs a, Bits bits, Selector selector) {
        return _mm_and_si128(narrow(a), _mm_cmpeq_epi16(_mm_and_si128(bits, selector), selector));
    }
    static Halves choose(Pairs a, Pairs b, Bits bits, Selector selector) {
        const __m128i kept = _mm_cmpeq_epi16(_mm_and_si128(bits, selector), selector);
        return _mm_or_si128(_mm_and_si128(kept, narrow(a)), _mm_andnot_si128(kept, narrow(b)));
    }
    static Halves choose(Pairs a, Singles b, Bits bits, Selector selector) {
        return choose(a, Pairs{b, b}, bits, selector);
    }
    struct PairLanes {
        __m128 even, odd;
    };
    static PairLanes kept(Pairs, Bits bits, Selector selector) {
        const __m128i lanes = _mm_cmpeq_epi16(_mm_and_si128(bits, selector), selector);
        return {_mm_castsi128_ps(_mm_srai_epi32(_mm_slli_epi32(lanes, 16), 16)),
                _mm_castsi128_ps(_mm_srai_epi32(lanes, 16))};
    }
    static PairLanes active(Pairs a, PairLanes kept) { return {active(a.even, kept.even), active(a.odd, kept.odd)}; }
    static Pairs zero_unless(Pairs a, PairLanes lanes) {
        return {zero_unless(a.even, lanes.even), zero_unless(a.odd, lanes.odd)};
    }
    static uint32_t bits_of(PairLanes lanes) {
        const __m128i even = _mm_srli_epi32(_mm_castps_si128(lanes.even), 16);
        const __m128i halves = _mm_or_si128(even, upper_half(_mm_castps_si128(lanes.odd)));
        return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(halves, _mm_setzero_si128())));
    }
    template <bool non_temporal> static void store(BFloat16* p, Halves a) {
        __m128i* to = reinterpret_cast<__m128i*>(p);
        non_temporal ? _mm_stream_si128(to, a) : _mm_storeu_si128(to, a);
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

    static __m128i select(__m128i mask, __m128i a, __m128i b) {
        return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b));
    }

    static __m128i upper_half(__m128i a) { return _mm_and_si128(a, _mm_set1_epi32(static_cast<int>(0xFFFF0000))); }

    static __m128i kept_lanes(Bits bits, Selector selector) {
        return _mm_cmpeq_epi32(_mm_and_si128(bits, selector), selector);
    }
};

}  // namespace
}  // namespace bitdrop
