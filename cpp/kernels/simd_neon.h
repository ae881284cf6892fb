// Vector type for NEON on 64-bit Arm. There is no portable streaming store, so `streaming` stores are ordinary.
#pragma once

#include <arm_neon.h>

#include "../half.h"

namespace bitdrop {
namespace {

struct Vec {
    // Words: 64-bit lanes, for making bits.
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

    // Floats: 4 or 2 lanes, for applying them. Half types widen to Singles. Loads and stores go by bytes,
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
    template <bool> static Singles load(const BFloat16* p) {
        return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(load_half_bytes(p)), 16));
    }

    static Singles broadcast_scalar(float a) { return vdupq_n_f32(a); }
    static Doubles broadcast_scalar(double a) { return vdupq_n_f64(a); }
    static Singles add(Singles a, Singles b) { return vaddq_f32(a, b); }
    static Doubles add(Doubles a, Doubles b) { return vaddq_f64(a, b); }
    static Singles multiply(Singles a, Singles b) { return vmulq_f32(a, b); }
    static Doubles multiply(Doubles a, Doubles b) { return vmulq_f64(a, b); }

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
    static Bits broadcast_bits(uint32_t bits) { return vdupq_n_u32(bits); }
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

    template <bool> static void store(float* p, Singles a) { store_bytes(p, vreinterpretq_u8_f32(a)); }
    template <bool> static void store(double* p, Doubles a) { store_bytes(p, vreinterpretq_u8_f64(a)); }
    template <bool> static void store(Float16* p, Singles a) {
        vst1_u8(reinterpret_cast<uint8_t*>(p), vreinterpret_u8_f16(vcvt_f16_f32(a)));
    }
    template <bool> static void store(BFloat16* p, Singles a) {
        const uint32x4_t bits = vreinterpretq_u32_f32(a);
        const uint32x4_t last_bit = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
        const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), last_bit);
        const uint32x4_t number = vceqq_f32(a, a);
        const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
        const uint16x4_t halves = vshrn_n_u32(vbslq_u32(number, rounded, quiet), 16);
        vst1_u8(reinterpret_cast<uint8_t*>(p), vreinterpret_u8_u16(halves));
    }

    static void prefetch(const void*) {}
    static void fence() {}

private:
    static uint8x16_t load_bytes(const void* p) { return vld1q_u8(static_cast<const uint8_t*>(p)); }
    static uint8x8_t load_half_bytes(const void* p) { return vld1_u8(static_cast<const uint8_t*>(p)); }
    static void store_bytes(void* p, uint8x16_t a) { vst1q_u8(static_cast<uint8_t*>(p), a); }
};

}  // namespace
}  // namespace bitdrop
