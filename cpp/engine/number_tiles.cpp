#include "number_tiles.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace bitdrop {
namespace {

// Of rows apart: each begins within a block, the first numbers of which are generated in vain.
constexpr uint64_t kColumnsInTile = 16 * kNoiseBlockElements;
constexpr int64_t kMinRows = 4;  // with fewer, elements are not near each other

// Bytes between neighbouring elements of the output and the first input.
int64_t distance(const Axis& axis) { return std::abs(axis.stride[0]) + std::abs(axis.stride[1]); }

int row_axis_of(const Layout& layout) {
    int nearest = layout.ndim - 1;
    for (int a = nearest - 1; a >= 0; --a)
        if (distance(layout.axis[a]) < distance(layout.axis[nearest])) nearest = a;
    return nearest;
}

// Columns of four rows, `stride` numbers apart. Compilers make one store of each column.
void transpose_four(const float* a, const float* b, const float* c, const float* d, int64_t columns, float* to,
                    int64_t stride) {
    for (int64_t i = 0; i < columns; ++i) {
        const float column[] = {a[i], b[i], c[i], d[i]};
        std::memcpy(to + i * stride, column, sizeof column);
    }
}

}  // namespace

NumberTiles::NumberTiles(const Layout& layout) : outer(layout.operands, false), columns(layout.operands, false) {
    const int row_axis = row_axis_of(layout);
    if (row_axis == layout.ndim - 1 || layout.axis[row_axis].length < kMinRows) return;
    Axis one = {1, {}, 1};
    outer.add_axis(one);
    Layout numbers(0, false);  // of a row
    uint64_t in_order = layout.size();
    for (int a = 0; a < layout.ndim; ++a) {
        Axis axis = layout.axis[a];
        in_order /= static_cast<uint64_t>(axis.length);
        if (layout.bits_follow) axis.bit_stride = static_cast<int64_t>(in_order);
        if (a == row_axis) {
            rows = axis;
            row_length_ = in_order;
        } else if (a < row_axis) {
            outer.add_axis(axis);
        } else {
            columns.add_axis(axis);
            numbers.add_axis(axis);
        }
    }
    if (numbers.ndim > 1 || numbers.inner().bit_stride != 1) return;
    adjacent_rows = row_length_ < kNoiseBlockElements && rows.bit_stride == static_cast<int64_t>(row_length_);
    if (!adjacent_rows && row_length_ < kNoiseBlockElements) return;
    const int64_t whole = TileNumbers::kTile / static_cast<int64_t>(row_length_) / TileNumbers::kMaxRows;
    rows_in_tile_ = adjacent_rows ? whole * TileNumbers::kMaxRows : TileNumbers::kMaxRows;
    row_tiles_ = static_cast<uint64_t>((rows.length + rows_in_tile_ - 1) / rows_in_tile_);
    column_tiles_ = adjacent_rows ? 1 : (row_length_ + kColumnsInTile - 1) / kColumnsInTile;
    count = outer.size() * column_tiles_ * row_tiles_;
}

// Tiles that follow each other lie side by side in memory.
NumberTiles::Tile NumberTiles::tile(uint64_t index) const {
    Tile tile;
    tile.first_row = static_cast<int64_t>(index % row_tiles_) * rows_in_tile_;
    tile.rows = std::min(rows_in_tile_, rows.length - tile.first_row);
    index /= row_tiles_;
    tile.first_column = index % column_tiles_ * kColumnsInTile;
    tile.columns = std::min(row_length_ - tile.first_column, kColumnsInTile);
    tile.outer = index / column_tiles_;
    return tile;
}

TileNumbers::TileNumbers(const Kernels& kernels, const NoisePlan& plan)
    : kernels_(kernels), plan_(plan), memory_(new (std::nothrow) float[kMaxRows * kApart]) {
    if (!memory_) return;
    z_ = memory_.get();
    room_ = kMaxRows;
}

// Blocks that adjacent rows begin and end in need room too.
int64_t TileNumbers::room_for_rows(bool adjacent, int64_t row_length) const {
    return adjacent ? std::min(room_ * kApart - 2 * kBlock, kTile) / row_length : room_;
}

void TileNumbers::generate(uint64_t first, uint64_t count) {
    offset_ = static_cast<int64_t>(first % kNoiseBlockElements);
    const uint64_t blocks = (first % kNoiseBlockElements + count + kNoiseBlockElements - 1) / kNoiseBlockElements;
    kernels_.generate_noise(plan_, first / kNoiseBlockElements, blocks, z_);
}

void TileNumbers::begin_adjacent(int64_t row, int64_t row_length) {
    apart_ = false;
    row_stride_ = row_length;
    at_[0] = offset_ + row * row_length;
}

void TileNumbers::begin_apart(uint64_t first, uint64_t row_stride, int64_t rows) {
    apart_ = true;
    for (int64_t r = 0; r < rows; ++r) {
        const uint64_t number = first + static_cast<uint64_t>(r) * row_stride;
        block_[r] = number / kNoiseBlockElements;
        kernels_.generate_noise(plan_, block_[r]++, 1, z_ + r * kApart + kBefore);
        at_[r] = kBefore + static_cast<int64_t>(number % kNoiseBlockElements);
    }
}

// Rows that have fewer numbers left than columns get the next block, after those that are left.
void TileNumbers::load_blocks(int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        float* const row = z_ + r * kApart;
        const int64_t left = kBefore + kBlock - at_[r];
        if (left >= columns) continue;
        std::copy_n(row + at_[r], left, row + kBefore - left);
        kernels_.generate_noise(plan_, block_[r]++, 1, row + kBefore);
        at_[r] = kBefore - left;
    }
}

void TileNumbers::next(int64_t rows, int64_t columns, float* to) {
    if (apart_) load_blocks(rows, columns);
    const auto row = [&](int64_t r) { return apart_ ? z_ + r * kApart + at_[r] : z_ + at_[0] + r * row_stride_; };
    int64_t r = 0;
    for (; rows - r >= 4; r += 4) transpose_four(row(r), row(r + 1), row(r + 2), row(r + 3), columns, to + r, rows);
    for (; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) to[c * rows + r] = row(r)[c];
    for (r = 0; r < (apart_ ? rows : 1); ++r) at_[r] += columns;
}

}  // namespace bitdrop
