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
        : c(golden), plan(c.plan()), x(c.bytes()), y(c.bytes()), bits(c.bits_bytes()) {
        golden_input(c, x.data());
        generate_bits(kScalarKernels, plan, contiguous_box(c.first, c.count), bits.data(), 1);
        kScalarKernels.drop[kScale][code()](plan, c.first, nullptr, {c.scale}, make_span(y.data(), x.data(), c.count));
        CHECK(Sha256::of(bits.data(), bits.size()) == c.bits, "bits of %s", text().c_str());
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

// The values printed in mask-format.md, so that this test does not depend on the scalar kernel alone.
void check_document() {
    struct Line {
        uint64_t key0, key1, stream;
        double p;
        uint64_t start, stop;
        const char* hash;
    };
    const uint64_t far = uint64_t{1} << 40, many = uint64_t{1} << 22;
    const Line lines[] = {
        {0, 0, 0, 0.5, 0, 10000, "4a2cbbdf5db25c05"},
        {1, 2, 0, 0.1, 0, 10000, "ab48b45ab68669f1"},
        {1, 2, 7, 0.25, 0, 4096, "b4fd5b69991ece7b"},
        {~uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0}, 0.9, 4095, 12289, "3d1a2dab438754e6"},
        {5, 6, 1, 0.001, far + 17, far + 9000, "2e056dba43eec90b"},
        {3, 4, 9, 0.1, 0, many, "053ff5f03f2d37a3"},
        {3, 4, 9, 1.0 / 3, 0, many, "da165a3157778744"},
        {3, 4, 9, 0.999, 0, many, "05adfcf7d7d7cd51"},
        {3, 4, 9, 0x1p-20, 0, many, "a4d3af91494139cd"},
    };
    for (const Kernels* kernels : available_kernels())
        for (const Line& line : lines) {
            std::vector<unsigned char> bits((line.stop - line.start + 7) / 8);
            const Plan plan = make_plan(line.key0, line.key1, line.stream, line.p);
            generate_bits(*kernels, plan, contiguous_box(line.start, line.stop - line.start), bits.data(), 2);
            CHECK(Sha256::of(bits.data(), bits.size()) == line.hash, "%s, p = %g", kernels->name, line.p);
        }
}

}  // namespace

int main(int, char** argv) {
    set_waking_factor(1);  // use several threads for small arrays
    check_document();
    const std::vector<GoldenCase> cases = read_golden(argv[1]);
    for (size_t i = 0; i < cases.size(); ++i) {
        const Expected expected(cases[i]);
        for (const Kernels* kernels : available_kernels()) check_case(expected, *kernels, i);
    }
    std::printf("%zu cases\n", cases.size());
}
