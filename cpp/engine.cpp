#include "engine.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "float_mode.h"
#include "machine.h"
#include "thread_pool.h"

namespace bitdrop {
namespace {

constexpr uint64_t kChunkBlocks = 16;  // what a thread takes at a time: 64 Ki elements
constexpr uint64_t kChunkElements = kChunkBlocks * kBlockElements;
// Waking a worker costs microseconds: with less work than this for each thread, fewer threads are used.
constexpr uint64_t kElementsPerThread = 2 * kChunkElements;
// Runs of so many elements are worked on where they lie; shorter ones are gathered first.
constexpr int64_t kDirectRun = 64;

std::atomic<uint64_t> streaming_bytes{default_streaming_threshold()};
std::atomic<int> thread_limit{1};

uint64_t item_size(DType dtype) {
    switch (dtype) {
        case DType::float16:
        case DType::bfloat16: return 2;
        case DType::float32: return 4;
        case DType::float64: break;
    }
    return 8;
}

// A place in the arrays: `left` more elements lie in the same innermost run.
class Cursor {
public:
    Cursor(const Job& job, uint64_t element) : layout_(job.layout) {
        src = static_cast<const char*>(job.src);
        dst = static_cast<char*>(job.dst);
        for (int axis = layout_.axes - 1; axis >= 0; --axis) {
            const int64_t length = layout_.length[axis];
            at_[axis] = static_cast<int64_t>(element % static_cast<uint64_t>(length));
            element /= static_cast<uint64_t>(length);
            move(axis, at_[axis]);
        }
        left = layout_.length[layout_.axes - 1] - at_[layout_.axes - 1];
    }

    void advance(int64_t count) {  // at most `left`
        int axis = layout_.axes - 1;
        move(axis, count);
        at_[axis] += count;
        left -= count;
        if (left) return;
        while (axis > 0 && at_[axis] == layout_.length[axis]) {
            move(axis, -at_[axis]);
            at_[axis] = 0;
            --axis;
            move(axis, 1);
            ++at_[axis];
        }
        left = layout_.length[layout_.axes - 1];
    }

    const char* src;
    char* dst;
    int64_t left;

private:
    void move(int axis, int64_t count) {
        src += count * layout_.src_step[axis];
        dst += count * layout_.dst_step[axis];
    }

    const Layout& layout_;
    int64_t at_[kMaxAxes];
};

template <class T> void copy_elements(char* to, int64_t to_step, const char* from, int64_t from_step, int64_t count) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, sizeof(T));
}

void copy_elements(uint64_t size, char* to, int64_t to_step, const char* from, int64_t from_step, int64_t count) {
    if (size == 2) return copy_elements<uint16_t>(to, to_step, from, from_step, count);
    if (size == 4) return copy_elements<uint32_t>(to, to_step, from, from_step, count);
    copy_elements<uint64_t>(to, to_step, from, from_step, count);
}

// Whether the whole array is one run of adjacent elements in both memories.
bool is_one_run(const Job& job) {
    const int64_t size = static_cast<int64_t>(item_size(job.dtype));
    const Layout& layout = job.layout;
    return layout.axes == 1 && layout.src_step[0] == size && layout.dst_step[0] == size;
}

class Worker {
public:
    explicit Worker(const Job& job)
        : job_(job), size_(item_size(job.dtype)), count_(job.layout.size()), one_run_(is_one_run(job)) {
        streaming_ = one_run_ && job.src != job.dst && count_ * size_ >= streaming_threshold();
    }

    uint64_t chunks() const { return (count_ + kChunkElements - 1) / kChunkElements; }

    static void work(void* worker, uint64_t chunk) {
        const Worker& self = *static_cast<const Worker*>(worker);
        const uint64_t first = chunk * kChunkElements;
        const uint64_t last = std::min(first + kChunkElements, self.count_);
        if (self.one_run_)
            self.do_run(first, last);
        else
            self.do_blocks(first, last);
    }

private:
    void do_run(uint64_t first, uint64_t last) const {
        Run run = {static_cast<char*>(job_.dst) + first * size_,
                   static_cast<const char*>(job_.src) + first * size_,
                   last - first,
                   first,
                   job_.bits,
                   job_.scale,
                   streaming_};
        const int dtype = static_cast<int>(job_.dtype);
        if (!job_.plan) return job_.kernels->apply[dtype](run);
        if (run.bits) run.bits += first / 8;
        job_.kernels->drop[dtype](*job_.plan, run);
    }

    // Any layout: a block of bits at a time, applied to the elements that it covers, run by run.
    void do_blocks(uint64_t first, uint64_t last) const {
        Cursor cursor(job_, first);
        for (uint64_t start = first; start < last; start += kBlockElements) {
            const uint64_t end = std::min(start + kBlockElements, last);
            uint8_t made[kBlockBytes];
            uint8_t* bits = job_.bits ? job_.bits + start / 8 : made;
            if (job_.plan) make_bits(*job_.kernels, *job_.plan, start, end - start, bits, 1);
            apply_block(&cursor, bits, static_cast<int64_t>(end - start));
        }
    }

