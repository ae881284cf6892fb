// Writes the golden file of the noise format to standard output, by the scalar kernel. A change of the output means a
// new noise format or a new rounding rule.
#include <cinttypes>

#include "calls.h"
#include "noise_golden.h"

using namespace bitdrop;

namespace {

constexpr uint64_t kKeys[][3] = {  // key0, key1, stream
                                 {0, 0, 0},
                                 {1, 2, 7},
                                 {5, 6, 1},
                                 {~uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0}},
                                 {0x0123456789ABCDEF, 42, 1000000}};
constexpr double kP[] = {0, 0x1p-60, 0.001, 0.1, 0.25, 1.0 / 3, 0.5, 0.75, 0.9, 0.999, 1 - 0x1p-53};
constexpr uint64_t kFirst[] = {
    0, 1, 1023, 3 * 1024, (uint64_t{1} << 32) + 17, (uint64_t{1} << 40) - 5, (uint64_t{1} << 63) + 1};
constexpr uint64_t kCount[] = {1, 2, 7, 8, 31, 33, 127, 1000, 1023, 1025, 2049, 4097, 9001};

void write_case(const NoiseCase& c) {
    std::vector<unsigned char> x = c.input(), y(c.bytes());
    kScalarKernels.noise[c.code()](c.plan(), c.first, make_span(y.data(), x.data(), c.count));
    std::printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %a %" PRIu64 " %" PRIu64 " %s %s\n", kDTypeName[c.code()],
                c.key0, c.key1, c.stream, c.p, c.first, c.count,
                hash_normals(normals_of(kScalarKernels, c.plan(), c.first, c.count)).c_str(),
                hash_elements(y.data(), c.item(), c.count).c_str());
}

}  // namespace

int main() {
    std::printf("# dtype key0 key1 stream p first count normals output\n");
    size_t turn = 0;
    for (const double p : kP)
        for (const uint64_t first : kFirst)
            for (int code = 0; code < kDTypes; ++code, ++turn) {
                const uint64_t* key = kKeys[turn % 5];
                const uint64_t count = kCount[turn % (sizeof kCount / sizeof *kCount)];
                write_case({static_cast<DType>(code), key[0], key[1], key[2], p, first, count, "", ""});
            }
    // Long enough for eight threads, and of a length that no vector divides.
    for (int code = 0; code < kDTypes; ++code)
        write_case({static_cast<DType>(code), 3, 4, 9, 0.1, 0, (uint64_t{1} << 20) + 12345, "", ""});
}
