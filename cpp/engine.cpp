#include "engine.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "float_mode.h"
#include "machine.h"
#include "thread_pool.h"

namespace bitdrop {
namespace {

// Waking a worker costs microseconds: with less work than this for each thread, fewer threads are used.
constexpr uint64_t kElementsPerThread = 32 * kBlockElements;
// Several threads take a piece at a time, small enough that they end together. One thread takes all.
constexpr uint64_t kPiecesPerThread = 8;
constexpr uint64_t kSmallestPiece = 4 * kBlockElements, kLargestPiece = 32 * kBlockElements;
// Runs of so many elements are worked on where they lie; shorter ones are gathered first.
constexpr int64_t kDirectRun = 64;

std::atomic<uint64_t> streaming_bytes{default_streaming_threshold()};
std::atomic<int> thread_limit{1};

template <class T> void copy_elements(char* to, int64_t to_step, const char* from, int64_t from_step, int64_t count) {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, sizeof(T));
}

void copy_elements(int64_t size, char* to, int64_t to_step, const char* from, int64_t from_step, int64_t count) {
    if (size == 2) return copy_elements<uint16_t>(to, to_step, from, from_step, count);
    if (size == 4) return copy_elements<uint32_t>(to, to_step, from, from_step, count);
    copy_elements<uint64_t>(to, to_step, from, from_step, count);
}

// The bits of the next `count` elements, one after the other, where the layout scatters or shares them.
void gather_bits(Cursor cursor, const Layout& layout, const uint8_t* bits, uint8_t* to, int64_t count) {
    const uint64_t step = static_cast<uint64_t>(layout.axis[layout.axes - 1].bit_step);
    for_each_run(&cursor, count, [&](int64_t done, int64_t length) {
        const uint64_t at = static_cast<uint64_t>(done), run = static_cast<uint64_t>(length);
        if (step == 1) return copy_bits(to, at, bits, cursor.bit, run);
        if (step == 0) return fill_bits(to, at, packed_bit(bits, cursor.bit), run);
        for (uint64_t i = 0; i < run; ++i) copy_bit(to, at + i, bits, cursor.bit + i * step);
    });
}

class Worker {
public:
    Worker(const Job& job, int threads)
        : job_(job),
          kernel_(static_cast<int>(job.dtype)),
          size_(item_size(job.dtype)),
          count_(job.layout.size()),
          piece_(piece_of(count_, threads)),
          inner_(job.layout.axis[job.layout.axes - 1]),
          memory_is_one_run_(job.layout.memory_is_one_run(size_)) {
        const bool adjacent = inner_.src_step == size_ && inner_.dst_step == size_;
        direct_ = adjacent && inner_.length >= kDirectRun;
        streaming_ = direct_ && job.src != job.dst && count_ * static_cast<uint64_t>(size_) >= streaming_threshold();
    }

    uint64_t pieces() const { return (count_ + piece_ - 1) / piece_; }

    static void work(void* worker, uint64_t piece) {
        const Worker& self = *static_cast<const Worker*>(worker);
        const uint64_t first = piece * self.piece_;
        self.do_piece(first, std::min(first + self.piece_, self.count_));
        if (self.streaming_) self.job_.kernels->fence();
    }

private:
    static uint64_t piece_of(uint64_t count, int threads) {
        if (threads == 1) return count;
        const uint64_t blocks = count / (static_cast<uint64_t>(threads) * kPiecesPerThread) / kBlockElements;
        return std::clamp(blocks * kBlockElements, kSmallestPiece, kLargestPiece);
    }

    void do_piece(uint64_t first, uint64_t last) const {
        Cursor cursor(job_.layout, job_.src, job_.dst, first);
        const int64_t count = static_cast<int64_t>(last - first);
        if (job_.plan && job_.layout.bits_follow && job_.layout.axes == 1 && direct_) {
            Run run = run_at(cursor.dst, cursor.src, count, job_.bits ? job_.bits + first / 8 : nullptr, first);
            return job_.kernels->drop[kernel_](*job_.plan, run);
        }
        if (!job_.plan && direct_ && (job_.layout.bits_follow || inner_.bit_step == 1)) {
            return for_each_run(&cursor, count, [&](int64_t, int64_t length) {
                job_.kernels->apply[kernel_](run_at(cursor.dst, cursor.src, length, job_.bits, cursor.bit));
            });
        }
        if (direct_ && !job_.layout.bits_follow && inner_.bit_step == 0) return do_shared_runs(&cursor, count);
        for (uint64_t start = first; start < last; start += kBlockElements)
            do_block(&cursor, start, static_cast<int64_t>(std::min(kBlockElements, last - start)));
    }

