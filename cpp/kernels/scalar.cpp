// The specification as readable loops. It runs on every machine, of either byte order, and every other
// kernel is compared with it bit for bit.
#include "../half.h"
#include "kernel_table.h"

namespace bitdrop {
namespace {

// xorshift128+: Vigna, "Further scramblings of Marsaglia's xorshift generators", 2017.
struct Lane {
    uint64_t s0 = 0, s1 = 0;

    Lane() = default;

    Lane(const Plan& plan, uint64_t block, uint64_t lane) {
        const uint64_t counter = kLanes * block + lane + 1;
        s0 = mix(plan.key0 + kGamma0 * counter);
        s1 = mix(plan.key1 + kGamma1 * counter);
    }

    uint64_t next() {
        uint64_t x = s0;
        const uint64_t y = s1;
        x ^= x << 23;
        const uint64_t drawn = s0 + s1;
        s0 = y;
        s1 = x ^ y ^ (x >> 18) ^ (y >> 5);
        return drawn;
    }
};

// One word of each of `draws`, `stride` words apart: the keep bits of 64 elements, before the tie rule.
uint64_t slice_word(const Plan& plan, const uint64_t* draws, int stride, uint64_t* undecided) {
    uint64_t keep = ~uint64_t{0};
    *undecided = ~uint64_t{0};
    for (int draw = 0; draw < plan.levels; ++draw) {
        const uint64_t r = draws[draw * stride];
        const uint64_t dropped = threshold_bit(plan.threshold, plan.levels - draw) ? ~uint64_t{0} : 0;
        keep = (r & keep) | (~r & ~dropped);
        *undecided &= r;
    }
    if (!plan.ties) *undecided = 0;
    return keep;
}

void slice(const Plan& plan, const uint64_t* draws, uint64_t* keep, uint64_t* undecided) {
    for (int lane = 0; lane < kLanes; ++lane) keep[lane] = slice_word(plan, draws + lane, kLanes, undecided + lane);
}

// Makes the rows of a mask in order, whole, from any row on.
class Rows {
public:
    Rows(const Plan& plan, uint64_t first_row) : plan_(plan), row_(first_row) {
        if (row_ % kRowsPerBlock == 0) return;  // next() seeds
        seed();
        const uint64_t draws = row_ % kRowsPerBlock * static_cast<uint64_t>(plan_.levels);
        for (Lane& lane : lanes_)
            for (uint64_t i = 0; i < draws; ++i) lane.next();
    }

    void next(uint8_t* bits) {
        if (row_ % kRowsPerBlock == 0) seed();
        for (uint64_t lane = 0; lane < kLanes; ++lane) {
            uint64_t draws[kMaxLevels];
            for (int level = 0; level < plan_.levels; ++level) draws[level] = lanes_[lane].next();
            uint64_t undecided = 0;
            uint64_t keep = plan_.levels ? slice_word(plan_, draws, 1, &undecided) : plan_.constant;
            resolve_ties(plan_, row_ * kRowElements + 64 * lane, &undecided, &keep, 1);
            store_word(bits + 8 * lane, keep);
        }
        ++row_;
    }

private:
    void seed() {
        for (uint64_t lane = 0; lane < kLanes; ++lane) lanes_[lane] = Lane(plan_, row_ / kRowsPerBlock, lane);
    }

    const Plan& plan_;
    uint64_t row_;
    Lane lanes_[kLanes];
};

void make_rows(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits) {
    Rows maker(plan, first_row);
    for (uint64_t row = 0; row < rows; ++row) maker.next(bits + row * kRowBytes);
}

// Arithmetic on T's: in double for double, else in float.
double widen(double x) { return x; }
float widen(float x) { return x; }
void narrow(double x, double* to) { *to = x; }
void narrow(float x, float* to) { *to = x; }
void narrow(float x, Float16* to) { *to = narrow_float16(x); }
void narrow(float x, BFloat16* to) { *to = narrow_bfloat16(x); }

template <class T> T kept_value(T x, const Run& run) {
    using Number = decltype(widen(x));
    Number y = widen(x) * static_cast<Number>(run.scale);
    if (run.shift != 0.0 || run.dropped != 0.0) y = y + static_cast<Number>(run.shift);
    T result;
    narrow(y, &result);
    return result;
}

template <class T> T dropped_value(const Run& run) {
    T result = {};
    if (run.dropped != 0.0) narrow(static_cast<decltype(widen(result))>(run.dropped), &result);
    return result;
}

// memcpy, not pointers to T: the arrays need not be aligned.
template <class T>
void apply_element(const Run& run, uint64_t i, bool kept) {
    T value;
    std::memcpy(&value, static_cast<const char*>(run.src) + i * sizeof(T), sizeof(T));
    value = kept ? kept_value(value, run) : dropped_value<T>(run);
    std::memcpy(static_cast<char*>(run.dst) + i * sizeof(T), &value, sizeof(T));
}

template <class T>
void apply(const Run& run) {
    for (uint64_t i = 0; i < run.count; ++i) apply_element<T>(run, i, packed_bit(run.bits, run.index + i));
}

template <class T>
void fill(const Run& run) {
    const T value = dropped_value<T>(run);
    for (uint64_t i = 0; i < run.count; ++i)
        std::memcpy(static_cast<char*>(run.dst) + i * sizeof(T), &value, sizeof(T));
}

void fence() {}

template <class T>
void drop(const Plan& plan, const Run& run) {
    Rows maker(plan, run.index / kRowElements);
    uint8_t row_bits[kRowBytes];
    for (uint64_t i = 0; i < run.count; ++i) {
        const uint64_t position = (run.index + i) % kRowElements;
        if (i == 0 || position == 0) maker.next(row_bits);
        const bool kept = packed_bit(row_bits, position);
        apply_element<T>(run, i, kept);
        if (run.bits) {
            if (i % 8 == 0) run.bits[i / 8] = 0;
            run.bits[i / 8] = static_cast<uint8_t>(run.bits[i / 8] | (kept << (i % 8)));
        }
    }
}

}  // namespace

extern const Kernels kScalarKernels = {
    "scalar",
    make_rows,
    {drop<Float16>, drop<BFloat16>, drop<float>, drop<double>},
    {apply<Float16>, apply<BFloat16>, apply<float>, apply<double>},
    {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
    fence,
    slice,
};

}  // namespace bitdrop
