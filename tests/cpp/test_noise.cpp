// Golden file of the noise format, for each instruction set, thread count, alignment and kind of
// store.
#include "calls.h"
#include "engine/dispatch.h"
#include "golden.h"
#include "runtime/thread_pool.h"

using namespace bitdrop;

namespace {

constexpr int kMaxThreads = 8;

void check_output(const Guarded& got, const GoldenCase& c, const Kernels& kernels, const char* what) {
    CHECK(hash_elements(got.data(), c.item(), c.count) == c.output, "%s by %s: %s %s", what, kernels.name,
          kDTypeName[c.code()], c.output.c_str());
    CHECK(got.intact(), "%s by %s wrote outside", what, kernels.name);
}

void check_case(const GoldenCase& c, const Kernels& kernels, size_t offset) {
    const std::vector<float> z = normals_of(kernels, c.noise_plan(), c.first, c.count);
    CHECK(hash_normals(z) == c.draws, "normals by %s: %s", kernels.name, c.draws.c_str());
    const std::vector<unsigned char> input = golden_input(c);
    Guarded x(c.bytes(), (5 * offset + 3) % 64), y(c.bytes(), offset);
    std::memcpy(x.data(), input.data(), input.size());
    for (const bool non_temporal : {false, true}) {
        const Span span = make_span(y.data(), x.data(), c.count, non_temporal);
        kernels.noise[c.code()](c.noise_plan(), c.first, span);
        check_output(y, c, kernels, "noise");
        kernels.apply_normals[c.code()](z.data(), c.noise_plan().sigma, span);
        check_output(y, c, kernels, "apply_normals");
    }
    set_non_temporal_threshold(offset % 2 ? 0 : ~uint64_t{0});
    const int threads = c.count > 100000 ? kMaxThreads : 1 + static_cast<int>(offset) % 2;
    const Operands operands = contiguous_operands(c.dtype, y.data(), x.data(), c.count);
    noise({&kernels, threads}, operands, c.noise_plan(), c.first);
    check_output(y, c, kernels, "the engine");
    noise({&kernels, threads}, contiguous_operands(c.dtype, x.data(), x.data(), c.count), c.noise_plan(), c.first);
    check_output(x, c, kernels, "the engine in place");
}

}  // namespace

int main(int, char** argv) {
    set_waking_factor(1);  // so that threads share small arrays
    const std::vector<GoldenCase> cases = read_golden(argv[1], true);
    for (size_t i = 0; i < cases.size(); ++i)
        for (const Kernels* kernels : available_kernels()) check_case(cases[i], *kernels, i % 64);
    std::printf("%zu cases\n", cases.size());
}
