#include "mask_bits.h"

#include <algorithm>
#include <cstring>

#include "block_reader.h"

namespace bitdrop {
namespace {

constexpr uint64_t kChunkBits = 16 * kBlockElements;
constexpr uint64_t kMinBitsPerThread = 8 * kChunkBits;  // below, waking a thread costs more than it saves

uint64_t chunk_count(uint64_t bits) { return (bits + kChunkBits - 1) / kChunkBits; }

// Up to 8 bits from bit `bit` on. Reads the next byte only if it holds some of them.
unsigned read_bits(const uint8_t* from, uint64_t bit, unsigned count) {
    const uint8_t* byte = from + bit / 8;
    const unsigned shift = bit % 8;
    const unsigned both = shift + count > 8 ? byte[0] | (unsigned{byte[1]} << 8) : byte[0];
    return (both >> shift) & ((1u << count) - 1);
}

void write_bits(uint8_t* to, uint64_t bit, unsigned value, unsigned count) {  // within one byte
    const unsigned shift = bit % 8, mask = ((1u << count) - 1) << shift;
    to[bit / 8] = static_cast<uint8_t>((to[bit / 8] & ~mask) | (value << shift));
}

// Calls write(done, bits of a byte) for the first and last bytes, which other bits may share, and middle(done, bytes)
// for the whole bytes between.
template <class Write, class Middle> void by_bytes(uint64_t to_bit, uint64_t count, Write write, Middle middle) {
    const uint64_t head = std::min<uint64_t>((8 - to_bit % 8) % 8, count);
    if (head) write(0, static_cast<unsigned>(head));
    const uint64_t whole = (count - head) / 8;
    if (whole) middle(head, whole);
    const uint64_t done = head + 8 * whole;
    if (done < count) write(done, static_cast<unsigned>(count - done));
}

// The context of a chunk's task.
struct BitsTask {
    const Kernels& kernels;
    const Plan& plan;
    const BitBox& box;
    uint64_t count;
    uint8_t* bits;
};

// Of a contiguous box.
void generate_chunk(void* context, uint64_t chunk) {
    const BitsTask& task = *static_cast<const BitsTask*>(context);
    const uint64_t start = chunk * kChunkBits, end = std::min(start + kChunkBits, task.count);
    generate_bits(task.kernels, task.plan, task.box.first + start, end - start, task.bits + start / 8);
}

// A block of bits, for BlockReader.
struct MaskBlock {
    static constexpr uint64_t kElements = kBlockElements;

    const Kernels& kernels;
    const Plan& plan;
    uint8_t bits[kBlockBytes] = {};

    void generate(uint64_t number) { kernels.generate(plan, number * kRowsPerBlock, kRowsPerBlock, bits); }

    void copy(uint64_t at, uint64_t stride, uint8_t* to, uint64_t to_bit, uint64_t count) const {
        copy_strided_bits(to, to_bit, bits, at, stride, count);
    }
};

// Of any box.
void generate_scattered_chunk(void* context, uint64_t chunk) {
    const BitsTask& task = *static_cast<const BitsTask*>(context);
    const uint64_t start = chunk * kChunkBits, end = std::min(start + kChunkBits, task.count);
    const uint64_t stride = static_cast<uint64_t>(task.box.axes.inner().bit_stride);
    std::memset(task.bits + start / 8, 0, (end - start + 7) / 8);
    BlockReader<MaskBlock> reader(MaskBlock{task.kernels, task.plan});
    Cursor cursor(task.box.axes, nullptr, start);
    for_each_span(&cursor, static_cast<int64_t>(end - start), [&](int64_t done, int64_t length) {
        reader.read(task.box.first + cursor.bit, stride, task.bits, start + static_cast<uint64_t>(done),
                    static_cast<uint64_t>(length));
    });
}

}  // namespace

BitBox contiguous_box(uint64_t first, uint64_t count) {
    BitBox box;
    box.first = first;
    box.add_axis(static_cast<int64_t>(count), 1);
    return box;
}

void generate_bits(const Kernels& kernels, const Plan& plan, const BitBox& box, uint8_t* bits, Threads threads) {
    BitsTask task = {kernels, plan, box, box.size(), bits};
    const bool contiguous = box.axes.ndim == 1 && box.axes.inner().bit_stride == 1;
    parallel_for(chunk_count(task.count), choose_parallelism(task.count, kMinBitsPerThread, threads),
                 contiguous ? generate_chunk : generate_scattered_chunk, &task);
}

void copy_box(const BitBox& box, const uint8_t* from, uint8_t* to) {
    if (box.size() == 0) return;
    Cursor cursor(box.axes, nullptr, 0);
    cursor.bit += box.first;
    gather_bits(&cursor, from, to, box.size());
}

void generate_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits) {
    uint8_t rows_bits[kBlockBytes + kRowBytes];  // the rows that a block's worth of elements touches
    for (uint64_t start = 0; start < count; start += kBlockElements) {
        const uint64_t element = first + start, taken = std::min(kBlockElements, count - start);
        const uint64_t skip = element % kRowElements, rows = (skip + taken + kRowElements - 1) / kRowElements;
        uint8_t* to = bits + start / 8;
        if (skip == 0 && taken % kRowElements == 0) {
            kernels.generate(plan, element / kRowElements, rows, to);
        } else {
            kernels.generate(plan, element / kRowElements, rows, rows_bits);
            to[(taken - 1) / 8] = 0;
            copy_bits(to, 0, rows_bits, skip, taken);
        }
    }
}

