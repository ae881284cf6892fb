// The shape of the work: how to step through the arrays and the bits at once.
#pragma once

#include <cstdint>

namespace bitdrop {

constexpr int kMaxAxes = 64;  // NumPy's limit

struct Axis {
    int64_t length;
    int64_t src_step, dst_step;  // bytes
    int64_t bit_step;            // bits: 0 where the axis shares them
};

// The axes of an array in C order, outermost first. Adding an axis merges it with the one before where the two
// are one run, so that a contiguous array has one axis.
struct Layout {
    int axes = 0;
    Axis axis[kMaxAxes];
    bool bits_follow = true;  // element i has bit i; else the axes' bit steps say

    void add_axis(int64_t length, int64_t src_step, int64_t dst_step);
    void add_axis(int64_t length, int64_t src_step, int64_t dst_step, int64_t bit_step);
    uint64_t size() const;
    bool memory_is_one_run(int64_t item_size) const;  // adjacent elements in both arrays, whatever the bits do

private:
    void append(const Axis& added);
};

// A place in the arrays: `left` more elements lie in the same innermost run.
class Cursor {
public:
    Cursor(const Layout& layout, const void* src, void* dst, uint64_t element);

    void advance(int64_t count);  // at most `left`

    const char* src;
    char* dst;
    uint64_t bit = 0;
    int64_t left;

private:
    void move(int axis, int64_t count);

    const Layout& layout_;
    int64_t at_[kMaxAxes];
};

// Calls visit(done, length) for the innermost runs of the next `count` elements, before the cursor moves past each.
template <class Visit> void for_each_run(Cursor* cursor, int64_t count, Visit visit) {
    for (int64_t done = 0; done < count;) {
        const int64_t length = cursor->left < count - done ? cursor->left : count - done;
        visit(done, length);
        cursor->advance(length);
        done += length;
    }
}

}  // namespace bitdrop
