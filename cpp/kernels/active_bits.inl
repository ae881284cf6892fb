// Bits of elements that are kept and active, as an operation with an activation finds them.
#pragma once

#include <cstring>

#include "kernel_table.h"

namespace bitdrop {
namespace {

// Stores bits in the order of the elements, from bit 0 of `bits` on. They come in portions of any length, each packed
// from bit 0, because vectors are aligned to the output and not to bytes of bits.
class ActiveBits {
public:
    ActiveBits(uint8_t* bits, uint64_t end) : bits_(bits), end_(end) {}

    // Memory for the next portion.
    uint8_t* portion() { return reinterpret_cast<uint8_t*>(words_ + 1); }

    // Takes `count` bits of the portion. Whole words are written, but none beyond the row of the last bit: the source
    // of rows may be the same memory.
    void append(uint64_t count) {
        if (!bits_) return;
        const unsigned shift = done_ % 64;
        uint64_t shifted[kWords];
        for (int w = 0; w < kWords; ++w) shifted[w] = words_[w + 1] << shift | words_[w] >> 1 >> (63 - shift);
        const uint64_t first_byte = done_ / 64 * 8, bytes = (shift + count + 63) / 64 * 8;
        const uint64_t room = (end_ + 7) / 8 - first_byte;
        std::memcpy(bits_ + first_byte, shifted, bytes < room ? bytes : room);
        words_[0] = words_[count / 64 + 1] << 1 << (63 - count % 64) | words_[count / 64] >> count % 64;
        done_ += count;
        if (done_ == end_ && end_ % 8) bits_[end_ / 8] = static_cast<uint8_t>(bits_[end_ / 8] & ((1u << end_ % 8) - 1));
    }

private:
    static constexpr int kWords = kLanes + 2;  // a row, what waited for it, and a shift

    uint8_t* const bits_;
    const uint64_t end_;
    uint64_t done_ = 0;
    uint64_t words_[kWords + 1] = {};  // the last 64 bits before the portion, then the portion
};

// In place of ActiveBits, for operations without an activation.
struct NoActiveBits {
    NoActiveBits(uint8_t*, uint64_t) {}
    uint8_t* portion() { return nullptr; }
    void append(uint64_t) {}
};

template <bool condition, class A, class B> struct ChooseType {
    using Type = A;
};
template <class A, class B> struct ChooseType<false, A, B> {
    using Type = B;
};
template <bool condition, class A, class B> using Choose = typename ChooseType<condition, A, B>::Type;

}  // namespace
}  // namespace bitdrop
