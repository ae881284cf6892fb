#include "engine.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>

#include "../runtime/cache_size.h"
#include "../runtime/float_mode.h"
#include "bit_order.h"
#include "mask_traversal.h"
#include "noise_traversal.h"

namespace bitdrop {
namespace {

std::atomic<uint64_t> threshold_bytes{last_level_cache_bytes() / 2};
std::atomic<int> thread_limit{1};

// Adds the sums of all chunks to those of the first.
template <class Number> void add_chunks(const Sums& sums, uint64_t chunks) {
    Number* first = reinterpret_cast<Number*>(sums.memory);
    constexpr uint64_t kTogether = 64;
    const DefaultFloatMode mode;
    for (uint64_t start = 0; start < sums.count; start += kTogether) {
        const uint64_t taken = std::min(kTogether, sums.count - start);
        double totals[kTogether] = {};
        for (uint64_t chunk = 0; chunk < chunks; ++chunk)
            for (uint64_t i = 0; i < taken; ++i)
                totals[i] += static_cast<double>(first[chunk * sums.count + start + i]);
        for (uint64_t i = 0; i < taken; ++i) first[start + i] = static_cast<Number>(totals[i]);
    }
}

// Operands whose bits follow the elements, in the order of the axes.
Operands following(const Operands& operands) {
    Operands ordered(operands.dtype, operands.layout.operands);
    std::copy(operands.data, operands.data + operands.layout.operands, ordered.data);
    ordered.layout = operands.layout.following();
    ordered.parts = operands.parts;
    return ordered;
}

// The bits of a transposed layout in the order of its elements. Null for other layouts, and without memory: the
// traversal then looks for bits by their strides.
std::unique_ptr<uint8_t[]> ordered_bits(const Resources& with, const Layout& layout, const uint8_t* bits) {
    std::unique_ptr<uint8_t[]> ordered;
    if (is_transposed(layout)) ordered.reset(new (std::nothrow) uint8_t[(layout.size() + 7) / 8]);
    if (ordered) order_bits(layout, bits, ordered.get(), with.threads);
    return ordered;
}

// True if the axes are in the order of their numbers, but for those that share them.
bool numbers_in_order(const Layout& layout) {
    if (layout.bits_follow) return true;
    int64_t outer = INT64_MAX;
    for (int a = 0; a < layout.ndim; ++a) {
        const int64_t stride = layout.axis[a].bit_stride;
        if (stride > outer) return false;
        if (stride) outer = stride;
    }
    return true;
}

Operands in_order_of_numbers(const Operands& operands) {
    Operands ordered(operands.dtype, operands.layout.operands, false);
    std::copy(operands.data, operands.data + operands.layout.operands, ordered.data);
    Axis axes[kMaxNdim];
    const int ndim = operands.layout.ndim;
    std::copy(operands.layout.axis, operands.layout.axis + ndim, axes);
    std::stable_sort(axes, axes + ndim, [](const Axis& a, const Axis& b) { return a.bit_stride > b.bit_stride; });
    for (int a = 0; a < ndim; ++a) ordered.layout.add_axis(axes[a]);
    return ordered;
}

}  // namespace

void drop(const Resources& with, const Operands& operands, const Affine& affine, const Plan& plan, uint8_t* bits) {
    if (operands.layout.size()) MaskTraversal(with, operands, affine, &plan, bits).run();
}

void apply(const Resources& with, const Operands& operands, const Affine& affine, const uint8_t* bits) {
    if (operands.layout.size() == 0) return;
    const auto ordered = ordered_bits(with, operands.layout, bits);
    if (ordered) return MaskTraversal(with, following(operands), affine, nullptr, ordered.get()).run();
    MaskTraversal(with, operands, affine, nullptr, const_cast<uint8_t*>(bits)).run();  // without a plan, only read
}

void apply_and_find(const Resources& with, const Operands& operands, const Affine& affine, uint8_t* bits) {
    if (operands.layout.size() == 0) return;
    MaskTraversal(with, following(operands), affine, nullptr, bits).run();
}

void noise(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first) {
    if (operands.layout.size() == 0) return;
    if (numbers_in_order(operands.layout)) return NoiseTraversal(with, operands, plan, first).run();
    NoiseTraversal(with, in_order_of_numbers(operands), plan, first).run();
}

uint64_t Sums::chunk_for(uint64_t count) {
    constexpr uint64_t kMinChunk = 16 * kBlockElements, kElementsPerSum = 32;
    const uint64_t blocks = (count * kElementsPerSum + kBlockElements - 1) / kBlockElements;
    return std::max(kMinChunk, blocks * kBlockElements);
}

void apply_and_sum(const Resources& with, const Operands& operands, const Affine& affine, const uint8_t* bits,
                   const Sums& sums) {
    const uint64_t size = operands.layout.size();
    const bool doubles = operands.dtype == DType::float64;
    if (size == 0) {
        std::memset(sums.memory, 0, sums.count * (doubles ? sizeof(double) : sizeof(float)));
        return;
    }
    if (const auto ordered = ordered_bits(with, operands.layout, bits)) {
        Operands unmerged = operands;  // the axes decide the order of the additions
        unmerged.layout.bits_follow = true;
        MaskTraversal(with, unmerged, affine, ordered.get(), sums).run();
    } else {
        MaskTraversal(with, operands, affine, const_cast<uint8_t*>(bits), sums).run();
    }
    const uint64_t chunks = chunks_of(size, sums.chunk);
    if (chunks == 1) return;
    doubles ? add_chunks<double>(sums, chunks) : add_chunks<float>(sums, chunks);
}

uint64_t non_temporal_threshold() { return threshold_bytes.load(std::memory_order_relaxed); }
void set_non_temporal_threshold(uint64_t bytes) { threshold_bytes.store(bytes, std::memory_order_relaxed); }
int num_threads() { return thread_limit.load(std::memory_order_relaxed); }
void set_num_threads(int threads) { thread_limit.store(threads, std::memory_order_relaxed); }

}  // namespace bitdrop
