#include "bits.h"

#include <algorithm>
#include <cstring>

namespace bitdrop {
namespace {

constexpr uint64_t kChunkBits = 16 * kBlockElements;  // what a thread takes at a time
constexpr uint64_t kBitsPerThread = 8 * kChunkBits;   // with less, waking a thread costs more than it does

uint64_t chunks_of(uint64_t count) { return (count + kChunkBits - 1) / kChunkBits; }

// Up to 8 bits from bit `bit` on; reads the next byte only where it holds some of them.
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

// Calls write(done, bits of a byte) for the first and last bytes, which may be shared, and middle(done, bytes) for
// the whole bytes between.
template <class Write, class Middle> void by_bytes(uint64_t to_bit, uint64_t count, Write write, Middle middle) {
    const uint64_t head = std::min<uint64_t>((8 - to_bit % 8) % 8, count);
    if (head) write(0, static_cast<unsigned>(head));
    const uint64_t whole = (count - head) / 8;
    if (whole) middle(head, whole);
    const uint64_t done = head + 8 * whole;
    if (done < count) write(done, static_cast<unsigned>(count - done));
}

struct BitsJob {
    const Kernels& kernels;
    const Plan& plan;
    uint64_t first, count;
    const Layout* part;
    uint8_t* bits;
};

void make_chunk(void* context, uint64_t chunk) {
    const BitsJob& job = *static_cast<const BitsJob*>(context);
    uint8_t made[kBlockBytes + kRowBytes];  // the rows that a block's worth of elements touches
    const uint64_t end = std::min((chunk + 1) * kChunkBits, job.count);
    for (uint64_t start = chunk * kChunkBits; start < end; start += kBlockElements) {
        const uint64_t element = job.first + start, count = std::min(kBlockElements, end - start);
        const uint64_t skip = element % kRowElements, rows = (skip + count + kRowElements - 1) / kRowElements;
        uint8_t* to = job.bits + start / 8;
        if (skip == 0 && count % kRowElements == 0) {
            job.kernels.make_rows(job.plan, element / kRowElements, rows, to);
        } else {
            job.kernels.make_rows(job.plan, element / kRowElements, rows, made);
            to[(count - 1) / 8] = 0;
            copy_bits(to, 0, made, skip, count);
        }
    }
}

// A block of a mask at hand, so that neighbouring runs do not make it again.
class BlockReader {
public:
    BlockReader(const Kernels& kernels, const Plan& plan) : kernels_(kernels), plan_(plan) {}

    // Bits of `count` elements, the first of which is `element`, each `step` after the one before.
    void read(uint64_t element, uint64_t step, uint8_t* to, uint64_t to_bit, uint64_t count) {
        while (count) {
            const uint8_t* block = block_of(element);
            const uint64_t at = element % kBlockElements, room = kBlockElements - at;
            uint64_t taken = count;
            if (step == 1) {
                taken = std::min(count, room);
                copy_bits(to, to_bit, block, at, taken);
            } else {
                if (step) taken = std::min(count, (room + step - 1) / step);
                for (uint64_t i = 0; i < taken; ++i) copy_bit(to, to_bit + i, block, at + i * step);
            }
            element += taken * step;
            to_bit += taken;
            count -= taken;
        }
    }

private:
    const uint8_t* block_of(uint64_t element) {
        const uint64_t block = element / kBlockElements;
        if (!any_ || block != made_) {
            kernels_.make_rows(plan_, block * kRowsPerBlock, kRowsPerBlock, bits_);
            made_ = block;
            any_ = true;
        }
        return bits_;
    }

    const Kernels& kernels_;
    const Plan& plan_;
    bool any_ = false;
    uint64_t made_ = 0;
    uint8_t bits_[kBlockBytes];
};

void make_part_chunk(void* context, uint64_t chunk) {
    const BitsJob& job = *static_cast<const BitsJob*>(context);
    const uint64_t start = chunk * kChunkBits, end = std::min(start + kChunkBits, job.count);
    const uint64_t step = static_cast<uint64_t>(job.part->axis[job.part->axes - 1].bit_step);
    std::memset(job.bits + start / 8, 0, (end - start + 7) / 8);
    BlockReader reader(job.kernels, job.plan);
    Cursor cursor(*job.part, nullptr, nullptr, start);
    for_each_run(&cursor, static_cast<int64_t>(end - start), [&](int64_t done, int64_t length) {
        reader.read(job.first + cursor.bit, step, job.bits, start + static_cast<uint64_t>(done),
                    static_cast<uint64_t>(length));
    });
}

}  // namespace

void copy_bit(uint8_t* to, uint64_t to_bit, const uint8_t* from, uint64_t from_bit) {
    write_bits(to, to_bit, packed_bit(from, from_bit), 1);
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

void fill_bits(uint8_t* to, uint64_t to_bit, bool value, uint64_t count) {
    by_bytes(
        to_bit, count,
        [&](uint64_t done, unsigned bits) { write_bits(to, to_bit + done, value ? (1u << bits) - 1 : 0, bits); },
        [&](uint64_t done, uint64_t bytes) { std::memset(to + (to_bit + done) / 8, value ? 0xFF : 0, bytes); });
}

void make_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits,
               Threads threads) {
    BitsJob job = {kernels, plan, first, count, nullptr, bits};
    run_chunks(chunks_of(count), sharing_of(count, kBitsPerThread, threads), make_chunk, &job);
}

void make_part_bits(const Kernels& kernels, const Plan& plan, uint64_t first, const Layout& part, uint8_t* bits,
                    Threads threads) {
    const uint64_t count = part.size();
    if (part.axes == 1 && part.axis[0].bit_step == 1) return make_bits(kernels, plan, first, count, bits, threads);
    BitsJob job = {kernels, plan, first, count, &part, bits};
    run_chunks(chunks_of(count), sharing_of(count, kBitsPerThread, threads), make_part_chunk, &job);
}

}  // namespace bitdrop
