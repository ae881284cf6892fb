#include "bit_order.h"

#include <algorithm>
#include <cstring>

#include "mask_bits.h"

namespace bitdrop {
namespace {

constexpr uint64_t kChunkBits = 16 * kBlockElements;
constexpr uint64_t kMinBitsPerThread = 8 * kChunkBits;  // below, waking a thread costs more than it saves
constexpr int64_t kWordBits = 64;

// `count` bits from bit `bit` on, zeros after them. No other byte is read.
uint64_t read_word(const uint8_t* from, uint64_t bit, int64_t count) {
    const uint8_t* byte = from + bit / 8;
    const unsigned shift = bit % 8;
    const uint64_t bytes = (shift + static_cast<uint64_t>(count) + 7) / 8;
    uint64_t word = 0;
    if (bytes >= sizeof word)
        word = load_word(byte) >> shift;
    else
        for (uint64_t i = 0; i < bytes; ++i) word |= uint64_t{byte[i]} << (8 * i) >> shift;
    if (bytes > sizeof word) word |= uint64_t{byte[8]} << (64 - shift);
    return count == kWordBits ? word : word & ((uint64_t{1} << count) - 1);
}

// Sets the ones of a word of `count` bits from bit `bit` on. No other byte is touched.
void set_ones(uint8_t* to, uint64_t bit, uint64_t word, int64_t count) {
    uint8_t* byte = to + bit / 8;
    const unsigned shift = bit % 8;
    const uint64_t bytes = (shift + static_cast<uint64_t>(count) + 7) / 8;
    if (bytes >= sizeof word)
        store_word(byte, load_word(byte) | word << shift);
    else
        for (uint64_t i = 0; i < bytes; ++i) byte[i] = static_cast<uint8_t>(byte[i] | word << shift >> (8 * i));
    if (bytes > sizeof word) byte[8] = static_cast<uint8_t>(byte[8] | word >> (64 - shift));
}

// Exchanges the squares of `side` x `side` bits beside the diagonal, in all squares of twice that side.
template <int side> void exchange_squares(uint64_t* words) {
    constexpr uint64_t kLow = ~uint64_t{0} / ((uint64_t{1} << side) + 1);  // `side` ones, `side` zeros, and so on
    for (int square = 0; square < kWordBits; square += 2 * side) {
        for (int i = square; i < square + side; ++i) {
            const uint64_t exchanged = (words[i] >> side ^ words[i + side]) & kLow;
            words[i] ^= exchanged << side;
            words[i + side] ^= exchanged;
        }
    }
}

// Transposes 64 words of 64 bits: Hacker's Delight, section 7-3.
void transpose(uint64_t* words) {
    exchange_squares<32>(words);
    exchange_squares<16>(words);
    exchange_squares<8>(words);
    exchange_squares<4>(words);
    exchange_squares<2>(words);
    exchange_squares<1>(words);
}

// Bits in rows and columns.
struct BitMatrix {
    const uint8_t* from;
    uint64_t from_bit;
    uint64_t column_stride;  // bits; those of a column are adjacent
    uint8_t* to;
    uint64_t to_bit;
    uint64_t row_stride;  // bits; those of a row become adjacent
};

// Up to 64 rows and columns, into bits that are zero.
void transpose_tile(const BitMatrix& matrix, int64_t rows, int64_t first_column, int64_t columns) {
    const uint64_t first = static_cast<uint64_t>(first_column);
    uint64_t words[kWordBits];
    for (int64_t c = 0; c < columns; ++c)
        words[c] =
            read_word(matrix.from, matrix.from_bit + (first + static_cast<uint64_t>(c)) * matrix.column_stride, rows);
    std::fill(words + columns, words + kWordBits, 0);
    transpose(words);
    for (int64_t r = 0; r < rows; ++r)
        set_ones(matrix.to, matrix.to_bit + static_cast<uint64_t>(r) * matrix.row_stride + first, words[r], columns);
}

// A copy of the bits of a layout. Its innermost axis is that of the columns. A row axis, along which bits are adjacent,
// divides the others: those up to it, and those after it.
class BitOrder {
public:
    BitOrder(const Layout& layout, int row_axis, const uint8_t* from, uint8_t* to)
        : from_(from), to_(to), size_(layout.size()) {
        for (int a = 0; a < layout.ndim; ++a) (a <= row_axis ? &outer_ : &inner_)->add_axis(layout.axis[a]);
        row_ = inner_.size();
        rows_ = size_ / row_;
        // Whole words of rows, so that no two chunks share a byte.
        rows_in_chunk_ = std::max<uint64_t>(kChunkBits / kWordBits / row_, 1) * kWordBits;
    }

