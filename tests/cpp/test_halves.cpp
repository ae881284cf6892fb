// float16 and bfloat16 on every instruction set against conversions written with ldexp and nearbyint: all 65,536
// values of each type widened and multiplied, and every rounding decision of narrowing.
#include <cmath>
#include <limits>
#include <vector>

#include "calls.h"
#include "engine/dispatch.h"
#include "kernels/half.h"
#include "random_case.h"

using namespace bitdrop;

namespace {

struct Format {
    DType dtype;
    int mantissa_bits, lowest_exponent, highest_exponent;  // of normal numbers

    uint16_t infinity() const { return static_cast<uint16_t>((2 * highest_exponent + 1) << mantissa_bits); }
    uint16_t one() const { return static_cast<uint16_t>(highest_exponent << mantissa_bits); }
};

constexpr Format kFormats[] = {{DType::float16, 10, -14, 15}, {DType::bfloat16, 7, -126, 127}};

double widened(const Format& format, uint16_t half) {
    const double sign = half & 0x8000 ? -1 : 1;
    const int magnitude = half & 0x7FFF, mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
    const int exponent = magnitude >> format.mantissa_bits;
    if (magnitude > format.infinity()) return std::numeric_limits<double>::quiet_NaN();
    if (magnitude == format.infinity()) return sign * std::numeric_limits<double>::infinity();
    if (exponent == 0) return sign * std::ldexp(mantissa, format.lowest_exponent - format.mantissa_bits);
    const int implicit = mantissa | 1 << format.mantissa_bits;
    return sign * std::ldexp(implicit, exponent - format.highest_exponent - format.mantissa_bits);
}

// The nearest number of the format, ties to even, in the words of IEEE 754.
uint16_t narrowed(const Format& format, float number) {
    const uint16_t sign = std::signbit(number) ? 0x8000 : 0;
    const auto value = static_cast<double>(std::fabs(number));
    if (std::isnan(value)) return static_cast<uint16_t>(format.infinity() + 1);
    if (std::isinf(value)) return sign | format.infinity();
    const int exponent = value == 0 ? format.lowest_exponent : std::max(std::ilogb(value), format.lowest_exponent);
    const int last_place = exponent - format.mantissa_bits;
    const double places = std::nearbyint(std::ldexp(value, -last_place));  // exact except for the rounding itself
    // `places` continues through the exponents like the encoding.
    const auto code =
        static_cast<int64_t>(places) + (int64_t{exponent - format.lowest_exponent} << format.mantissa_bits);
    return sign | static_cast<uint16_t>(std::min<int64_t>(code, format.infinity()));
}

bool same(const Format& format, uint16_t a, uint16_t b) {
    return a == b || (is_nan(format.dtype, a) && is_nan(format.dtype, b));
}

// All elements kept: dst[i] = narrow(widen(src[i]) * scale).
std::vector<uint16_t> multiply(const Kernels& kernels, DType dtype, const std::vector<uint16_t>& x, float scale) {
    std::vector<uint16_t> y(x.size());
    std::vector<uint8_t> bits((x.size() + 7) / 8, 0xFF);
    kernels.apply[0][static_cast<int>(dtype)](bits.data(), 0, {static_cast<double>(scale)},
                                              make_span(y.data(), x.data(), x.size()));
    return y;
}

void check_products(const Kernels& kernels, const Format& format) {
    std::vector<uint16_t> all(65536);
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    for (const float scale :
         {1.0f, 2.0f, 0.5f, 1 / 0.9f, 1 / 0.7f, 0.3f, 1000.0f, 0x1p-9f, 0x1.000002p0f, 0x1.fffffep-1f}) {
        const std::vector<uint16_t> y = multiply(kernels, format.dtype, all, scale);
        for (size_t i = 0; i < all.size(); ++i) {
            const float product = static_cast<float>(widened(format, all[i])) * scale;
            CHECK(same(format, y[i], narrowed(format, product)), "%s: %s 0x%04x times %a gave 0x%04x", kernels.name,
                  kDTypeName[static_cast<int>(format.dtype)], all[i], static_cast<double>(scale), y[i]);
        }
    }
}

// Every finite value of the format, the midpoint to the next one, and the floats beside both.
void check_rounding(const Kernels& kernels, const Format& format) {
    const std::vector<uint16_t> ones(19, format.one());  // whole vectors and a tail
    for (int half = 0; half < format.infinity(); ++half) {
        const double low = widened(format, static_cast<uint16_t>(half));
        const double next = half + 1 == format.infinity() ? std::ldexp(1, format.highest_exponent + 1)
                                                          : widened(format, static_cast<uint16_t>(half + 1));
        for (const double place : {low, (low + next) / 2})
            for (const float toward : {0.0f, static_cast<float>(place), std::numeric_limits<float>::infinity()}) {
                const float value = std::nextafter(static_cast<float>(place), toward);
                const uint16_t want = narrowed(format, value);
                for (const uint16_t got : multiply(kernels, format.dtype, ones, value))
                    CHECK(got == want, "%s: %a narrowed to 0x%04x, not 0x%04x", kernels.name,
                          static_cast<double>(value), got, want);
            }
    }
}

// half.h itself, used by the scalar kernels: random floats, including negative ones and NaNs.
void check_half_header() {
    Random random(1);
    for (int i = 0; i < 2000000; ++i) {
        const float value = float_from_bits(static_cast<uint32_t>(random.bits()));
        CHECK(same(kFormats[0], narrow_float16(value).bits, narrowed(kFormats[0], value)), "%a",
              static_cast<double>(value));
        CHECK(same(kFormats[1], narrow_bfloat16(value).bits, narrowed(kFormats[1], value)), "%a",
              static_cast<double>(value));
    }
}

}  // namespace

int main() {
    check_half_header();
    for (const Kernels* kernels : available_kernels())
        for (const Format& format : kFormats) {
            check_products(*kernels, format);
            check_rounding(*kernels, format);
        }
}
