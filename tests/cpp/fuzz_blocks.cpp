// Packed bits of block dropout.
#include "engine/block_bits.h"

#include <algorithm>

#include "engine/mask_bits.h"
#include "fuzz.h"

using namespace bitdrop;

namespace {

// Mostly small maps; sometimes enough elements for several chunks and threads.
Maps random_maps(Random* random) {
    const bool large = random->one_in(50), flat = random->one_in(2);
    Maps maps = {random->below(large ? 12 : 6), {1, 1, 1}, {1, 1, 1}};
    for (int axis = flat ? 1 : 0; axis < kMapNdim; ++axis) {
        maps.length[axis] = random->between(1, large ? (flat ? 300 : 60) : 20);
        maps.block[axis] = random->between(1, random->one_in(4) ? maps.length[axis] : (maps.length[axis] + 3) / 4);
    }
    return maps;
}

// Calls visit(place) for each place in a box of these lengths that begins at `start`, in C order.
template <class Visit> void for_each_place(const uint64_t* start, const uint64_t* length, Visit visit) {
    for (uint64_t z = 0; z < length[0]; ++z)
        for (uint64_t y = 0; y < length[1]; ++y)
            for (uint64_t x = 0; x < length[2]; ++x) {
                const uint64_t place[] = {start[0] + z, start[1] + y, start[2] + x};
                visit(place);
            }
}

}  // namespace

void try_generate_block_bits(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Plan plan = random->plan();
    const Maps maps = random_maps(random);
    Guarded got = random->bytes((maps.size() + 7) / 8);
    const uint64_t kept = generate_block_bits(kernels, plan, maps, got.data(), static_cast<int>(random->between(1, 8)));

    std::vector<uint8_t> seeds((maps.seeds() + 7) / 8 + 1), want(got.size() + 1);
    generate_bits(kScalarKernels, plan, contiguous_box(0, maps.seeds()), seeds.data(), 1);
    fill_bits(want.data(), 0, true, maps.size());
    const uint64_t origin[kMapNdim] = {}, places[] = {maps.places(0), maps.places(1), maps.places(2)};
    uint64_t seed = 0;
    for (uint64_t map = 0; map < maps.count; ++map) {
        for_each_place(origin, places, [&](const uint64_t* corner) {
            if (packed_bit(seeds.data(), seed++)) return;
            for_each_place(corner, maps.block, [&](const uint64_t* at) {
                const uint64_t row = (map * maps.length[0] + at[0]) * maps.length[1] + at[1];
                fill_bits(want.data(), row * maps.length[2] + at[2], false, 1);
            });
        });
    }
    uint64_t expected = 0;
    for (uint64_t i = 0; i < maps.size(); ++i) expected += packed_bit(want.data(), i);
    check_bytes(got, want.data(), "generate_block_bits", kernels);
    CHECK_CASE(kept == expected, "the number of kept elements", kernels);
}
