#include "noise_traversal.h"

#include <algorithm>

#include "block_reader.h"

namespace bitdrop {
namespace {

constexpr uint64_t kMinElementsPerThread = 8 * kBlockElements;

// A block of normal numbers, for BlockReader.
struct NoiseBlock {
    static constexpr uint64_t kElements = kNoiseBlockElements;

    const Kernels& kernels;
    const NoisePlan& plan;
    alignas(64) float normals[kElements] = {};

    void generate(uint64_t number) { kernels.generate_noise(plan, number, 1, normals); }

    void copy(uint64_t at, uint64_t stride, float* to, uint64_t to_index, uint64_t count) const {
        if (stride == 0) std::fill_n(to + to_index, count, normals[at]);
        if (stride == 1) std::copy_n(normals + at, count, to + to_index);
        if (stride > 1)
            for (uint64_t i = 0; i < count; ++i) to[to_index + i] = normals[at + i * stride];
    }
};

}  // namespace

NoiseTraversal::NoiseTraversal(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first)
    : Traversal(with, operands, 1, {kMinElementsPerThread}),
      plan_(plan),
      first_(first),
      dtype_(static_cast<int>(operands.dtype)),
      by_tiles_(layout_) {
    const bool follow = layout_.bits_follow || layout_.inner().bit_stride == 1;
    path_ = direct_ && follow && layout_.ndim == 1 ? &NoiseTraversal::multiply_contiguous
                                                   : &NoiseTraversal::multiply_blocks;
    if (by_tiles_.count == 0) return;
    path_ = &NoiseTraversal::multiply_tiles;
    tiles_ = by_tiles_.count;
}

void NoiseTraversal::apply_draws(void* normals, uint64_t first, const Span& span) const {
    with_.kernels->apply_normals[dtype_](static_cast<float*>(normals) + first, plan_.sigma, span);
}

void NoiseTraversal::multiply_contiguous(uint64_t first, uint64_t last) const {
    const Cursor cursor(layout_, operands_.data, first);
    const Span span = span_at(cursor.place, static_cast<int64_t>(last - first));
    with_.kernels->noise[dtype_](plan_, first_ + first, span);
}

// Any layout, a block of elements at a time: first their numbers, then the elements.
void NoiseTraversal::multiply_blocks(uint64_t first, uint64_t last) const {
    BlockReader<NoiseBlock> reader(NoiseBlock{*with_.kernels, plan_});
    const uint64_t stride = layout_.bits_follow ? 1 : static_cast<uint64_t>(layout_.inner().bit_stride);
    Cursor cursor(layout_, operands_.data, first);
    for (uint64_t start = first; start < last; start += kNoiseBlockElements) {
        const int64_t count = static_cast<int64_t>(std::min(kNoiseBlockElements, last - start));
        alignas(64) float normals[kNoiseBlockElements];
        Cursor draws = cursor;
        for_each_span(&draws, count, [&](int64_t done, int64_t length) {
            reader.read(first_ + draws.bit, stride, normals, static_cast<uint64_t>(done),
                        static_cast<uint64_t>(length));
        });
        do_block(&cursor, normals, count);
    }
}

// Numbers are generated in their order, and transposed; elements are read and written in that of memory.
void NoiseTraversal::multiply_tiles(uint64_t first, uint64_t last) const {
    TileNumbers numbers(*with_.kernels, plan_);
    for (uint64_t index = first; index < last; ++index) multiply_tile(by_tiles_.tile(index), &numbers);
}

void NoiseTraversal::multiply_tile(const NumberTiles::Tile& tile, TileNumbers* numbers) const {
    const Axis& axis = by_tiles_.rows;
    const Cursor corner(by_tiles_.outer, operands_.data, tile.outer);
    const auto number_of = [&](int64_t row) {
        return first_ + corner.bit + tile.first_column +
               static_cast<uint64_t>(tile.first_row + row) * static_cast<uint64_t>(axis.bit_stride);
    };
    const bool adjacent = by_tiles_.adjacent_rows;
    const int64_t columns = static_cast<int64_t>(tile.columns), room = numbers->room_for_rows(adjacent, columns);
    for (int64_t row = 0; row < tile.rows; row += room) {
        const int64_t rows = std::min(room, tile.rows - row);
        if (adjacent)
            numbers->generate(number_of(row), static_cast<uint64_t>(rows * columns));
        else
            numbers->begin_apart(number_of(row), static_cast<uint64_t>(axis.bit_stride), rows);
        multiply_rows(tile, row, rows, numbers);
    }
}

// Rows first ... first + count - 1 of a tile, the numbers of which were generated.
void NoiseTraversal::multiply_rows(const NumberTiles::Tile& tile, int64_t first, int64_t count,
                                   TileNumbers* numbers) const {
    const Axis& axis = by_tiles_.rows;
    const Cursor corner(by_tiles_.outer, operands_.data, tile.outer);
    const int64_t columns = static_cast<int64_t>(tile.columns);
    const int64_t panel_rows = std::clamp(count, TileNumbers::kMinPanelRows, TileNumbers::kMaxPanelRows);
    const int64_t panel_columns = std::min(columns, TileNumbers::kPanel / panel_rows);
    for (int64_t row = 0; row < count; row += panel_rows) {
        const int64_t rows = std::min(panel_rows, count - row), skipped = tile.first_row + first + row;
        if (by_tiles_.adjacent_rows) numbers->begin_adjacent(row, columns);
        char* places[kMaxOperands] = {corner.place[0] + skipped * axis.stride[0],
                                      corner.place[1] + skipped * axis.stride[1]};
        Cursor cursor(by_tiles_.columns, places, tile.first_column);
        for (int64_t done = 0; done < columns; done += panel_columns)
            multiply_panel(&cursor, numbers, rows, std::min(panel_columns, columns - done));
    }
}

// The next columns, and some rows of them.
void NoiseTraversal::multiply_panel(Cursor* cursor, TileNumbers* numbers, int64_t rows, int64_t columns) const {
    alignas(64) float normals[TileNumbers::kPanel];
    alignas(64) char elements[TileNumbers::kPanel * sizeof(double)];
    const Axis &row_axis = by_tiles_.rows, &column_axis = by_tiles_.columns.inner();
    const auto for_each_column = [&](Cursor* from, auto visit) {
        for_each_span(from, columns, [&](int64_t done, int64_t length) {
            for (int64_t c = 0; c < length; ++c) visit(elements + (done + c) * rows * size_, c);
        });
    };
    numbers->next(rows, columns, normals);
    Cursor reader = *cursor;
    for_each_column(&reader, [&](char* gathered, int64_t c) {
        gather_(gathered, reader.place[1] + c * column_axis.stride[1], row_axis.stride[1], rows);
    });
    char* const places[] = {elements, elements};
    Span span = span_at(places, rows * columns);
    span.non_temporal = false;
    apply_draws(normals, 0, span);
    for_each_column(cursor, [&](char* values, int64_t c) {
        scatter_(cursor->place[0] + c * column_axis.stride[0], row_axis.stride[0], values, rows);
    });
}

}  // namespace bitdrop
