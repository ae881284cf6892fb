// Writes the golden file to standard output, by the scalar kernel. A change of the output means a new mask format or a
// new rounding rule.
#include <cinttypes>
#include <cmath>

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
constexpr double kDropped[] = {0,     0x1p-65, 0x1p-64, 0x1p-60, 0x1p-20, 0.001,       1.0 / 3,     0.1, 0.25,
                               0.375, 0.5,     0.75,    0.9,     0.999,   1 - 0x1p-12, 1 - 0x1p-53, 1};
constexpr uint64_t kFirst[] = {
    0, 1, 4095, 3 * 1024, (uint64_t{1} << 32) + 17, (uint64_t{1} << 40) - 5, (uint64_t{1} << 63) + 1};
constexpr uint64_t kCount[] = {1, 2, 7, 8, 63, 65, 127, 1000, 1023, 1025, 2049, 4097, 9001};

void write_case(GoldenCase c) {
    const int code = static_cast<int>(c.dtype);
    std::vector<unsigned char> x(c.bytes()), y(c.bytes()), rows((c.first % kRowElements + c.count) / 8 + 2 * kRowBytes);
    golden_input(c, x.data());
    kScalarKernels.drop[0][code](c.plan(), c.first, nullptr, {c.scale}, make_span(y.data(), x.data(), c.count));
    const uint64_t skip = c.first % kRowElements;
    kScalarKernels.generate(c.plan(), c.first / kRowElements, (skip + c.count + kRowElements - 1) / kRowElements,
                            rows.data());
    std::vector<unsigned char> bits(c.bits_bytes());
    for (uint64_t i = 0; i < c.count; ++i)
        bits[i / 8] = static_cast<unsigned char>(bits[i / 8] | packed_bit(rows.data(), skip + i) << (i % 8));
    std::printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %a %a %" PRIu64 " %" PRIu64 " %s %s\n", kDTypeName[code],
                c.key0, c.key1, c.stream, c.p, c.scale, c.first, c.count, Sha256::of(bits.data(), bits.size()).c_str(),
                hash_elements(y.data(), c.item(), c.count).c_str());
}

}  // namespace

int main() {
    std::printf("# dtype key0 key1 stream p scale first count bits output\n");
    size_t turn = 0;
    const auto next = [&](const auto& list) { return list[turn % (sizeof list / sizeof *list)]; };
    for (const double p : kDropped) {
        const double inverted = p < 1 ? 1 / (1 - p) : 0;
        for (const uint64_t first : kFirst)
            for (int code = 0; code < kDTypes; ++code, ++turn) {
                const uint64_t* key = kKeys[turn % 5];
                const double scale = turn % 3 || p == 1 ? inverted : 0.7;
                write_case({static_cast<DType>(code), key[0], key[1], key[2], p, scale, first, next(kCount), "", ""});
            }
    }
    // Long enough for eight threads, and of a length that no vector divides.
    for (int code = 0; code < kDTypes; ++code)
        write_case({static_cast<DType>(code), 3, 4, 9, 0.1, 1 / 0.9, 0, (uint64_t{1} << 20) + 12345, "", ""});
}
