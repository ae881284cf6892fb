// Generation of bits: words in, words out. Nothing here knows of floating-point types.
#include <cstring>

#include "kernel_table.h"

namespace bitdrop {
namespace {

using Words = Vec::Words;
constexpr int kGroup = Vec::kWords * Vec::kChains;  // lanes in flight at once
static_assert(kLanes % kGroup == 0, "groups must divide the lanes");

Words mix(Words z) {
    z = Vec::multiply(Vec::bit_xor(z, Vec::shift_right<30>(z)), Vec::broadcast(kMix1));
    z = Vec::multiply(Vec::bit_xor(z, Vec::shift_right<27>(z)), Vec::broadcast(kMix2));
    return Vec::bit_xor(z, Vec::shift_right<31>(z));
}

// The states of a block's generators.
struct alignas(64) Block {
    uint64_t s0[kLanes], s1[kLanes];

    // `Keys` is Plan or NoisePlan.
    template <class Keys> void seed(const Keys& plan, uint64_t block) {
        uint64_t steps0[kLanes], steps1[kLanes];  // constants: G * lane, so that G * counter is one addition
        for (uint64_t lane = 0; lane < kLanes; ++lane) {
            steps0[lane] = kGamma0 * lane;
            steps1[lane] = kGamma1 * lane;
        }
        const uint64_t counter = kLanes * block + 1;
        const Words base0 = Vec::broadcast(plan.key0 + kGamma0 * counter);
        const Words base1 = Vec::broadcast(plan.key1 + kGamma1 * counter);
        for (int lane = 0; lane < kLanes; lane += Vec::kWords) {
            Vec::store_words(s0 + lane, mix(Vec::add(base0, Vec::load_words(steps0 + lane))));
            Vec::store_words(s1 + lane, mix(Vec::add(base1, Vec::load_words(steps1 + lane))));
        }
    }
};

// xorshift128+ for a group of lanes, held in registers for a row.
struct Generators {
    Words s0[Vec::kChains], s1[Vec::kChains];

    void load(const Block& block, int lane) {
        for (int c = 0; c < Vec::kChains; ++c) {
            s0[c] = Vec::load_words(block.s0 + lane + c * Vec::kWords);
            s1[c] = Vec::load_words(block.s1 + lane + c * Vec::kWords);
        }
    }

    void store(Block* block, int lane) const {
        for (int c = 0; c < Vec::kChains; ++c) {
            Vec::store_words(block->s0 + lane + c * Vec::kWords, s0[c]);
            Vec::store_words(block->s1 + lane + c * Vec::kWords, s1[c]);
        }
    }

    Words draw(int c) {
        const Words y = s1[c];
        const Words drawn = Vec::add(s0[c], y);
        const Words x = Vec::bit_xor(s0[c], Vec::shift_left<23>(s0[c]));
        s0[c] = y;
        s1[c] = Vec::bit_xor(Vec::bit_xor(x, y, Vec::shift_right<18>(x)), Vec::shift_right<5>(y));
        return drawn;
    }
};

// Draws chosen by the caller, in place of Generators: the test seam.
struct GivenDraws {
    const uint64_t* draws;