    void apply_block(Cursor* cursor, uint8_t* bits, int64_t count) const {
        const int64_t size = static_cast<int64_t>(size_);
        const int inner = job_.layout.axes - 1;
        const bool adjacent = job_.layout.src_step[inner] == size && job_.layout.dst_step[inner] == size;
        if (adjacent && job_.layout.length[inner] >= kDirectRun) {
            for (int64_t done = 0; done < count;) {
                const int64_t length = std::min(cursor->left, count - done);
                apply(cursor->dst, cursor->src, bits, done, length);
                cursor->advance(length);
                done += length;
            }
            return;
        }
        char gathered[kBlockElements * 8];
        Cursor scatter = *cursor;
        for_each_run(cursor, count, [&](int64_t done, int64_t length) {
            copy_elements(size_, gathered + done * size, size, cursor->src, job_.layout.src_step[inner], length);
        });
        apply(gathered, gathered, bits, 0, count);
        for_each_run(&scatter, count, [&](int64_t done, int64_t length) {
            copy_elements(size_, scatter.dst, job_.layout.dst_step[inner], gathered + done * size, size, length);
        });
    }

    template <class Visit> static void for_each_run(Cursor* cursor, int64_t count, Visit visit) {
        for (int64_t done = 0; done < count;) {
            const int64_t length = std::min(cursor->left, count - done);
            visit(done, length);
            cursor->advance(length);
            done += length;
        }
    }

    void apply(char* dst, const char* src, uint8_t* bits, int64_t first_bit, int64_t count) const {
        const Run run = {dst,        src,  static_cast<uint64_t>(count), static_cast<uint64_t>(first_bit), bits,
                         job_.scale, false};
        job_.kernels->apply[static_cast<int>(job_.dtype)](run);
    }

    const Job& job_;
    uint64_t size_;
    uint64_t count_;
    bool one_run_;
    bool streaming_;
};

int useful_threads(uint64_t elements, int threads) {
    const uint64_t useful = std::max<uint64_t>(elements / kElementsPerThread, 1);
    return static_cast<int>(std::min<uint64_t>(useful, static_cast<uint64_t>(std::max(threads, 1))));
}

}  // namespace

void Layout::add_axis(int64_t axis_length, int64_t src, int64_t dst) {
    if (axis_length == 1 && axes) return;
    if (axes) {
        const int outer = axes - 1;
        const bool outer_is_one = length[outer] == 1;
        const bool continues = src_step[outer] == src * axis_length && dst_step[outer] == dst * axis_length;
        if (outer_is_one || continues) {
            length[outer] *= axis_length;
            src_step[outer] = src;
            dst_step[outer] = dst;
            return;
        }
    }
    length[axes] = axis_length;
    src_step[axes] = src;
    dst_step[axes] = dst;
    ++axes;
}

uint64_t Layout::size() const {
    uint64_t product = 1;
    for (int axis = 0; axis < axes; ++axis) product *= static_cast<uint64_t>(length[axis]);
    return product;
}

void run(const Job& job) {
    const uint64_t size = job.layout.size();
    if (size == 0) return;
    Worker worker(job);
    DefaultFloatMode mode;
    run_chunks(worker.chunks(), useful_threads(size, job.threads), Worker::work, &worker);
}

namespace {

// Moves `count` bits that begin at bit `shift` (0 to 7) of `from` to bit 0 of `to`, zeros after the last.
void repack(uint8_t* to, const uint8_t* from, unsigned shift, uint64_t count) {
    const uint64_t from_bytes = (shift + count + 7) / 8, to_bytes = (count + 7) / 8;
    for (uint64_t i = 0; i < to_bytes; ++i) {
        const unsigned next = i + 1 < from_bytes ? from[i + 1] : 0;
        to[i] = static_cast<uint8_t>((from[i] | (next << 8)) >> shift);
    }
    if (count % 8) to[to_bytes - 1] = static_cast<uint8_t>(to[to_bytes - 1] & ((1u << (count % 8)) - 1));
}

struct BitsJob {
    const Kernels& kernels;
    const Plan& plan;
    uint64_t first, count;
    uint8_t* bits;
};

void make_chunk(void* context, uint64_t chunk) {
    const BitsJob& job = *static_cast<const BitsJob*>(context);
    uint8_t made[kBlockBytes + kRowBytes];  // the rows that a block's worth of elements touches
    const uint64_t end = std::min((chunk + 1) * kChunkElements, job.count);
    for (uint64_t start = chunk * kChunkElements; start < end; start += kBlockElements) {
        const uint64_t element = job.first + start, count = std::min(kBlockElements, end - start);
        const uint64_t skip = element % kRowElements, rows = (skip + count + kRowElements - 1) / kRowElements;
        uint8_t* to = job.bits + start / 8;
        if (skip == 0 && count % kRowElements == 0) {
            job.kernels.make_rows(job.plan, element / kRowElements, rows, to);
        } else {
            job.kernels.make_rows(job.plan, element / kRowElements, rows, made);
            repack(to, made + skip / 8, static_cast<unsigned>(skip % 8), count);
        }
    }
}

}  // namespace

void make_bits(const Kernels& kernels, const Plan& plan, uint64_t first, uint64_t count, uint8_t* bits, int threads) {
    BitsJob job = {kernels, plan, first, count, bits};
    const uint64_t chunks = (count + kChunkElements - 1) / kChunkElements;
    run_chunks(chunks, useful_threads(count / 4, threads), make_chunk, &job);
}

uint64_t streaming_threshold() { return streaming_bytes.load(std::memory_order_relaxed); }
void set_streaming_threshold(uint64_t bytes) { streaming_bytes.store(bytes, std::memory_order_relaxed); }
int num_threads() { return thread_limit.load(std::memory_order_relaxed); }
void set_num_threads(int threads) { thread_limit.store(threads, std::memory_order_relaxed); }

}  // namespace bitdrop
