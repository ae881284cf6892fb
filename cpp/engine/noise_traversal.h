// The walk of a call that multiplies by noise: its draws are normal numbers.
#pragma once

#include "number_tiles.h"
#include "traversal.h"

namespace bitdrop {

class NoiseTraversal final : public Traversal {
public:
    NoiseTraversal(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first);

private:
    void do_range(uint64_t first, uint64_t last) const override { (this->*path_)(first, last); }
    void apply_draws(void* normals, uint64_t first, const Span& span) const override;

    // Paths: elements first ... last - 1.
    void multiply_contiguous(uint64_t first, uint64_t last) const;
    void multiply_blocks(uint64_t first, uint64_t last) const;
    // The same, of tiles.
    void multiply_tiles(uint64_t first, uint64_t last) const;

    void multiply_tile(const NumberTiles::Tile& tile, TileNumbers* numbers) const;
    void multiply_rows(const NumberTiles::Tile& tile, int64_t first, int64_t count, TileNumbers* numbers) const;
    void multiply_panel(Cursor* cursor, TileNumbers* numbers, int64_t rows, int64_t columns) const;

    using Path = void (NoiseTraversal::*)(uint64_t first, uint64_t last) const;

    const NoisePlan& plan_;
    const uint64_t first_;  // index of the first element's number
    const int dtype_;  // of the kernel table
    const NumberTiles by_tiles_;
    Path path_;
};

}  // namespace bitdrop