    void run(Threads threads) {
        parallel_for((rows_ + rows_in_chunk_ - 1) / rows_in_chunk_,
                     choose_parallelism(size_, kMinBitsPerThread, threads), do_chunk, this);
    }

private:
    static void do_chunk(void* order, uint64_t chunk) {
        const BitOrder& self = *static_cast<const BitOrder*>(order);
        const uint64_t first = chunk * self.rows_in_chunk_, last = std::min(first + self.rows_in_chunk_, self.rows_);
        const uint64_t bit = first * self.row_, bits = (last - first) * self.row_;
        std::memset(self.to_ + bit / 8, 0, (bits + 7) / 8);
        Cursor cursor(self.outer_, nullptr, first);
        for (uint64_t row = first; row < last;) {
            const int64_t left = std::min(cursor.left, static_cast<int64_t>(last - row));
            const int64_t rows = std::min(left, kWordBits);
            self.copy_rows(cursor.bit, row * self.row_, rows);
            cursor.advance(rows);
            row += static_cast<uint64_t>(rows);
        }
    }

    void copy_rows(uint64_t from_bit, uint64_t to_bit, int64_t rows) const {
        const uint64_t stride = static_cast<uint64_t>(inner_.inner().bit_stride);
        Cursor cursor(inner_, nullptr, 0);
        for_each_span(&cursor, static_cast<int64_t>(row_), [&](int64_t done, int64_t length) {
            const BitMatrix matrix = {from_, from_bit + cursor.bit, stride, to_, to_bit + static_cast<uint64_t>(done),
                                      row_};
            for (int64_t c = 0; c < length; c += kWordBits)
                transpose_tile(matrix, rows, c, std::min(kWordBits, length - c));
        });
    }

    const uint8_t* const from_;
    uint8_t* const to_;
    const uint64_t size_;
    Layout outer_{0, false}, inner_{0, false};
    uint64_t row_, rows_, rows_in_chunk_;
};

constexpr int64_t kMinRows = 8;  // with fewer, a tile is mostly empty, and slower than bit by bit

// The innermost axis along which bits are adjacent, or -1. It is long, and not the innermost of all.
int row_axis_of(const Layout& layout) {
    if (layout.bits_follow || layout.inner().bit_stride <= 1) return -1;
    int a = layout.ndim - 2;
    while (a >= 0 && layout.axis[a].bit_stride != 1) --a;
    return a >= 0 && layout.axis[a].length >= kMinRows ? a : -1;
}

// The context of a chunk of bits that are copied span by span.
struct SpansTask {
    const Layout& axes;  // without operands
    uint64_t count;
    const uint8_t* from;
    uint8_t* to;
};

void copy_chunk_of_spans(void* context, uint64_t chunk) {
    const SpansTask& task = *static_cast<const SpansTask*>(context);
    const uint64_t start = chunk * kChunkBits, end = std::min(start + kChunkBits, task.count);
    Cursor cursor(task.axes, nullptr, start);
    gather_bits(&cursor, task.from, task.to + start / 8, end - start);
}

}  // namespace

bool is_transposed(const Layout& layout) { return row_axis_of(layout) >= 0; }

void order_bits(const Layout& layout, const uint8_t* bits, uint8_t* ordered, Threads threads) {
    const int row_axis = row_axis_of(layout);
    if (row_axis >= 0) return BitOrder(layout, row_axis, bits, ordered).run(threads);
    Layout axes(0, false);
    for (int a = 0; a < layout.ndim; ++a) axes.add_axis(layout.axis[a]);
    SpansTask task = {axes, axes.size(), bits, ordered};
    parallel_for((task.count + kChunkBits - 1) / kChunkBits, choose_parallelism(task.count, kMinBitsPerThread, threads),
                 copy_chunk_of_spans, &task);
}

void restore_bits(const Layout& layout, const uint8_t* ordered, uint8_t* bits, Threads threads) {
    struct Places {
        int64_t length, ordered_stride, bit_stride;
    } axes[kMaxNdim];
    int64_t stride = 1;
    for (int a = layout.ndim - 1; a >= 0; --a) {
        axes[a] = {layout.axis[a].length, stride, layout.axis[a].bit_stride};
        stride *= layout.axis[a].length;
    }
    std::sort(axes, axes + layout.ndim, [](const Places& a, const Places& b) { return a.bit_stride > b.bit_stride; });
    Layout reordered(0, false);
    for (int a = 0; a < layout.ndim; ++a) reordered.add_axis({axes[a].length, {}, axes[a].ordered_stride});
    order_bits(reordered, ordered, bits, threads);
}

}  // namespace bitdrop
