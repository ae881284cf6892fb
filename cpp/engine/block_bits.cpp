#include "block_bits.h"

#include <algorithm>
#include <atomic>
#include <bitset>
#include <cstring>

#include "mask_bits.h"

namespace bitdrop {
namespace {

constexpr uint64_t kMinElementsPerThread = 32 * kBlockElements;  // below, waking a thread costs more than it saves
// The bits of a chunk stay in the first-level cache while they are filled, cleared and counted.
constexpr uint64_t kMinChunk = 16 * kBlockElements;
// Seeds before a chunk whose blocks reach into it are generated twice. A chunk is this many times longer.
constexpr uint64_t kMinChunkReaches = 8;

// A run of this length lies within a word that begins at any of its bytes.
constexpr uint64_t kMaxWordRun = 57;

void clear_word(uint8_t* bytes, uint64_t first, uint64_t count) {
    store_word(bytes, load_word(bytes) & ~(((uint64_t{1} << count) - 1) << first));
}

// Calls visit(seed) for the dropped seeds among first ... last - 1.
template <class Visit>
void for_each_dropped_seed(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t last, Visit visit) {
    uint8_t seeds[kBlockBytes];
    while (first < last) {
        const uint64_t count = std::min(kBlockElements - first % kBlockElements, last - first);
        generate_bits(kernels, plan, first, count, seeds);
        for (uint64_t at = 0; at < count; at += 64) {
            const uint64_t valid = count - at < 64 ? (uint64_t{1} << (count - at)) - 1 : ~uint64_t{0};
            for (uint64_t dropped = ~load_word(seeds + at / 8) & valid; dropped; dropped &= dropped - 1)
                visit(first + at + static_cast<uint64_t>(trailing_zeros(dropped)));
        }
        first += count;
    }
}

uint64_t count_ones(const uint8_t* bytes, uint64_t count) {
    uint64_t ones = 0;
    for (; count >= 8; count -= 8, bytes += 8) ones += std::bitset<64>(load_word(bytes)).count();
    for (; count; --count) ones += std::bitset<8>(*bytes++).count();
    return ones;
}

class BlockBits {
public:
    BlockBits(const Kernels& kernels, const Plan& plan, const Maps& maps, uint8_t* bits)
        : kernels_(kernels), plan_(plan), maps_(maps), bits_(bits), size_(maps.size()), reach_(maps.reach()) {
        const uint64_t least = kMinChunkReaches * reach_ / kBlockElements * kBlockElements;
        chunk_size_ = std::max(kMinChunk, least);
    }

    uint64_t run(Threads threads) {
        parallel_for((size_ + chunk_size_ - 1) / chunk_size_, choose_parallelism(size_, kMinElementsPerThread, threads),
                     do_chunk, this);
        return kept_;
    }

private:
    static void do_chunk(void* block_bits, uint64_t chunk) {
        BlockBits& self = *static_cast<BlockBits*>(block_bits);
        const uint64_t first = chunk * self.chunk_size_, last = std::min(first + self.chunk_size_, self.size_);
        if (self.reach_ == 0) {  // the blocks are single elements
            generate_bits(self.kernels_, self.plan_, first, last - first, self.bits_ + first / 8);
        } else {
            self.grow_blocks(first, last);
        }
        self.kept_ += count_ones(self.bits_ + first / 8, (last - first + 7) / 8);
    }

    // Elements first ... last - 1: all are kept, but for the blocks that meet them.
    void grow_blocks(uint64_t first, uint64_t last) {
        std::memset(bits_ + first / 8, 0, (last - first + 7) / 8);
        fill_bits(bits_, first, true, last - first);
        const uint64_t begin = first_seed_from(first > reach_ ? first - reach_ : 0), end = first_seed_from(last);
        for_each_dropped_seed(kernels_, plan_, begin, end, [&](uint64_t seed) { drop_block(seed, first, last); });
    }

    // Clears the part of a seed's block that lies among the elements first ... last - 1.
    void drop_block(uint64_t seed, uint64_t first, uint64_t last) {
        const uint64_t corner = element_of(seed);
        for (uint64_t z = 0; z < maps_.block[0]; ++z) {
            for (uint64_t y = 0; y < maps_.block[1]; ++y) {
                const uint64_t row = corner + (z * maps_.length[1] + y) * maps_.length[2];
                const uint64_t from = std::max(row, first), to = std::min(row + maps_.block[2], last);
                if (from >= to) continue;
                if (to - from <= kMaxWordRun && from / 8 + sizeof(uint64_t) <= last / 8)
                    clear_word(bits_ + from / 8, from % 8, to - from);
                else
                    fill_bits(bits_, from, false, to - from);
            }
        }
    }

    // The first element of a seed's block.
    uint64_t element_of(uint64_t seed) const {
        uint64_t element = 0, stride = 1;
        for (int axis = kMapNdim - 1; axis >= 0; --axis) {
            element += seed % maps_.places(axis) * stride;
            seed /= maps_.places(axis);
            stride *= maps_.length[axis];
        }
        return element + seed * stride;
    }

    // The first seed whose block does not begin before an element. Seeds and first elements are in the same order.
    uint64_t first_seed_from(uint64_t element) const {
        uint64_t at[kMapNdim];
        for (int axis = kMapNdim - 1; axis >= 0; --axis) {
            at[axis] = element % maps_.length[axis];
            element /= maps_.length[axis];
        }
        uint64_t seed = element;  // the map
        bool past = false;  // no block begins here along an outer axis: the next place is the first that follows
        for (int axis = 0; axis < kMapNdim; ++axis) {
            const uint64_t places = maps_.places(axis);
            seed = seed * places + (past ? 0 : std::min(at[axis], places));
            past = past || at[axis] >= places;
        }
        return seed;
    }

    const Kernels& kernels_;
    const Plan& plan_;
    const Maps& maps_;
    uint8_t* const bits_;
    const uint64_t size_, reach_;
    uint64_t chunk_size_;
    std::atomic<uint64_t> kept_{0};
};

}  // namespace

uint64_t generate_block_bits(const Kernels& kernels, const Plan& plan, const Maps& maps, uint8_t* bits,
                             Threads threads) {
    return BlockBits(kernels, plan, maps, bits).run(threads);
}

}  // namespace bitdrop
