// Golden values and golden file of the noise format, for each instruction set, thread count, alignment and kind of
// store.
#include "calls.h"
#include "engine/dispatch.h"
#include "noise_golden.h"
#include "runtime/thread_pool.h"

using namespace bitdrop;

namespace {

constexpr int kMaxThreads = 8;

// The tables of docs/reference/noise-format.md.
void check_document() {
    const float first[] = {0x1.2775c8p+1f,  0x1.8659e8p-1f, 0x1.2b5e64p+0f, 0x1.5a8cp-3f,
                           -0x1.bca518p-4f, 0x1.ea96dp+0f,  0x1.c3e78cp+0f, 0x1.3cf452p+0f};
    const uint64_t top = ~uint64_t{0}, far = uint64_t{1} << 40;
    const struct {
        uint64_t key0, key1, stream, start, stop;
        const char* hash;
    } lines[] = {
        {0, 0, 0, 0, 10000, "a680c7c7adb111e2"},
        {1, 2, 0, 0, 4096, "19426264f958b7f4"},
        {1, 2, 7, 0, 1024, "bc8486fdca00933d"},
        {top, uint64_t{1} << 63, top, 1023, 5121, "595fa7132ba49a1f"},
        {5, 6, 1, far + 17, far + 9000, "d30cc27e8de53ce5"},
        {3, 4, 9, 0, uint64_t{1} << 22, "fdef4de1f3905620"},
    };
    for (const Kernels* kernels : available_kernels()) {
        const std::vector<float> z = normals_of(*kernels, make_noise_plan(1, 2, 0, 0.5), 0, 8);
        CHECK(std::memcmp(z.data(), first, sizeof first) == 0, "%s: first numbers", kernels->name);
        for (const auto& line : lines) {
            const NoisePlan plan = make_noise_plan(line.key0, line.key1, line.stream, 0.5);
            const std::vector<float> numbers = normals_of(*kernels, plan, line.start, line.stop - line.start);
            CHECK(hash_normals(numbers) == line.hash, "%s: %s", kernels->name, line.hash);
        }
    }
}

void check_output(const Guarded& got, const NoiseCase& c, const Kernels& kernels, const char* what) {
    CHECK(hash_elements(got.data(), c.item(), c.count) == c.output, "%s by %s: %s %s", what, kernels.name,
          kDTypeName[c.code()], c.output.c_str());
    CHECK(got.intact(), "%s by %s wrote outside", what, kernels.name);
}

void check_case(const NoiseCase& c, const Kernels& kernels, size_t offset) {
    const std::vector<float> z = normals_of(kernels, c.plan(), c.first, c.count);
    CHECK(hash_normals(z) == c.normals, "normals by %s: %s", kernels.name, c.normals.c_str());
    const std::vector<unsigned char> input = c.input();
    Guarded x(c.bytes(), (5 * offset + 3) % 64), y(c.bytes(), offset);
    std::memcpy(x.data(), input.data(), input.size());
    for (const bool non_temporal : {false, true}) {
        const Span span = make_span(y.data(), x.data(), c.count, non_temporal);
        kernels.noise[c.code()](c.plan(), c.first, span);
        check_output(y, c, kernels, "noise");
        kernels.apply_normals[c.code()](z.data(), c.plan().sigma, span);
        check_output(y, c, kernels, "apply_normals");
    }
    set_non_temporal_threshold(offset % 2 ? 0 : ~uint64_t{0});
    const int threads = c.count > 100000 ? kMaxThreads : 1 + static_cast<int>(offset) % 2;
    const Operands operands = contiguous_operands(c.dtype, y.data(), x.data(), c.count);
    noise({&kernels, threads}, operands, c.plan(), c.first);
    check_output(y, c, kernels, "the engine");
    noise({&kernels, threads}, contiguous_operands(c.dtype, x.data(), x.data(), c.count), c.plan(), c.first);
    check_output(x, c, kernels, "the engine in place");
}

}  // namespace

int main(int, char** argv) {
    set_waking_factor(1);  // so that threads share small arrays
    check_document();
    const std::vector<NoiseCase> cases = read_noise_golden(argv[1]);
    for (size_t i = 0; i < cases.size(); ++i)
        for (const Kernels* kernels : available_kernels()) check_case(cases[i], *kernels, i % 64);
    std::printf("%zu cases\n", cases.size());
}
