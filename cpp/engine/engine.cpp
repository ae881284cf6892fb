#include "engine.h"

#include <atomic>

#include "../runtime/cache_size.h"
#include "mask_traversal.h"
#include "noise_traversal.h"

namespace bitdrop {
namespace {

std::atomic<uint64_t> threshold_bytes{last_level_cache_bytes() / 2};
std::atomic<int> thread_limit{1};

}  // namespace

// Bits that follow the elements are generated and applied at once; others are generated first.
void drop(const Resources& with, const Operands& operands, const Affine& affine, const Plan& plan, const BitBox& box,
          uint8_t* bits) {
    if (operands.layout.size() == 0) return;
    if (operands.layout.bits_follow) return MaskTraversal(with, operands, affine, &plan, bits).run();
    generate_bits(*with.kernels, plan, box, bits, with.threads);
    apply(with, operands, affine, bits);
    if (with.active_bits) reorder_bits(operands.layout, with.active_bits, bits, with.threads);
}

void apply(const Resources& with, const Operands& operands, const Affine& affine, const uint8_t* bits) {
    if (operands.layout.size() == 0) return;
    MaskTraversal(with, operands, affine, nullptr, const_cast<uint8_t*>(bits)).run();  // without a plan, only read
}

void noise(const Resources& with, const Operands& operands, const NoisePlan& plan, uint64_t first) {
    if (operands.layout.size() == 0) return;
    NoiseTraversal(with, operands, plan, first).run();
}

uint64_t non_temporal_threshold() { return threshold_bytes.load(std::memory_order_relaxed); }
void set_non_temporal_threshold(uint64_t bytes) { threshold_bytes.store(bytes, std::memory_order_relaxed); }
int num_threads() { return thread_limit.load(std::memory_order_relaxed); }
void set_num_threads(int threads) { thread_limit.store(threads, std::memory_order_relaxed); }

}  // namespace bitdrop
