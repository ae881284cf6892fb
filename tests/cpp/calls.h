// Arguments of the engine by name, and a team of threads.
#pragma once

#include <thread>
#include <vector>

#include "engine/bit_order.h"
#include "engine/engine.h"

inline bitdrop::Span make_span(void* out, const void* input, uint64_t count, bool non_temporal = false) {
    bitdrop::Span span = {out, {input}, count};
    span.non_temporal = non_temporal;
    return span;
}

// Operands without axes yet.
inline bitdrop::Operands make_operands(bitdrop::DType dtype, void* out, const void* input, bool bits_follow = true) {
    bitdrop::Operands operands(dtype, 2, bits_follow);
    operands.data[0] = static_cast<char*>(out);
    operands.data[1] = static_cast<char*>(const_cast<void*>(input));
    return operands;
}

inline bitdrop::Operands contiguous_operands(bitdrop::DType dtype, void* out, const void* input, uint64_t count) {
    bitdrop::Operands operands = make_operands(dtype, out, input);
    const int64_t item = bitdrop::item_size(dtype);
    operands.layout.add_axis({static_cast<int64_t>(count), {item, item}, 1});
    return operands;
}

// Drops by any layout, as a Work does: bits that do not follow the elements are generated first. Those of active
// elements are found in the order of memory, in `active`.
inline void drop_in_steps(const bitdrop::Resources& with, const bitdrop::Operands& operands,
                          const bitdrop::Affine& affine, const bitdrop::Plan& plan, uint64_t reach, uint8_t* bits,
                          uint8_t* active) {
    const bitdrop::Layout& layout = operands.layout;
    if (layout.size() == 0 || layout.bits_follow) return bitdrop::drop(with, operands, affine, plan, bits);
    bitdrop::generate_bits(*with.kernels, plan, bitdrop::contiguous_box(0, reach), bits, with.threads);
    if (!bitdrop::has_activation(affine.operation)) return bitdrop::apply(with, operands, affine, bits);
    bitdrop::order_bits(layout, bits, active, with.threads);
    bitdrop::apply_and_find(with, operands, affine, active);
    bitdrop::restore_bits(layout, active, bits, with.threads);
}

// Calls work(data) on threads of its own, as an OpenMP runtime: the requested number, one fewer, or one more.
template <int more> void team(void (*work)(void*), void* data, unsigned threads, unsigned) {
    std::vector<std::thread> others;
    for (int other = 1; other < static_cast<int>(threads) + more; ++other) others.emplace_back(work, data);
    work(data);
    for (std::thread& other : others) other.join();
}
