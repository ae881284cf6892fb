// Golden file: bits and outputs by every path of the engine, for each instruction set, thread count, alignment and
// kind of store.
#include <memory>

#include "calls.h"
#include "engine/dispatch.h"
#include "golden.h"
#include "runtime/thread_pool.h"

using namespace bitdrop;

namespace {

constexpr int kMaxThreads = 8;
constexpr int kScale = static_cast<int>(Operation::scale);
constexpr uint64_t kAlways = 0, kNever = ~uint64_t{0};  // thresholds of non-temporal stores

// Case with the expected result of every instruction set, by the scalar kernels, checked against the file.
struct Expected {
    const GoldenCase& c;
    Plan plan;
    std::vector<unsigned char> x, y, bits;

    explicit Expected(const GoldenCase& golden)
        : c(golden), plan(c.plan()), x(golden_input(c)), y(c.bytes()), bits(c.bits_bytes()) {
        generate_bits(kScalarKernels, plan, contiguous_box(c.first, c.count), bits.data(), 1);
        kScalarKernels.drop[kScale][code()](plan, c.first, nullptr, {c.scale}, make_span(y.data(), x.data(), c.count));
        CHECK(Sha256::of(bits.data(), bits.size()) == c.draws, "bits of %s", text().c_str());
        CHECK(hash_elements(y.data(), c.item(), c.count) == c.output, "output of %s", text().c_str());
    }

    int code() const { return static_cast<int>(c.dtype); }

    std::string text() const {
        char line[200];
        std::snprintf(line, sizeof line, "%s, p = %a, first = %llu, count = %llu", kDTypeName[code()], c.p,
                      static_cast<unsigned long long>(c.first), static_cast<unsigned long long>(c.count));
        return line;
    }
};

void check_same(const Guarded& got, const std::vector<unsigned char>& want, const Expected& e, const Kernels& kernels,
                const char* what, size_t offset) {
    CHECK(std::memcmp(got.data(), want.data(), want.size()) == 0, "%s by %s at offset %zu: %s", what, kernels.name,
          offset, e.text().c_str());
    CHECK(got.intact(), "%s by %s at offset %zu wrote outside: %s", what, kernels.name, offset, e.text().c_str());
}

// Direct calls of the kernels, with both arrays at byte offsets.
void check_kernels(const Expected& e, const Kernels& kernels, size_t offset, bool non_temporal) {
    const size_t src_offset = (5 * offset + 3) % 64;  // takes all values too
    Guarded x(e.c.bytes(), src_offset), y(e.c.bytes(), offset), bits(e.bits.size(), offset);
    std::memcpy(x.data(), e.x.data(), e.x.size());
    const Affine affine = {e.c.scale};
    const auto drop = kernels.drop[kScale][e.code()];
    const auto apply = kernels.apply[kScale][e.code()];
    const Span span = make_span(y.data(), x.data(), e.c.count, non_temporal);
    drop(e.plan, e.c.first, nullptr, affine, span);
    check_same(y, e.y, e, kernels, "drop", offset);

    if (e.c.first % kRowElements == 0) {
        drop(e.plan, e.c.first, bits.data(), affine, span);
        check_same(y, e.y, e, kernels, "drop with bits", offset);
        check_same(bits, e.bits, e, kernels, "bits of drop", offset);
    }

    std::memcpy(bits.data(), e.bits.data(), e.bits.size());
    apply(bits.data(), 0, affine, span);
    check_same(y, e.y, e, kernels, "apply", offset);

    apply(bits.data(), 0, affine, make_span(x.data(), x.data(), e.c.count));
    check_same(x, e.y, e, kernels, "apply in place", src_offset);
}

void check_generate_bits(const Expected& e, const Kernels& kernels, int threads, size_t offset) {
    Guarded bits(e.bits.size(), offset);
    generate_bits(kernels, e.plan, contiguous_box(e.c.first, e.c.count), bits.data(), threads);
    check_same(bits, e.bits, e, kernels, "generate_bits", offset);
}

void check_engine(const Expected& e, const Kernels& kernels, int threads, size_t offset) {
    Guarded x(e.c.bytes(), offset), y(e.c.bytes(), offset), bits(e.bits.size(), offset);
    std::memcpy(x.data(), e.x.data(), e.x.size());
    const Resources with = {&kernels, threads};
    const Affine affine = {e.c.scale};
    Operands operands = contiguous_operands(e.c.dtype, y.data(), x.data(), e.c.count);
    drop(with, operands, affine, e.plan, bits.data());
    check_same(y, e.y, e, kernels, "the engine", offset);
    check_same(bits, e.bits, e, kernels, "bits of the engine", offset);

    Guarded backward(e.c.bytes(), offset);
    operands.data[0] = reinterpret_cast<char*>(backward.data());
    apply(with, operands, affine, bits.data());
    check_same(backward, e.y, e, kernels, "the engine with stored bits", offset);
}

void check_case(const Expected& e, const Kernels& kernels, size_t turn) {
    const bool is_long = e.c.count > 100000;
    // Half of the cases go through all offsets. For a kernel the other cases differ in nothing else.
    const size_t step = is_long ? 31 : 1 + turn % 2 * 12;
    for (size_t offset = turn % step; offset < 64; offset += step)
        for (const bool non_temporal : {false, true}) check_kernels(e, kernels, offset, non_temporal);
    for (int threads = 1; threads <= kMaxThreads; threads += is_long ? 1 : 7) {
        check_generate_bits(e, kernels, threads, turn % 64);
        if (e.c.first != 0) continue;
        for (const uint64_t threshold : {kAlways, kNever}) {
            set_non_temporal_threshold(threshold);
            check_engine(e, kernels, threads, (turn + static_cast<size_t>(threads)) % 64);
        }
    }
}

}  // namespace

int main(int, char** argv) {
    set_waking_factor(1);  // use several threads for small arrays
    const std::vector<GoldenCase> cases = read_golden(argv[1]);
    for (size_t i = 0; i < cases.size(); ++i) {
        const Expected expected(cases[i]);
        for (const Kernels* kernels : available_kernels()) check_case(expected, *kernels, i);
    }
    std::printf("%zu cases\n", cases.size());
}
