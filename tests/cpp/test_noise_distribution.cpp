// The distribution of the normal numbers of the noise format, by enumeration of the random bits:
//
//   test_noise_distribution [step]
//
// compares every step-th of the 2^30 magnitudes with the quantile function of the normal distribution. With step 1
// (half a minute) it prints the figures of docs/reference/noise-format.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "format/noise_format.h"

using namespace bitdrop;

namespace {

constexpr uint64_t kMagnitudes = uint64_t{1} << 30;  // of i = 1, 3, ... 2^31 - 1; numbers of -i are the same, negative
constexpr double kPi = 3.14159265358979323846;

template <size_t n> double horner(const double (&coefficients)[n], double x) {
    double sum = 0;
    for (const double c : coefficients) sum = sum * x + c;
    return sum;
}

// The number whose upper tail has probability t, where q = 1/2 - t: algorithm AS 241 (Wichura, 1988), 16 digits.
double quantile(double q, double t) {
    if (q <= 0.425) {
        const double numerator[] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                                    45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                                    133.14166789178437745, 3.387132872796366608};
        const double denominator[] = {
            5226.495278852545925,  28729.085735721942674, 39307.89580009271061,  21213.794301586595867,
            5394.1960214247511077, 687.1870074920579083,  42.313330701600911252, 1.0};
        const double r = 0.180625 - q * q;
        return q * horner(numerator, r) / horner(denominator, r);
    }
    const double numerator[] = {7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
                                1.27045825245236838258,   3.64784832476320460504,   5.7694972214606914055,
                                4.6303378461565452959,    1.42343711074968357734};
    const double denominator[] = {
        1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
        0.68976733498510000455,    1.6763848301838038494,   2.05319162663775882187,   1.0};
    const double r = std::sqrt(-std::log(t)) - 1.6;
    return horner(numerator, r) / horner(denominator, r);
}

double magnitude(uint32_t bits) { return static_cast<double>(normal_of(bits)); }

struct Facts {
    double units = 0, relative = 0, distribution = 0;  // largest errors
    double second = 0, fourth = 0;  // sums of powers
    double second_error = 0, fourth_error = 0;  // sums of differences of powers
    uint64_t count = 0, beyond[7] = {};  // numbers greater than 0, 1, ...

    void add(uint64_t k) {
        const uint32_t i = static_cast<uint32_t>(2 * k + 1);
        const double q = i * 0x1p-32, exact = quantile(q, 0.5 - q), z = magnitude(i), error = std::fabs(z - exact);
        units = std::max(units, error / std::ldexp(1.0, std::ilogb(exact) - 23));
        relative = std::max(relative, error / exact);
        const double density = std::exp(-exact * exact / 2) / std::sqrt(2 * kPi);
        distribution = std::max(distribution, error * density + 0x1p-32);
        second += z * z;
        fourth += z * z * z * z;
        second_error += z * z - exact * exact;
        fourth_error += z * z * z * z - exact * exact * exact * exact;
        for (int bound = 0; bound < 7; ++bound) beyond[bound] += z > bound;
        ++count;
    }

    void print() const {
        const double n = static_cast<double>(count);
        std::printf("largest error: %.2f units in the last place, relative %.2e\n", units, relative);
        std::printf("largest error of the distribution function: %.1e\n", distribution);
        std::printf("variance - 1: %.1e, fourth moment - 3: %.1e\n", second / n - 1, fourth / n - 3);
        std::printf("smallest and largest magnitude: %.3g, %.6f\n", magnitude(1), magnitude(0x7FFFFFFF));
        for (int bound = 1; bound < 7; ++bound) {
            const double share = static_cast<double>(beyond[bound]) / n, exact = std::erfc(bound / std::sqrt(2.0));
            std::printf("P(|z| > %d) = %.8g, relative error %.1e\n", bound, share, share / exact - 1);
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    const uint64_t step = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    Facts facts;
    for (uint64_t k = 0; k < kMagnitudes; k += step) facts.add(k);
    facts.print();
    const double n = static_cast<double>(facts.count);
    CHECK(facts.units < 7 && facts.relative < 5e-7, "%g units", facts.units);
    CHECK(facts.distribution < 2e-7, "%g", facts.distribution);
    CHECK(std::fabs(facts.second_error / n) < 1e-7, "%g", facts.second_error / n);
    CHECK(std::fabs(facts.fourth_error / n) < 1e-6, "%g", facts.fourth_error / n);
}
