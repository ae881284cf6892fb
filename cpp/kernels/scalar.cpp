// The specification as readable loops, for every machine of either byte order. All other kernels are compared
// with it bit for bit.
#include <cstring>

#include "half.h"
#include "kernel_table.h"

namespace bitdrop {
namespace {

// xorshift128+: Vigna, "Further scramblings of Marsaglia's xorshift generators", 2017.
struct Lane {
    uint64_t s0 = 0, s1 = 0;

    Lane() = default;

    template <class Keys> Lane(const Keys& plan, uint64_t block, uint64_t lane) {
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

// Generates the rows of a mask in order, whole, from any row on.
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

void generate(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits) {
    Rows source(plan, first_row);
    for (uint64_t row = 0; row < rows; ++row) source.next(bits + row * kRowBytes);
}

// Arithmetic on T's: in double for double, else in float.
double widen(double x) { return x; }
float widen(float x) { return x; }
void narrow(double x, double* to) { *to = x; }
void narrow(float x, float* to) { *to = x; }
void narrow(float x, Float16* to) { *to = narrow_float16(x); }
void narrow(float x, BFloat16* to) { *to = narrow_bfloat16(x); }
template <class T> using Number = decltype(widen(T{}));

// memcpy, not pointers to T: arrays need not be aligned.
template <class T> T load(const void* array, uint64_t i) {
    T value;
    std::memcpy(&value, static_cast<const char*>(array) + i * sizeof(T), sizeof(T));
    return value;
}
template <class T> void store(void* array, uint64_t i, T value) {
    std::memcpy(static_cast<char*>(array) + i * sizeof(T), &value, sizeof(T));
}
template <class T> void store_number(void* array, uint64_t i, Number<T> number) {
    T value;
    narrow(number, &value);
    store(array, i, value);
}

// Input `input` of element i.
template <class T> Number<T> input_of(const Span& span, int input, uint64_t i) {
    return widen(load<T>(span.inputs[input], span.constant[input] ? 0 : i));
}

// The result for element i. `kept` becomes false if the element is not active.
template <class T, Operation operation>
Number<T> result(const Affine& affine, const Span& span, uint64_t i, bool* kept) {
    using N = Number<T>;
    const N scale = static_cast<N>(affine.scale);
    N x = input_of<T>(span, 0, i);
    if (inputs_of(operation) == 3) x = x + input_of<T>(span, 1, i);
    if (has_activation(operation) && x <= N{0}) *kept = false;
    const N scaled = x * scale;
    switch (operation) {
        case Operation::scale:
        case Operation::relu:
        case Operation::scale_sum: return *kept ? scaled : N{0};
        case Operation::affine: return *kept ? scaled + static_cast<N>(affine.shift) : static_cast<N>(affine.dropped);
        case Operation::select: return *kept ? x : input_of<T>(span, 1, i);
        case Operation::blend: return scaled + input_of<T>(span, 1, i) * static_cast<N>(affine.shift);
        case Operation::fused:
        case Operation::fused_relu: break;
    }
    return input_of<T>(span, 2, i) + (*kept ? scaled : N{0});
}

void set_bit(uint8_t* bits, uint64_t i, bool bit) {
    const unsigned mask = 1u << (i % 8);
    bits[i / 8] = static_cast<uint8_t>((bits[i / 8] & ~mask) | (bit ? mask : 0));
}

template <class T, Operation operation>
void apply(uint8_t* bits, uint64_t first_bit, const Affine& affine, const Span& span) {
    for (uint64_t i = 0; i < span.count; ++i) {
        bool kept = packed_bit(bits, first_bit + i);
        const Number<T> number = result<T, operation>(affine, span, i, &kept);
        store_number<T>(span.out, i, number);
        if (has_activation(operation)) set_bit(bits, i, kept);
        if (operation == Operation::scale_sum)
            store_number<T>(const_cast<void*>(span.inputs[1]), i, input_of<T>(span, 1, i) + number);
    }
    if (has_activation(operation))
        for (uint64_t i = span.count; i % 8; ++i) set_bit(bits, i, false);
}

template <class T, Operation operation>
void drop(const Plan& plan, uint64_t first_element, uint8_t* bits, const Affine& affine, const Span& span) {
    Rows source(plan, first_element / kRowElements);
    uint8_t row_bits[kRowBytes];
    for (uint64_t i = 0; i < span.count; ++i) {
        const uint64_t position = (first_element + i) % kRowElements;
        if (i == 0 || position == 0) source.next(row_bits);
        bool kept = packed_bit(row_bits, position);
        store_number<T>(span.out, i, result<T, operation>(affine, span, i, &kept));
        if (bits) {
            if (i % 8 == 0) bits[i / 8] = 0;
            set_bit(bits, i, kept);
        }
    }
}

// `count` elements of one-input operands from element `first` on.
Span part_of(const Span& span, uint64_t first, uint64_t count, size_t size) {
    return {
        static_cast<char*>(span.out) + first * size, {static_cast<const char*>(span.inputs[0]) + first * size}, count};
}

template <class T> void fill(double value, const Span& span) {
    for (uint64_t i = 0; i < span.count; ++i) store_number<T>(span.out, i, static_cast<Number<T>>(value));
}

void generate_noise(const NoisePlan& plan, uint64_t first_block, uint64_t blocks, float* z) {
    uint32_t words[kNoiseBlockElements];
    for (uint64_t block = first_block; blocks; ++block, --blocks, z += kNoiseBlockElements) {
        noise_words(plan, block, words);
        for (uint64_t i = 0; i < kNoiseBlockElements; ++i) z[i] = normal_of(words[i]);
    }
}

template <class T> void apply_normals(const float* z, double sigma, const Span& span) {
    using N = Number<T>;
    for (uint64_t i = 0; i < span.count; ++i) {
        const N factor = N{1} + static_cast<N>(sigma) * static_cast<N>(z[i]);
        store_number<T>(span.out, i, widen(load<T>(span.inputs[0], i)) * factor);
    }
}

template <class T> void noise(const NoisePlan& plan, uint64_t first_element, const Span& span) {
    for (uint64_t done = 0; done < span.count;) {
        float z[kNoiseBlockElements];
        const uint64_t at = (first_element + done) % kNoiseBlockElements;
        const uint64_t left = span.count - done, room = kNoiseBlockElements - at;
        generate_noise(plan, (first_element + done) / kNoiseBlockElements, 1, z);
        const Span part = part_of(span, done, left < room ? left : room, sizeof(T));
        apply_normals<T>(z + at, plan.sigma, part);
        done += part.count;
    }
}

template <class T> void accumulate(const void* values, uint64_t count, void* sums, int64_t stride) {
    using N = Number<T>;
    N* const to = static_cast<N*>(sums);
    if (stride) {
        for (uint64_t i = 0; i < count; ++i) to[static_cast<int64_t>(i) * stride] += widen(load<T>(values, i));
        return;
    }
    N lanes[kSumLanes] = {};
    for (uint64_t i = 0; i < count; ++i) lanes[i % kSumLanes] += widen(load<T>(values, i));
    for (int half = kSumLanes / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    *to += lanes[0];
}

void fence() {}

template <Operation operation> constexpr void add(Kernels* kernels) {
    Kernels::Drop* drops = kernels->drop[static_cast<int>(operation)];
    drops[static_cast<int>(DType::float16)] = drop<Float16, operation>;
    drops[static_cast<int>(DType::bfloat16)] = drop<BFloat16, operation>;
    drops[static_cast<int>(DType::float32)] = drop<float, operation>;
    drops[static_cast<int>(DType::float64)] = drop<double, operation>;
    Kernels::Apply* applies = kernels->apply[static_cast<int>(operation)];
    applies[static_cast<int>(DType::float16)] = apply<Float16, operation>;
    applies[static_cast<int>(DType::bfloat16)] = apply<BFloat16, operation>;
    applies[static_cast<int>(DType::float32)] = apply<float, operation>;
    applies[static_cast<int>(DType::float64)] = apply<double, operation>;
}

constexpr Kernels table() {
    Kernels kernels = {
        "scalar",
        0,
        generate,
        {},
        {},
        {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
        generate_noise,
        {noise<Float16>, noise<BFloat16>, noise<float>, noise<double>},
        {apply_normals<Float16>, apply_normals<BFloat16>, apply_normals<float>, apply_normals<double>},
        {accumulate<Float16>, accumulate<BFloat16>, accumulate<float>, accumulate<double>},
        fence,
        slice,
    };
    add<Operation::scale>(&kernels);
    add<Operation::affine>(&kernels);
    add<Operation::relu>(&kernels);
    add<Operation::fused>(&kernels);
    add<Operation::fused_relu>(&kernels);
    add<Operation::select>(&kernels);
    add<Operation::blend>(&kernels);
    Kernels::Apply* sums = kernels.apply[static_cast<int>(Operation::scale_sum)];
    sums[static_cast<int>(DType::float32)] = apply<float, Operation::scale_sum>;
    sums[static_cast<int>(DType::float64)] = apply<double, Operation::scale_sum>;
    return kernels;
}

}  // namespace

void noise_words(const NoisePlan& plan, uint64_t block, uint32_t* words) {
    for (uint64_t lane = 0; lane < kLanes; ++lane) {
        Lane generator(plan, block, lane);
        for (uint64_t draw = 0; draw < kNoiseDraws; ++draw) {
            const uint64_t r = generator.next();
            uint32_t* const pair = words + draw * 2 * kLanes + 2 * lane;
            pair[0] = static_cast<uint32_t>(r);
            pair[1] = static_cast<uint32_t>(r >> 32);
        }
    }
}

extern const Kernels kScalarKernels = table();

}  // namespace bitdrop
