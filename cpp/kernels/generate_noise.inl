// Generation of standard normal numbers: noise format 1. It follows generate.inl, whose generators it uses.
#include <cstring>

namespace bitdrop {
namespace {

using Singles = Vec::Singles;

template <size_t n> Singles polynomial(const float (&coefficients)[n], Singles x) {
    Singles sum = Vec::broadcast_scalar(coefficients[n - 1]);
    for (int k = static_cast<int>(n) - 2; k >= 0; --k)
        sum = Vec::add(Vec::multiply(sum, x), Vec::broadcast_scalar(coefficients[k]));
    return sum;
}

// With a last coefficient of 1.
template <size_t n> Singles monic_polynomial(const float (&coefficients)[n], Singles x) {
    Singles sum = Vec::add(x, Vec::broadcast_scalar(coefficients[n - 2]));
    for (int k = static_cast<int>(n) - 3; k >= 0; --k)
        sum = Vec::add(Vec::multiply(sum, x), Vec::broadcast_scalar(coefficients[k]));
    return sum;
}

// z of tail probabilities below kNoiseSplit.
BITDROP_NOINLINE Singles normals_of_tails(Singles q, Singles v) {
    const Singles u = Vec::square_root(Vec::square_root(v));
    return Vec::divide(Vec::multiply(q, polynomial(kNoiseA, u)), monic_polynomial(kNoiseB, u));
}

// normal_of() of both halves of each word. One element in 256 is in a tail, so most vectors have none.
BITDROP_INLINE Singles normals_of(Words words) {
    const Words odd = Vec::bit_or(words, Vec::broadcast(0x0000000100000001));
    const Singles unit = Vec::broadcast_scalar(0x1p-32f), split = Vec::broadcast_scalar(kNoiseSplit);
    const Singles q = Vec::multiply(Vec::convert_halves(odd), unit);
    const Singles t = Vec::multiply(Vec::convert_halves(Vec::tails_of_halves(odd)), unit);
    const Singles v = Vec::square_root(Vec::subtract(t, Vec::multiply(t, t)));
    const Singles product = Vec::multiply(Vec::multiply(q, q), polynomial(kNoiseP, v));
    const Singles quotient = Vec::divide(product, monic_polynomial(kNoiseQ, v));
    const Singles z = Vec::multiply(q, Vec::add(Vec::broadcast_scalar(kNoiseC), quotient));
    return Vec::any_less(t, split) ? Vec::choose_if_less(t, split, normals_of_tails(q, v), z) : z;
}

// A source of blocks of noise, in order: those of the elements first_element ... first_element + count - 1.
class GeneratedNoise {
public:
    GeneratedNoise(const NoisePlan& plan, uint64_t first_element, uint64_t count)
        : plan_(plan),
          block_(first_element / kNoiseBlockElements),
          left_(first_element % kNoiseBlockElements + count) {}

    // Writes the numbers of a block, at least as far as they are needed.
    void next(float* z) {
        constexpr uint64_t kDrawn = 2 * kLanes;  // elements of a draw
        const uint64_t draws = left_ < kNoiseBlockElements ? (left_ + kDrawn - 1) / kDrawn : kNoiseDraws;
        Block states;
        states.seed(plan_, block_++);
        for (int lane = 0; lane < kLanes; lane += kGroup) {
            Generators generators;
            generators.load(states, lane);
            for (uint64_t draw = 0; draw < draws; ++draw)
                for (int c = 0; c < Vec::kChains; ++c)
                    Vec::template store<false>(z + kDrawn * draw + 2 * (lane + c * Vec::kWords),
                                               normals_of(generators.draw(c)));
        }
        left_ -= left_ < kNoiseBlockElements ? left_ : kNoiseBlockElements;
    }

private:
    const NoisePlan& plan_;
    uint64_t block_, left_;
};

void generate_noise(const NoisePlan& plan, uint64_t first_block, uint64_t blocks, float* z) {
    GeneratedNoise source(plan, first_block * kNoiseBlockElements, blocks * kNoiseBlockElements);
    for (uint64_t block = 0; block < blocks; ++block) source.next(z + block * kNoiseBlockElements);
}

// A source of rows of normal numbers that copies them from `z`, of which `count` exist.
class StoredNormals {
public:
    StoredNormals(const float* z, uint64_t count) : z_(z), left_(count) {}

    void next(float* row) {
        const uint64_t taken = left_ < kRowElements ? left_ : kRowElements;
        std::memcpy(row, z_, taken * sizeof(float));
        z_ += taken;
        left_ -= taken;
    }

private:
    const float* z_;
    uint64_t left_;
};

}  // namespace
}  // namespace bitdrop
