// Packed bits: masks, parts of masks, copies.
#include "engine/mask_bits.h"

#include "fuzz.h"
#include "shapes.h"

using namespace bitdrop;

namespace {

void set_bit(uint8_t* bits, uint64_t at, bool value) {
    const unsigned bit = 1u << (at % 8);
    bits[at / 8] = static_cast<uint8_t>(value ? bits[at / 8] | bit : bits[at / 8] & ~bit);
}

// Single bits of a mask by the scalar kernel. The row of the last bit is cached.
class ScalarMask {
public:
    explicit ScalarMask(const Plan& plan) : plan_(plan) {}

    bool operator[](uint64_t element) {
        const uint64_t row = element / kRowElements;
        if (!made_ || row != row_) kScalarKernels.generate(plan_, row, 1, bits_);
        made_ = true;
        row_ = row;
        return packed_bit(bits_, element % kRowElements);
    }

private:
    const Plan& plan_;
    bool made_ = false;
    uint64_t row_ = 0;
    uint8_t bits_[kRowBytes];
};

// Sometimes longer than a chunk, and long enough for several threads.
uint64_t bits_count(Random* random) {
    if (random->one_in(1000)) return (1 << 20) + random->below(1000);
    if (random->one_in(100)) return (1 << 16) + random->below(1 << 17);
    return random->count();
}

// Part of a mask for make_part_bits(): its first index, and the strides of its elements.
struct Box {
    uint64_t first = 0;
    Shape lengths, strides;
};

// Any strides: repeated elements, or blocks far abox.
Box random_walk(Random* random, uint64_t most) {
    Box box;
    box.first = random->below(uint64_t{1} << 50);
    box.lengths = random_shape(random, most);
    for (size_t axis = 0; axis < box.lengths.size(); ++axis) {
        const uint64_t ends[] = {2, 9, 300, 2 * kBlockElements, uint64_t{1} << 40};
        box.strides.push_back(static_cast<int64_t>(random->below(random->any_of(ends))));
    }
    return box;
}

// A box within a larger array, like a shard; `nearly` all of it, or any.
Box box_within(Random* random, const Shape& whole, bool nearly) {
    Box box;
    box.first = random->index();
    box.strides = c_order(whole, 1);
    for (size_t axis = 0; axis < whole.size(); ++axis) {
        const uint64_t length = static_cast<uint64_t>(whole[axis]), most = nearly ? 2 : length;
        const uint64_t start = random->below(std::min(most, length) + 1), rest = length - start;
        box.lengths.push_back(static_cast<int64_t>(rest - random->below(std::min(most, rest) + 1)));
        box.first += start * static_cast<uint64_t>(box.strides[axis]);
    }
    return box;
}

Box random_box(Random* random) {
    // Enough for several threads.
    if (random->one_in(500)) return box_within(random, {1100, static_cast<int64_t>(random->between(1000, 1300))}, true);
    const uint64_t most = bits_count(random);
    if (random->one_in(3)) return random_walk(random, std::min<uint64_t>(most, 500));
    return box_within(random, random_shape(random, most + most / 2), random->one_in(2));
}

}  // namespace

void try_generate_bits(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Plan plan = random->plan();
    const uint64_t first = random->index(), count = bits_count(random);
    Guarded got = random->bytes((count + 7) / 8);
    const int threads = static_cast<int>(random->between(1, 8));
    generate_bits(kernels, plan, contiguous_box(first, count), got.data(), threads);
    std::vector<unsigned char> want(got.size() + 1);
    ScalarMask mask(plan);
    for (uint64_t i = 0; i < count; ++i) set_bit(want.data(), i, mask[first + i]);
    check_bytes(got, want.data(), "generate_bits", kernels);
}

void try_generate_box(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Plan plan = random->plan();
    const Box chosen = random_box(random);
    BitBox box;
    box.first = chosen.first;
    box.add_axis(1, 1);  // for a box without axes
    for (size_t axis = 0; axis < chosen.lengths.size(); ++axis)
        box.add_axis(chosen.lengths[axis], chosen.strides[axis]);
    Guarded got = random->bytes((size_of(chosen.lengths) + 7) / 8);
    generate_bits(kernels, plan, box, got.data(), static_cast<int>(random->between(1, 8)));

    std::vector<unsigned char> want(got.size() + 1);
    ScalarMask mask(plan);
    uint64_t i = 0;
    for_each_element(chosen.lengths, [&](const Shape& at) {
        set_bit(want.data(), i++, mask[chosen.first + static_cast<uint64_t>(place_of(at, chosen.strides))]);
    });
    check_bytes(got, want.data(), "generate_bits of a box", kernels);
}

void try_double_bits(Random* random) {
    const uint64_t count = random->count();
    Guarded from = random->bytes((count + 7) / 8), to = random->bytes((2 * count + 7) / 8);
    random->fill(from.data(), from.size());
    double_bits(to.data(), from.data(), count);
    for (uint64_t i = 0; i < 2 * count; ++i)
        CHECK_CASE(packed_bit(to.data(), i) == packed_bit(from.data(), i / 2), "double_bits", kScalarKernels);
    CHECK_CASE(from.intact() && to.intact(), "a guard", kScalarKernels);
}

void try_copy_bits(Random* random) {
    const uint64_t count = random->count(), from_bit = random->below(40), to_bit = random->below(40);
    Guarded from = random->bytes((from_bit + count + 7) / 8), to = random->bytes((to_bit + count + 7) / 8);
    random->fill(from.data(), from.size());
    random->fill(to.data(), to.size());
    std::vector<unsigned char> want(to.data(), to.data() + to.size());
    const bool fills = random->one_in(3), value = random->one_in(2);
    for (uint64_t i = 0; i < count; ++i)
        set_bit(want.data(), to_bit + i, fills ? value : packed_bit(from.data(), from_bit + i));
    if (fills)
        fill_bits(to.data(), to_bit, value, count);
    else
        copy_bits(to.data(), to_bit, from.data(), from_bit, count);
    check_bytes(to, want.data(), fills ? "fill_bits" : "copy_bits", kScalarKernels);
}
