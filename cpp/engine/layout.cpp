#include "layout.h"

#include <algorithm>

namespace bitdrop {

bool Layout::continues(const Axis& outer, const Axis& added) const {
    for (int i = 0; i < operands; ++i)
        if (outer.stride[i] != added.stride[i] * added.length) return false;
    return bits_follow || outer.bit_stride == added.bit_stride * added.length;
}

void Layout::add_axis(const Axis& added) {
    if (ndim) {
        if (added.length == 1) return;
        Axis& outer = axis[ndim - 1];
        if (outer.length == 1 || continues(outer, added)) {
            const int64_t length = outer.length * added.length;
            outer = added;
            outer.length = length;
            return;
        }
    }
    axis[ndim++] = added;
}

Layout Layout::following() const {
    Layout merged(operands, true);
    for (int a = 0; a < ndim; ++a) merged.add_axis(axis[a]);
    return merged;
}

uint64_t Layout::size() const {
    uint64_t product = 1;
    for (int a = 0; a < ndim; ++a) product *= static_cast<uint64_t>(axis[a].length);
    return product;
}

bool Layout::is_dense(int operand, int64_t item_size) const {
    int64_t stride = item_size;
    for (int a = ndim - 1; a >= 0; --a) {
        if (axis[a].stride[operand] != stride) return false;
        stride *= axis[a].length;
    }
    return true;
}

bool Layout::repeats(int operand) const {
    for (int a = 0; a < ndim; ++a)
        if (axis[a].stride[operand] != 0) return false;
    return true;
}

Cursor::Cursor(const Layout& layout, char* const* operands, uint64_t element) : layout_(layout) {
    for (int i = 0; i < layout.operands; ++i) place[i] = operands[i];
    if (layout.bits_follow) bit = element;
    for (int a = layout.ndim - 1; a >= 0; --a) {
        const uint64_t length = std::max<uint64_t>(static_cast<uint64_t>(layout.axis[a].length), 1);  // of an empty box
        at_[a] = static_cast<int64_t>(element % length);
        element /= length;
        move(a, at_[a]);
    }
    left = layout.inner().length - at_[layout.ndim - 1];
}

void Cursor::advance(int64_t count) {
    int a = layout_.ndim - 1;
    if (layout_.bits_follow) bit += static_cast<uint64_t>(count);
    move(a, count);
    at_[a] += count;
    left -= count;
    if (left) return;
    while (a > 0 && at_[a] == layout_.axis[a].length) {
        move(a, -at_[a]);
        at_[a] = 0;
        --a;
        move(a, 1);
        ++at_[a];
    }
    left = layout_.inner().length;
}

void Cursor::move(int a, int64_t count) {
    const Axis& axis = layout_.axis[a];
    for (int i = 0; i < layout_.operands; ++i) place[i] += count * axis.stride[i];
    if (!layout_.bits_follow) bit += static_cast<uint64_t>(count * axis.bit_stride);
}

}  // namespace bitdrop
