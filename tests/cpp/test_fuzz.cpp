// Random calls of every entry point: test_fuzz [cases] [seed] [first case]
#include "fuzz.h"

#include <atomic>
#include <new>

#include "engine/dispatch.h"
#include "runtime/thread_pool.h"

using namespace bitdrop;

uint64_t case_number = 0;

// The engine asks for memory by this function alone, and must do without it.
static std::atomic<bool> memory_is_short{false};
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    if (memory_is_short) return nullptr;
    try {
        return ::operator new[](size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

const Kernels& any_kernels(Random* random) { return *available_kernels()[random->below(available_kernels().size())]; }

void check_bytes(const Guarded& got, const unsigned char* want, const char* what, const Kernels& kernels) {
    CHECK_CASE(got.size() == 0 || std::memcmp(got.data(), want, got.size()) == 0, what, kernels);
    CHECK_CASE(got.intact(), "a guard", kernels);
}

void check_elements(DType dtype, const Guarded& got, const unsigned char* want, const char* what,
                    const Kernels& kernels) {
    const size_t item = kItemSize[static_cast<int>(dtype)];
    for (size_t at = 0; at < got.size(); at += item)
        CHECK_CASE(same_element(dtype, got.data() + at, want + at), what, kernels);
    CHECK_CASE(got.intact(), "a guard", kernels);
}

namespace {

void try_one(Random* random) {
    memory_is_short = random->one_in(8);
    switch (random->below(27)) {
        case 0: return try_generate(random);
        case 1: return try_slice(random);
        case 2: return try_drop(random);
        case 3: return try_apply(random);
        case 4: return try_fill(random);
        case 5: return try_generate_bits(random);
        case 6:
        case 7: return try_generate_box(random);
        case 8: return try_copy_bits(random);
        case 9: return try_generate_block_bits(random);
        case 10: return try_accumulate(random);
        case 11: return try_scale_sum(random);
        case 12: return try_sums(random);
        case 13: return try_generate_noise(random);
        case 14: return try_noise(random);
        case 15:
        case 16: return try_noise_arrays(random);
        case 17: return try_double_bits(random);
        default: return try_arrays(random);
    }
}

uint64_t argument(int argc, char** argv, int at, uint64_t otherwise) {
    return argc > at ? std::strtoull(argv[at], nullptr, 10) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
    set_waking_factor(1);  // use several threads for small arrays
    const uint64_t cases = argument(argc, argv, 1, 20000), seed = argument(argc, argv, 2, 1);
    const uint64_t first = argument(argc, argv, 3, 0);
    for (case_number = first; case_number < first + cases; ++case_number) {
        Random random(seed + (case_number << 32));  // each case has its own seed, so that it can run alone
        try_one(&random);
    }
    std::printf("%llu cases, seed %llu\n", static_cast<unsigned long long>(cases),
                static_cast<unsigned long long>(seed));
}
