// A walk over the operands of a call, for any kind of draws. Its path is chosen once, from layout, draws and operation.
#pragma once

#include "engine.h"

namespace bitdrop {

class Traversal {
public:
    void run();

protected:
    // With fewer elements for each thread, waking one costs more than it saves.
    Traversal(const Resources& with, const Operands& operands, uint64_t min_elements_per_thread);
    ~Traversal() = default;

    // The elements first ... last - 1, on one thread.
    virtual void do_elements(uint64_t first, uint64_t last) const = 0;
    // Applies the draws of a block, beginning with draw `first` of them.
    virtual void apply_draws(const void* draws, uint64_t first, const Span& span) const = 0;

    // Applies draws to up to a block of elements of any layout, and moves the cursor past them.
    void do_block(Cursor* cursor, const void* draws, int64_t count) const {
        (this->*block_path_)(cursor, draws, count);
    }
    Span span_at(char* const* places, int64_t count) const;

    const Resources& with_;
    const Operands& operands_;
    const Layout& layout_;
    const int64_t size_;  // bytes of an element
    const uint64_t count_;
    const int dtype_;  // of the kernel table
    const uint64_t min_elements_per_thread_;
    bool direct_;      // innermost spans are long and adjacent in every operand

private:
    uint64_t chunk_size(int threads) const;
    static void do_chunk(void* traversal, uint64_t chunk);

    void block_of_spans(Cursor* cursor, const void* draws, int64_t count) const;
    void block_of_dense_memory(Cursor* cursor, const void* draws, int64_t count) const;
    void block_of_scattered_elements(Cursor* cursor, const void* draws, int64_t count) const;

    using BlockPath = void (Traversal::*)(Cursor* cursor, const void* draws, int64_t count) const;
    using Gather = void (*)(char* to, const char* from, int64_t from_stride, int64_t count);
    using Scatter = void (*)(char* to, int64_t to_stride, const char* from, int64_t count);

    bool non_temporal_;
    BlockPath block_path_;
    Gather gather_;
    Scatter scatter_;
    uint64_t chunk_size_ = 0;
};

}  // namespace bitdrop
