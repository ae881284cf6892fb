// Writes a golden file to standard output, by the scalar kernels: make_golden [noise]. A change of the output means a
// new mask format, a new noise format or a new rounding rule.
#include <cinttypes>

#include "calls.h"
#include "golden.h"

using namespace bitdrop;

namespace {

constexpr uint64_t kKeys[][3] = {  // key0, key1, stream
                                 {0, 0, 0},
                                 {1, 2, 7},
                                 {5, 6, 1},
                                 {~uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0}},
                                 {0x0123456789ABCDEF, 42, 1000000}};
constexpr uint64_t kFar[] = {(uint64_t{1} << 32) + 17, (uint64_t{1} << 40) - 5, (uint64_t{1} << 63) + 1};

// The lists that the cases of a file go through, in turn.
struct Lists {
    std::vector<double> p;
    std::vector<uint64_t> first, count;
};

const Lists kMasks = {{0, 0x1p-65, 0x1p-64, 0x1p-60, 0x1p-20, 0.001, 1.0 / 3, 0.1, 0.25, 0.375, 0.5, 0.75, 0.9, 0.999,
                       1 - 0x1p-12, 1 - 0x1p-53, 1},
                      {0, 1, 4095, 3 * 1024, kFar[0], kFar[1], kFar[2]},
                      {1, 2, 7, 8, 63, 65, 127, 1000, 1023, 1025, 2049, 4097, 9001}};
const Lists kNoise = {{0, 0x1p-60, 0.001, 0.1, 0.25, 1.0 / 3, 0.5, 0.75, 0.9, 0.999, 1 - 0x1p-53},
                      {0, 1, 1023, 3 * 1024, kFar[0], kFar[1], kFar[2]},
                      {1, 2, 7, 8, 31, 33, 127, 1000, 1023, 1025, 2049, 4097, 9001}};

std::string hash_bits(const GoldenCase& c) {
    const uint64_t skip = c.first % kRowElements;
    std::vector<unsigned char> rows((skip + c.count) / 8 + 2 * kRowBytes), bits(c.bits_bytes());
    kScalarKernels.generate(c.plan(), c.first / kRowElements, (skip + c.count + kRowElements - 1) / kRowElements,
                            rows.data());
    for (uint64_t i = 0; i < c.count; ++i)
        bits[i / 8] = static_cast<unsigned char>(bits[i / 8] | packed_bit(rows.data(), skip + i) << (i % 8));
    return Sha256::of(bits.data(), bits.size());
}

void write_case(const GoldenCase& c, bool of_noise) {
    const std::vector<unsigned char> x = golden_input(c);
    std::vector<unsigned char> y(c.bytes());
    const Span span = make_span(y.data(), x.data(), c.count);
    std::printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %a", kDTypeName[c.code()], c.key0, c.key1, c.stream, c.p);
    if (of_noise) {
        kScalarKernels.noise[c.code()](c.noise_plan(), c.first, span);
    } else {
        kScalarKernels.drop[0][c.code()](c.plan(), c.first, nullptr, {c.scale}, span);
        std::printf(" %a", c.scale);
    }
    const std::string draws =
        of_noise ? hash_normals(normals_of(kScalarKernels, c.noise_plan(), c.first, c.count)) : hash_bits(c);
    std::printf(" %" PRIu64 " %" PRIu64 " %s %s\n", c.first, c.count, draws.c_str(),
                hash_elements(y.data(), c.item(), c.count).c_str());
}

}  // namespace

int main(int argc, char**) {
    const bool of_noise = argc > 1;
    const Lists& lists = of_noise ? kNoise : kMasks;
    std::printf("# dtype key0 key1 stream p %sfirst count %s output\n", of_noise ? "" : "scale ",
                of_noise ? "normals" : "bits");
    size_t turn = 0;
    for (const double p : lists.p) {
        const double inverted = p < 1 ? 1 / (1 - p) : 0;
        for (const uint64_t first : lists.first)
            for (int code = 0; code < kDTypes; ++code, ++turn) {
                const uint64_t* key = kKeys[turn % 5];
                const double scale = turn % 3 || p == 1 ? inverted : 0.7;
                const uint64_t count = lists.count[turn % lists.count.size()];
                write_case({static_cast<DType>(code), key[0], key[1], key[2], p, scale, first, count, "", ""},
                           of_noise);
            }
    }
    // Long enough for eight threads, and of a length that no vector divides.
    for (int code = 0; code < kDTypes; ++code)
        write_case({static_cast<DType>(code), 3, 4, 9, 0.1, 1 / 0.9, 0, (uint64_t{1} << 20) + 12345, "", ""}, of_noise);
}