    // The elements of a run share a bit. Neighbouring runs of equal bits are one.
    void do_shared_runs(Cursor* cursor, int64_t count) const {
        const char* src = cursor->src;
        char* dst = cursor->dst;
        bool kept = packed_bit(job_.bits, cursor->bit);
        int64_t gathered = 0;
        for_each_run(cursor, count, [&](int64_t, int64_t length) {
            const bool keep = packed_bit(job_.bits, cursor->bit);
            const int64_t bytes = gathered * size_;
            if (keep != kept || cursor->src != src + bytes || cursor->dst != dst + bytes) {
                do_shared_run(dst, src, kept, gathered);
                src = cursor->src;
                dst = cursor->dst;
                kept = keep;
                gathered = 0;
            }
            gathered += length;
        });
        do_shared_run(dst, src, kept, gathered);
    }

    // Scaled, or filled without being read.
    void do_shared_run(char* dst, const char* src, bool kept, int64_t length) const {
        if (kept) {
            const Plan keep_all = make_plan(0, 0, 0, 0.0);
            Run run = run_at(dst, src, length, nullptr, 0);
            run.alone = true;
            job_.kernels->drop[kernel_](keep_all, run);
        } else {
            job_.kernels->fill[kernel_](run_at(dst, nullptr, length, nullptr, 0));
        }
    }

    // Any layout, up to a block of elements at a time: their bits together, then the elements that they cover.
    void do_block(Cursor* cursor, uint64_t start, int64_t count) const {
        uint8_t scratch[kBlockBytes] = {};
        uint8_t* bits = scratch;
        if (!job_.layout.bits_follow)
            gather_bits(*cursor, job_.layout, job_.bits, scratch, count);
        else if (job_.bits)
            bits = job_.bits + start / 8;
        if (job_.plan) make_bits(*job_.kernels, *job_.plan, start, static_cast<uint64_t>(count), bits, 1);
        if (direct_)
            return for_each_run(cursor, count, [&](int64_t done, int64_t length) {
                apply(cursor->dst, cursor->src, bits, done, length);
            });
        if (memory_is_one_run_) {
            apply(cursor->dst, cursor->src, bits, 0, count);
            return for_each_run(cursor, count, [](int64_t, int64_t) {});
        }
        char gathered[kBlockElements * sizeof(double)];
        Cursor scatter = *cursor;
        for_each_run(cursor, count, [&](int64_t done, int64_t length) {
            copy_elements(size_, gathered + done * size_, size_, cursor->src, inner_.src_step, length);
        });
        apply(gathered, gathered, bits, 0, count);
        for_each_run(&scatter, count, [&](int64_t done, int64_t length) {
            copy_elements(size_, scatter.dst, inner_.dst_step, gathered + done * size_, size_, length);
        });
    }

    void apply(char* dst, const char* src, uint8_t* bits, int64_t first_bit, int64_t count) const {
        Run run = run_at(dst, src, count, bits, static_cast<uint64_t>(first_bit));
        run.streaming = streaming_ && dst != src;
        job_.kernels->apply[kernel_](run);
    }

    Run run_at(char* dst, const char* src, int64_t count, uint8_t* bits, uint64_t index) const {
        return {dst, src, static_cast<uint64_t>(count), index, bits, job_.scale, streaming_, job_.shift, job_.dropped};
    }

    const Job& job_;
    const int kernel_;
    const int64_t size_;
    const uint64_t count_;
    const uint64_t piece_;
    const Axis inner_;
    const bool memory_is_one_run_;
    bool direct_;  // innermost runs are long and adjacent: no gathering
    bool streaming_;
};

}  // namespace

int64_t item_size(DType dtype) {
    switch (dtype) {
        case DType::float16:
        case DType::bfloat16: return 2;
        case DType::float32: return 4;
        case DType::float64: break;
    }
    return 8;
}

void run(const Job& job) {
    const uint64_t size = job.layout.size();
    if (size == 0) return;
    const Sharing sharing = sharing_of(size, kElementsPerThread, job.threads);
    if (job.plan && !job.layout.bits_follow) {
        make_bits(*job.kernels, *job.plan, 0, size, job.bits, job.threads);
        Job stored = job;
        stored.plan = nullptr;
        return run(stored);
    }
    Worker worker(job, sharing.threads);
    DefaultFloatMode mode;
    run_chunks(worker.pieces(), sharing, Worker::work, &worker);
}

uint64_t streaming_threshold() { return streaming_bytes.load(std::memory_order_relaxed); }
void set_streaming_threshold(uint64_t bytes) { streaming_bytes.store(bytes, std::memory_order_relaxed); }
int num_threads() { return thread_limit.load(std::memory_order_relaxed); }
void set_num_threads(int threads) { thread_limit.store(threads, std::memory_order_relaxed); }

}  // namespace bitdrop
