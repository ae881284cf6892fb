// Single draws of a mask or a noise.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bitdrop {

// Reads draws at any indices. It holds the block of the last one, so that neighbouring spans do not generate it again.
// `Block` has kElements, generate(number) and copy(at, stride, to, to_index, count).
template <class Block> class BlockReader {
public:
    explicit BlockReader(const Block& block) : block_(block) {}

    // Writes `count` draws, `stride` apart, from index `first` on.
    template <class Draw> void read(uint64_t first, uint64_t stride, Draw* to, uint64_t to_index, uint64_t count) {
        while (count) {
            hold(first / Block::kElements);
            const uint64_t at = first % Block::kElements, room = Block::kElements - at;
            const uint64_t taken = stride ? std::min(count, (room - 1) / stride + 1) : count;
            block_.copy(at, stride, to, to_index, taken);
            first += taken * stride;
            to_index += taken;
            count -= taken;
        }
    }

private:
    void hold(uint64_t number) {
        if (any_ && number == number_) return;
        block_.generate(number);
        number_ = number;
        any_ = true;
    }

    Block block_;
    bool any_ = false;
    uint64_t number_ = 0;
};

}  // namespace bitdrop
