// Strides through the operands and the bits of a call.
#pragma once

#include <cstdint>

#include "../kernels/kernel_table.h"

namespace bitdrop {

constexpr int kMaxNdim = 64;  // NumPy's limit
constexpr int kMaxOperands = 1 + kMaxInputs;

struct Axis {
    int64_t length;
    int64_t stride[kMaxOperands];  // bytes, of the output, then of the inputs
    int64_t bit_stride;            // bits; 0 if the axis shares them. Unused if bits follow the elements
};

// The axes of the operands, outermost first. Adding an axis merges it with the one before if both are one span for
// every operand and for the bits, so a contiguous array has one axis.
struct Layout {
    int operands;
    bool bits_follow;  // element i has bit i, in the order of the axes; else the axes have bit strides
    int ndim = 0;
    Axis axis[kMaxNdim];

    Layout(int operand_count, bool bits_follow_elements) : operands(operand_count), bits_follow(bits_follow_elements) {}

    void add_axis(const Axis& added);
    Layout following() const;  // the same operands, element i with bit i
    uint64_t size() const;
    bool is_dense(int operand, int64_t item_size) const;  // adjacent elements, in the order of the axes
    bool repeats(int operand) const;  // one element, for all
    const Axis& inner() const { return axis[ndim - 1]; }

private:
    bool continues(const Axis& outer, const Axis& added) const;
};

// A place in the operands and the bits: `left` more elements lie in the same innermost span.
class Cursor {
public:
    Cursor(const Layout& layout, char* const* operands, uint64_t element);

    void advance(int64_t count);  // at most `left`
    const Layout& layout() const { return layout_; }

    char* place[kMaxOperands];
    uint64_t bit = 0;
    int64_t left;

private:
    void move(int axis, int64_t count);

    const Layout& layout_;
    int64_t at_[kMaxNdim];
};

// Calls visit(done, length) for the innermost spans of the next `count` elements, before the cursor passes each.
template <class Visit> void for_each_span(Cursor* cursor, int64_t count, Visit visit) {
    for (int64_t done = 0; done < count;) {
        const int64_t length = cursor->left < count - done ? cursor->left : count - done;
        visit(done, length);
        cursor->advance(length);
        done += length;
    }
}

}  // namespace bitdrop
