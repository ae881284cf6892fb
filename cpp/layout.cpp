#include "layout.h"

namespace bitdrop {

void Layout::add_axis(int64_t length, int64_t src_step, int64_t dst_step) { append({length, src_step, dst_step, 0}); }

void Layout::add_axis(int64_t length, int64_t src_step, int64_t dst_step, int64_t bit_step) {
    bits_follow = false;
    append({length, src_step, dst_step, bit_step});
}

void Layout::append(const Axis& added) {
    if (axes) {
        if (added.length == 1) return;
        Axis& outer = axis[axes - 1];
        const bool continues = outer.src_step == added.src_step * added.length &&
                               outer.dst_step == added.dst_step * added.length &&
                               (bits_follow || outer.bit_step == added.bit_step * added.length);
        if (outer.length == 1 || continues) {
            const int64_t length = outer.length * added.length;
            outer = added;
            outer.length = length;
            return;
        }
    }
    axis[axes++] = added;
}

uint64_t Layout::size() const {
    uint64_t product = 1;
    for (int a = 0; a < axes; ++a) product *= static_cast<uint64_t>(axis[a].length);
    return product;
}

bool Layout::memory_is_one_run(int64_t item_size) const {
    int64_t step = item_size;
    for (int a = axes - 1; a >= 0; --a) {
        if (axis[a].src_step != step || axis[a].dst_step != step) return false;
        step *= axis[a].length;
    }
    return true;
}

Cursor::Cursor(const Layout& layout, const void* src_start, void* dst_start, uint64_t element)
    : src(static_cast<const char*>(src_start)), dst(static_cast<char*>(dst_start)), layout_(layout) {
    if (layout.bits_follow) bit = element;
    for (int a = layout.axes - 1; a >= 0; --a) {
        const uint64_t length = static_cast<uint64_t>(layout.axis[a].length);
        at_[a] = static_cast<int64_t>(element % length);
        element /= length;
        move(a, at_[a]);
    }
    left = layout.axis[layout.axes - 1].length - at_[layout.axes - 1];
}

void Cursor::advance(int64_t count) {
    int a = layout_.axes - 1;
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
    left = layout_.axis[layout_.axes - 1].length;
}

void Cursor::move(int a, int64_t count) {
    const Axis& axis = layout_.axis[a];
    src += count * axis.src_step;
    dst += count * axis.dst_step;
    bit += static_cast<uint64_t>(count * axis.bit_step);
}

}  // namespace bitdrop