void copy_bits(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit, uint64_t count) {
    by_bytes(
        to_bit, count,
        [&](uint64_t done, unsigned bits) {
            write_bits(to, to_bit + done, read_bits(from, from_bit + done, bits), bits);
        },
        [&](uint64_t done, uint64_t bytes) {
            uint8_t* out = to + (to_bit + done) / 8;
            if ((from_bit + done) % 8 == 0) {
                std::memcpy(out, from + (from_bit + done) / 8, bytes);
            } else {
                for (uint64_t i = 0; i < bytes; ++i)
                    out[i] = static_cast<uint8_t>(read_bits(from, from_bit + done + 8 * i, 8));
            }
        });
}

void copy_strided_bits(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit, uint64_t stride,
                       uint64_t count) {
    if (stride == 1) return copy_bits(to, to_bit, from, from_bit, count);
    if (stride == 0) return fill_bits(to, to_bit, packed_bit(from, from_bit), count);
    for (uint64_t i = 0; i < count; ++i) write_bits(to, to_bit + i, packed_bit(from, from_bit + i * stride), 1);
}

void gather_bits(Cursor* cursor, const uint8_t* from, uint8_t* to, uint64_t count) {
    const Layout& layout = cursor->layout();
    const uint64_t stride = static_cast<uint64_t>(layout.inner().bit_stride);
    std::memset(to, 0, (count + 7) / 8);
    for_each_span(cursor, static_cast<int64_t>(count), [&](int64_t done, int64_t length) {
        copy_strided_bits(to, static_cast<uint64_t>(done), from, cursor->bit, stride, static_cast<uint64_t>(length));
    });
}

void fill_bits(uint8_t* to, uint64_t to_bit, bool value, uint64_t count) {
    by_bytes(
        to_bit, count,
        [&](uint64_t done, unsigned bits) { write_bits(to, to_bit + done, value ? (1u << bits) - 1 : 0, bits); },
        [&](uint64_t done, uint64_t bytes) { std::memset(to + (to_bit + done) / 8, value ? 0xFF : 0, bytes); });
}

namespace {

// Bit i becomes bits 2 * i and 2 * i + 1.
uint64_t doubled(uint64_t bits) {
    bits = (bits | bits << 16) & 0x0000FFFF0000FFFF;
    bits = (bits | bits << 8) & 0x00FF00FF00FF00FF;
    bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0F;
    bits = (bits | bits << 2) & 0x3333333333333333;
    bits = (bits | bits << 1) & 0x5555555555555555;
    return bits * 3;
}

}  // namespace

void double_bits(uint8_t* to, const uint8_t* from, uint64_t count) {
    uint64_t done = 0;
    for (; count - done >= 32; done += 32) {
        const uint8_t* bytes = from + done / 8;
        uint64_t word = 0;
        for (int i = 0; i < 4; ++i) word |= uint64_t{bytes[i]} << (8 * i);
        store_word(to + done / 4, doubled(word));
    }
    for (; done < count; done += 4) {  // half a byte becomes one
        const unsigned half = from[done / 8] >> (done % 8) & 15;
        to[done / 4] = static_cast<uint8_t>(doubled(half));
    }
}

}  // namespace bitdrop
