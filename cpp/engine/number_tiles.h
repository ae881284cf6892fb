// Normal numbers of arrays that are transposed against them: in memory, elements are adjacent along other axes than
// numbers.
#pragma once

#include <memory>

#include "layout.h"

namespace bitdrop {

// A layout in the order of its numbers, divided into tiles. Along the rows, elements are nearest in memory; numbers
// follow each other along the columns, which are all axes inside that of the rows.
struct NumberTiles {
    explicit NumberTiles(const Layout& layout);

    struct Tile {
        uint64_t outer;  // index of the first element along the outer axes
        int64_t first_row, rows;
        uint64_t first_column, columns;
    };
    Tile tile(uint64_t index) const;

    uint64_t count = 0;  // of tiles; none if the layout is not transposed
    Layout outer, columns;
    Axis rows;
    bool adjacent_rows = false;  // the numbers of a row follow those of the row before

private:
    int64_t rows_in_tile_ = 0;
    uint64_t row_length_ = 0, row_tiles_ = 0, column_tiles_ = 0;
};

// The numbers of a tile, taken in panels of some rows and columns. Each is generated once, but for those of blocks that
// a tile begins or ends in.
class TileNumbers {
public:
    static constexpr int64_t kMaxRows = 64;  // apart
    static constexpr int64_t kTile = kMaxRows * static_cast<int64_t>(kNoiseBlockElements);  // numbers of adjacent rows
    static constexpr int64_t kPanel = 1024;  // numbers
    static constexpr int64_t kMinPanelRows = 4;
    static constexpr int64_t kMaxPanelRows = 256;  // a kibibyte of adjacent float32

    TileNumbers(const Kernels& kernels, const NoisePlan& plan);

    // The most rows that fit: kMaxRows, or kTile numbers of adjacent rows, if there is memory.
    int64_t room_for_rows(bool adjacent, int64_t row_length) const;

    // For adjacent rows: generates all numbers of a tile.
    void generate(uint64_t first, uint64_t count);
    // For adjacent rows: goes to the first column of a row of the tile.
    void begin_adjacent(int64_t row, int64_t row_length);
    // For up to kRows rows of any length: goes to their first numbers.
    void begin_apart(uint64_t first, uint64_t row_stride, int64_t rows);

    // Copies the next columns to adjacent places, one after another.
    void next(int64_t rows, int64_t columns, float* to);

private:
    void load_blocks(int64_t rows, int64_t columns);

    // Each of the rows apart has the last numbers of the block before, and a block.
    static constexpr int64_t kBlock = static_cast<int64_t>(kNoiseBlockElements);
    static constexpr int64_t kBefore = kPanel / kMinPanelRows;  // the most columns of a panel
    static constexpr int64_t kApart = kBefore + kBlock + 16;  // the places of rows in a cache differ
    static constexpr int64_t kMinRows = 4;  // without memory for more

    const Kernels& kernels_;
    const NoisePlan& plan_;
    bool apart_ = false;
    int64_t offset_ = 0, row_stride_ = 0;  // of adjacent rows: of the first number, and from row to row
    int64_t at_[kMaxRows] = {};  // of rows apart: the next number of each
    uint64_t block_[kMaxRows] = {};  // the next one of each
    int64_t room_ = kMinRows;  // rows
    alignas(64) float few_[kMinRows * kApart];
    std::unique_ptr<float[]> memory_;
    float* z_ = few_;
};

}  // namespace bitdrop