    Words draw(int c) {
        const Words drawn = Vec::load_words(draws + c * Vec::kWords);
        if (c == Vec::kChains - 1) draws += kLanes;
        return drawn;
    }
};

// Bernoulli bits of a group of lanes. Writes keep and undecided words; returns whether any bit is undecided.
template <class Source>
bool slice_group(const Plan& plan, Source* source, uint64_t* keep, uint64_t* undecided) {
    Words u[Vec::kChains], still[Vec::kChains];  // `u` as in Plan
    for (int c = 0; c < Vec::kChains; ++c) {
        u[c] = Vec::broadcast(plan.first);
        still[c] = Vec::broadcast(~uint64_t{0});
    }
    for (int draw = 0; draw < plan.levels; ++draw) {
        const Words flip = Vec::broadcast(plan.flips[draw]);
        for (int c = 0; c < Vec::kChains; ++c) {
            const Words r = source->draw(c);
            u[c] = Vec::and_xor(u[c], r, flip);
            still[c] = Vec::bit_and(still[c], r);
        }
    }
    const Words none = Vec::broadcast(plan.ties ? ~uint64_t{0} : 0);
    Words any = Vec::broadcast(0);
    for (int c = 0; c < Vec::kChains; ++c) {
        still[c] = Vec::bit_and(still[c], none);
        any = Vec::bit_or(any, still[c]);
        Vec::store_words(keep + c * Vec::kWords, u[c]);
        Vec::store_words(undecided + c * Vec::kWords, still[c]);
    }
    return Vec::any(any);
}

void slice(const Plan& plan, const uint64_t* draws, uint64_t* keep, uint64_t* undecided) {
    for (int lane = 0; lane < kLanes; lane += kGroup) {
        GivenDraws given = {draws + lane};
        slice_group(plan, &given, keep + lane, undecided + lane);
    }
}

// A source of rows, in order, that generates their bits.
class GeneratedRows {
public:
    GeneratedRows(const Plan& plan, uint64_t first_row) : plan_(plan), row_(first_row) {
        if (!plan_.levels || row_ % kRowsPerBlock == 0) return;  // next() seeds
        block_.seed(plan_, row_ / kRowsPerBlock);
        uint64_t discarded[kLanes];
        row_ -= row_ % kRowsPerBlock;
        while (row_ < first_row) generate_row(discarded);
    }

    void next(uint64_t* words) {
        if (plan_.levels) {
            if (row_ % kRowsPerBlock == 0) block_.seed(plan_, row_ / kRowsPerBlock);
            generate_row(words);
        } else {
            for (int lane = 0; lane < kLanes; lane += Vec::kWords)
                Vec::store_words(words + lane, Vec::broadcast(plan_.constant));
        }
    }

private:
    void generate_row(uint64_t* words) {
        uint64_t undecided[kGroup];
        for (int lane = 0; lane < kLanes; lane += kGroup) {
            Generators generators;
            generators.load(block_, lane);
            const bool any = slice_group(plan_, &generators, words + lane, undecided);
            generators.store(&block_, lane);
            if (any)
                resolve_ties(plan_, row_ * kRowElements + 64 * static_cast<uint64_t>(lane), undecided, words + lane,
                             kGroup);
        }
        ++row_;
    }

    const Plan& plan_;
    uint64_t row_;
    Block block_;
};

void generate(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits) {
    GeneratedRows source(plan, first_row);
    for (uint64_t row = 0; row < rows; ++row) {
        uint64_t words[kLanes];
        source.next(words);
        std::memcpy(bits + row * kRowBytes, words, kRowBytes);
    }
}

// GeneratedRows that also packs the bits of `count` elements into `bits`, from bit 0.
class StoringRows {
public:
    StoringRows(const Plan& plan, uint64_t first_element, uint8_t* bits, uint64_t count)
        : rows_(plan, first_element / kRowElements), bits_(bits), left_(count) {}

    void next(uint64_t* words) {
        rows_.next(words);
        if (left_ >= kRowElements) {
            std::memcpy(bits_, words, kRowBytes);
            bits_ += kRowBytes;
            left_ -= kRowElements;
        } else {
            std::memcpy(bits_, words, (left_ + 7) / 8);
            if (left_ % 8) bits_[left_ / 8] = static_cast<uint8_t>(bits_[left_ / 8] & ((1u << (left_ % 8)) - 1));
        }
    }

private:
    GeneratedRows rows_;
    uint8_t* bits_;
    uint64_t left_;
};

// A source of rows that reads them from `bits`, of which `end` bits exist.
class StoredRows {
public:
    StoredRows(const uint8_t* bits, uint64_t first_row, uint64_t end)
        : bits_(bits + first_row * kRowBytes), left_((end + 7) / 8 - first_row * kRowBytes) {}

    void next(uint64_t* words) {
        if (left_ >= kRowBytes)  // of a constant size: a few moves instead of a call
            std::memcpy(words, bits_, kRowBytes);
        else
            std::memcpy(words, bits_, left_);
        bits_ += kRowBytes;
        left_ -= left_ < kRowBytes ? left_ : kRowBytes;
    }

private:
    const uint8_t* bits_;
    uint64_t left_;
};

}  // namespace
}  // namespace bitdrop
