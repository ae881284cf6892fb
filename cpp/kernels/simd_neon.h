// Vector type for NEON on 64-bit Arm. There is no portable non-temporal store, so all stores are ordinary.
#pragma once

#include <arm_neon.h>

#include "half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for generating bits.
    using Words = uint64x2_t;
    static constexpr int kWords = 2;
    static constexpr int kChains = 4;  // 32 registers hold the states of four vectors

    static Words load_words(const uint64_t* p) { return vld1q_u64(p); }
    static void store_words(uint64_t* p, Words a) { vst1q_u64(p, a); }
    static Words broadcast(uint64_t a) { return vdupq_n_u64(a); }
    static Words add(Words a, Words b) { return vaddq_u64(a, b); }
    static Words multiply(Words a, Words b) {  // from 32-bit products: there is no 64-bit multiplication
        const uint32x2_t a_low = vmovn_u64(a), b_low = vmovn_u64(b);
        const uint32x2_t a_high = vshrn_n_u64(a, 32), b_high = vshrn_n_u64(b, 32);
        const uint64x2_t cross = vmlal_u32(vmull_u32(a_high, b_low), a_low, b_high);
        return vmlal_u32(vshlq_n_u64(cross, 32), a_low, b_low);
    }
    static Words bit_and(Words a, Words b) { return vandq_u64(a, b); }
    static Words bit_or(Words a, Words b) { return vorrq_u64(a, b); }
    static Words bit_xor(Words a, Words b) { return veorq_u64(a, b); }
    static Words bit_xor(Words a, Words b, Words c) { return bit_xor(bit_xor(a, b), c); }
    static Words and_xor(Words a, Words b, Words c) { return bit_xor(bit_and(a, b), c); }
    template <int n> static Words shift_left(Words a) { return vshlq_n_u64(a, n); }
    template <int n> static Words shift_right(Words a) { return vshrq_n_u64(a, n); }
    static bool any(Words a) { return vmaxvq_u32(vreinterpretq_u32_u64(a)) != 0; }

    // Floats: 4 or 2 lanes, for applying bits. Half types widen to Singles. Loads and stores go by bytes,
    // because arrays need not be aligned.
    using Singles = float32x4_t;
    using Doubles = float64x2_t;
    static constexpr int kSingles = 4;
    static constexpr int kDoubles = 2;

    template <bool> static Singles load(const float* p) { return vreinterpretq_f32_u8(load_bytes(p)); }
    template <bool> static Doubles load(const double* p) { return vreinterpretq_f64_u8(load_bytes(p)); }
    template <bool> static Singles load(const Float16* p) {
        return vcvt_f32_f16(vreinterpret_f16_u8(load_half_bytes(p)));
    }

    static Singles broadcast_scalar(float a) { return vdupq_n_f32(a); }
    static Doubles broadcast_scalar(double a) { return vdupq_n_f64(a); }
    static Singles add(Singles a, Singles b) { return vaddq_f32(a, b); }
    static Doubles add(Doubles a, Doubles b) { return vaddq_f64(a, b); }
    static Singles multiply(Singles a, Singles b) { return vmulq_f32(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return vmulq_f64(a, b); }
    static Singles subtract(Singles a, Singles b) { return vsubq_f32(a, b); }
    static Singles divide(Singles a, Singles b) { return vdivq_f32(a, b); }
    static Singles square_root(Singles a) { return vsqrtq_f32(a); }

    // Of the signed integers in the halves of words, the lower half first.
    static Singles convert_halves(Words a) { return vcvtq_f32_s32(vreinterpretq_s32_u64(a)); }
    static Words tails_of_halves(Words a) {  // 2^31 - |a|
        const uint32x4_t magnitude = vreinterpretq_u32_s32(vabsq_s32(vreinterpretq_s32_u64(a)));
        return vreinterpretq_u64_u32(vsubq_u32(vdupq_n_u32(0x80000000), magnitude));
    }
    static bool any_less(Singles a, Singles b) { return vmaxvq_u32(vcltq_f32(a, b)) != 0; }
    static Singles choose_if_less(Singles a, Singles b, Singles then, Singles otherwise) {
        return vbslq_f32(vcltq_f32(a, b), then, otherwise);
    }

    // Floats, in the vector of another type's arithmetic.
    static Singles load_as(Singles, const float* p) { return vld1q_f32(p); }
    static Doubles load_as(Doubles, const float* p) { return vcvt_f64_f32(vld1_f32(p)); }

    // Selector: the bit of each lane within the 32 bits that begin at the unit's byte, in every half of a lane.
    using Selector = uint32x4_t;
    using Bits = uint32x4_t;
    static Selector selector(Singles, unsigned first_bit) {
        const uint32_t lanes[4] = {1, 2, 4, 8};
        return vshlq_u32(vld1q_u32(lanes), vdupq_n_s32(static_cast<int32_t>(first_bit)));
    }
    static Selector selector(Doubles, unsigned first_bit) {
        const uint32_t lanes[4] = {1, 1, 2, 2};
        return vshlq_u32(vld1q_u32(lanes), vdupq_n_s32(static_cast<int32_t>(first_bit)));
    }
    static Bits load_bits(Singles, const uint8_t* bytes) { return vdupq_n_u32(read<uint32_t>(bytes)); }
    static Bits load_bits(Doubles, const uint8_t* bytes) { return vdupq_n_u32(read<uint32_t>(bytes)); }
    static Singles keep(Singles a, Bits bits, Selector selector) {
        return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vtstq_u32(bits, selector)));
    }
    static Doubles keep(Doubles a, Bits bits, Selector selector) {
        return vreinterpretq_f64_u32(vandq_u32(vreinterpretq_u32_f64(a), vtstq_u32(bits, selector)));
    }
    // The bits' choice: a where 1, b where 0.
    static Singles choose(Singles a, Singles b, Bits bits, Selector selector) {
        return vbslq_f32(vtstq_u32(bits, selector), a, b);
    }
    static Doubles choose(Doubles a, Doubles b, Bits bits, Selector selector) {
        return vbslq_f64(vreinterpretq_u64_u32(vtstq_u32(bits, selector)), a, b);
    }

    // The lanes that are kept, and of those the ones that are active: above 0, or NaN.
    static uint32x4_t kept(Singles, Bits bits, Selector selector) { return vtstq_u32(bits, selector); }
    static uint64x2_t kept(Doubles, Bits bits, Selector selector) {
        return vreinterpretq_u64_u32(vtstq_u32(bits, selector));
    }
    static uint32x4_t active(Singles a, uint32x4_t kept) { return vbicq_u32(kept, vclezq_f32(a)); }
    static uint64x2_t active(Doubles a, uint64x2_t kept) { return vbicq_u64(kept, vclezq_f64(a)); }
    static Singles zero_unless(Singles a, uint32x4_t lanes) {
        return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), lanes));
    }
    static Doubles zero_unless(Doubles a, uint64x2_t lanes) {
        return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), lanes));
    }
    static uint32_t bits_of(uint32x4_t lanes) {
        const uint32_t places[4] = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(lanes, vld1q_u32(places)));
    }
    static uint32_t bits_of(uint64x2_t lanes) {
        const uint64_t places[2] = {1, 2};
        return static_cast<uint32_t>(vaddvq_u64(vandq_u64(lanes, vld1q_u64(places))));
    }

    template <bool> static void store(float* p, Singles a) { store_bytes(p, vreinterpretq_u8_f32(a)); }
    template <bool> static void store(double* p, Doubles a) { store_bytes(p, vreinterpretq_u8_f64(a)); }
    template <bool> static void store(Float16* p, Singles a) {
        vst1_u8(reinterpret_cast<uint8_t*>(p), vreinterpret_u8_f16(vcvt_f16_f32(a)));
    }

    // BFloat16: a 32-bit lane holds two, of which the even one is widened by a shift and the odd one by a mask.
    struct Pairs {
        Singles even, odd;
    };
    using Halves = uint16x8_t;

    template <bool> static Pairs load(const BFloat16* p) {
        const uint32x4_t both = vreinterpretq_u32_u8(load_bytes(p));
        const uint32x4_t odd = vandq_u32(both, vdupq_n_u32(0xFFFF0000));
        return {vreinterpretq_f32_u32(vshlq_n_u32(both, 16)), vreinterpretq_f32_u32(odd)};
    }
    static Pairs multiply(Pairs a, Singles b) { return {multiply(a.even, b), multiply(a.odd, b)}; }
    static Pairs add(Pairs a, Singles b) { return {add(a.even, b), add(a.odd, b)}; }
    static Pairs add(Pairs a, Pairs b) { return {add(a.even, b.even), add(a.odd, b.odd)}; }
    static Pairs multiply(Pairs a, Pairs b) { return {multiply(a.even, b.even), multiply(a.odd, b.odd)}; }
    static Pairs load_as(Pairs, const float* p) {
        const float32x4x2_t pairs = vld2q_f32(p);
        return {pairs.val[0], pairs.val[1]};
    }
    // To nearest even. (low + 0x7FFF + the last bit of high) carries into high; the average of 16-bit lanes is that
    // sum's upper half. A NaN that arithmetic gives is quiet, and its low half is 0, because it began as a half.
    static Halves narrow(Pairs a) {
        const uint32x4_t even = vreinterpretq_u32_f32(a.even), odd = vreinterpretq_u32_f32(a.odd);
        const uint16x8_t high = vreinterpretq_u16_u32(vsriq_n_u32(odd, even, 16));
        const uint16x8_t low = vreinterpretq_u16_u32(vsliq_n_u32(even, odd, 16));
        const uint16x8_t last_bit = vandq_u16(high, vdupq_n_u16(1));
        const uint16x8_t sum = vrhaddq_u16(low, vorrq_u16(last_bit, vdupq_n_u16(0x7FFE)));
        return vaddq_u16(high, vshrq_n_u16(sum, 15));
    }
    static Selector selector(Pairs, unsigned first_bit) {
        const uint16_t lanes[8] = {1, 2, 4, 8, 16, 32, 64, 128};
        return vreinterpretq_u32_u16(vshlq_u16(vld1q_u16(lanes), vdupq_n_s16(static_cast<int16_t>(first_bit))));
    }
    static Bits load_bits(Pairs, const uint8_t* bytes) {
        return vreinterpretq_u32_u16(vdupq_n_u16(read<uint16_t>(bytes)));
    }
    static Halves keep(Pairs a, Bits bits, Selector selector) {
        return vandq_u16(narrow(a), kept_halves(bits, selector));
    }
    static Halves choose(Pairs a, Pairs b, Bits bits, Selector selector) {
        return vbslq_u16(kept_halves(bits, selector), narrow(a), narrow(b));
    }
    static Halves choose(Pairs a, Singles b, Bits bits, Selector selector) {
        return choose(a, Pairs{b, b}, bits, selector);
    }
    struct PairLanes {
        uint32x4_t even, odd;
    };
    static PairLanes kept(Pairs, Bits bits, Selector selector) {
        const int32x4_t lanes = vreinterpretq_s32_u16(kept_halves(bits, selector));
        return {vreinterpretq_u32_s32(vshrq_n_s32(vshlq_n_s32(lanes, 16), 16)),
                vreinterpretq_u32_s32(vshrq_n_s32(lanes, 16))};
    }
    static PairLanes active(Pairs a, PairLanes kept) { return {active(a.even, kept.even), active(a.odd, kept.odd)}; }
    static Pairs zero_unless(Pairs a, PairLanes lanes) {
        return {zero_unless(a.even, lanes.even), zero_unless(a.odd, lanes.odd)};
    }
    static uint32_t bits_of(PairLanes lanes) {
        const uint16_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
        const uint16x8_t halves = vreinterpretq_u16_u32(vsliq_n_u32(lanes.even, lanes.odd, 16));
        return vaddvq_u16(vandq_u16(halves, vld1q_u16(places)));
    }
    template <bool> static void store(BFloat16* p, Halves a) { store_bytes(p, vreinterpretq_u8_u16(a)); }

    static void store_past_caches(float* p, float a) { *p = a; }
    static void store_past_caches(double* p, double a) { *p = a; }
    static void prefetch(const void*) {}
    static void fence() {}

private:
    template <class T> static T read(const uint8_t* bytes) {
        T value;
        std::memcpy(&value, bytes, sizeof value);
        return value;
    }

    static uint16x8_t kept_halves(Bits bits, Selector selector) {
        return vtstq_u16(vreinterpretq_u16_u32(bits), vreinterpretq_u16_u32(selector));
    }

    static uint8x16_t load_bytes(const void* p) { return vld1q_u8(static_cast<const uint8_t*>(p)); }
    static uint8x8_t load_half_bytes(const void* p) { return vld1_u8(static_cast<const uint8_t*>(p)); }
    static void store_bytes(void* p, uint8x16_t a) { vst1q_u8(static_cast<uint8_t*>(p), a); }
};

}  // namespace
}  // namespace bitdrop
