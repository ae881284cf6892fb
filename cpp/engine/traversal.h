// A walk over the operands of a call, for any kind of draws. Its path is chosen once, from layout, draws and operation.
#pragma once

#include "engine.h"

namespace bitdrop {

class Traversal {
public:
    void run();

protected:
    struct Needs {
        uint64_t min_elements_per_thread;  // with fewer, waking a thread costs more than it saves
        bool whole_bytes = false;  // the draws of a span used in place begin with a byte
    };

    // Copy elements between adjacent places and places a stride apart.
    using Gather = void (*)(char* to, const char* from, int64_t from_stride, int64_t count);
    using Scatter = void (*)(char* to, int64_t to_stride, const char* from, int64_t count);

    Traversal(const Resources& with, const Operands& operands, int inputs, const Needs& needs);
    ~Traversal() = default;

    // The elements first ... last - 1, or the tiles, on one thread.
    virtual void do_range(uint64_t first, uint64_t last) const = 0;
    // Applies draws of a block, from number `first` on.
    virtual void apply_draws(void* draws, uint64_t first, const Span& span) const = 0;

    // Applies draws to up to a block of elements of any layout, and moves the cursor past them.
    void do_block(Cursor* cursor, void* draws, int64_t count) const { (this->*block_path_)(cursor, draws, count); }
    void sum_blocks();  // for a traversal with sums: elements are summed in blocks
    Cursor cursor_at(uint64_t element) const;
    Span span_at(char* const* places, int64_t count) const;

    const Resources& with_;
    const Operands& operands_;
    const Layout& layout_;
    const Sums* sums_ = nullptr;
    int inputs_;  // and the output are the first operands
    const int64_t size_;  // bytes of an element
    const uint64_t count_;
    uint64_t tiles_ = 0;  // if the path takes tiles, their number
    bool direct_;  // innermost spans are long, and used in place
    Gather gather_;
    Scatter scatter_;

private:
    uint64_t chunk_size(int threads) const;
    static void do_chunk(void* traversal, uint64_t chunk);

    void block_of_spans(Cursor* cursor, void* draws, int64_t count) const;
    void block_of_elements(Cursor* cursor, void* draws, int64_t count) const;
    void gather_input(int operand, const Cursor& cursor, char* to, int64_t count) const;
    void store_output(const Cursor& cursor, const char* values, int64_t count) const;
    void add_to_sums(const Cursor& cursor, const char* values, int64_t count) const;

    using BlockPath = void (Traversal::*)(Cursor* cursor, void* draws, int64_t count) const;
    const uint64_t min_elements_per_thread_;
    Span span_ = {};  // what the spans have in common
    bool dense_[kMaxOperands];
    BlockPath block_path_;
    uint64_t chunk_size_ = 0;
};

}  // namespace bitdrop
