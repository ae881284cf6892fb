// The kernels of every instruction set, written against the vector type `Vec`. A file for one instruction
// set includes its simd_*.h and then this. All of it has internal linkage; see docs/design.md for why.
#include <cstring>

#include "kernel_table.h"

// Where a call in the loop, or the bulk of a rare case beside it, costs a third of the speed.
#if defined(_MSC_VER)
#define BITDROP_INLINE __forceinline
#define BITDROP_NOINLINE __declspec(noinline)
#else
#define BITDROP_INLINE __attribute__((always_inline)) inline
#define BITDROP_NOINLINE __attribute__((noinline))
#endif

namespace bitdrop {
namespace {

// ---- Making bits: words in, words out; nothing here knows of floating-point types. ----

using Words = Vec::Words;
constexpr int kGroup = Vec::kWords * Vec::kChains;  // lanes that are worked on together
static_assert(kLanes % kGroup == 0, "groups must divide the lanes");

Words mix(Words z) {
    z = Vec::multiply(Vec::bit_xor(z, Vec::shift_right<30>(z)), Vec::broadcast(kMix1));
    z = Vec::multiply(Vec::bit_xor(z, Vec::shift_right<27>(z)), Vec::broadcast(kMix2));
    return Vec::bit_xor(z, Vec::shift_right<31>(z));
}

// The states of a block's generators.
struct alignas(64) Block {
    uint64_t s0[kLanes], s1[kLanes];

    void seed(const Plan& plan, uint64_t block) {
        uint64_t steps0[kLanes], steps1[kLanes];  // constants: G * lane, so that G * counter is one addition
        for (uint64_t lane = 0; lane < kLanes; ++lane) {
            steps0[lane] = kGamma0 * lane;
            steps1[lane] = kGamma1 * lane;
        }
        const uint64_t counter = kLanes * block + 1;
        const Words base0 = Vec::broadcast(plan.key0 + kGamma0 * counter);
        const Words base1 = Vec::broadcast(plan.key1 + kGamma1 * counter);
        for (int lane = 0; lane < kLanes; lane += Vec::kWords) {
            Vec::store_words(s0 + lane, mix(Vec::add(base0, Vec::load_words(steps0 + lane))));
            Vec::store_words(s1 + lane, mix(Vec::add(base1, Vec::load_words(steps1 + lane))));
        }
    }
};

// xorshift128+ for a group of lanes, held in registers for a row.
struct Generators {
    Words s0[Vec::kChains], s1[Vec::kChains];

    void load(const Block& block, int lane) {
        for (int c = 0; c < Vec::kChains; ++c) {
            s0[c] = Vec::load_words(block.s0 + lane + c * Vec::kWords);
            s1[c] = Vec::load_words(block.s1 + lane + c * Vec::kWords);
        }
    }

    void store(Block* block, int lane) const {
        for (int c = 0; c < Vec::kChains; ++c) {
            Vec::store_words(block->s0 + lane + c * Vec::kWords, s0[c]);
            Vec::store_words(block->s1 + lane + c * Vec::kWords, s1[c]);
        }
    }

    Words draw(int c) {
        const Words y = s1[c];
        const Words drawn = Vec::add(s0[c], y);
        const Words x = Vec::bit_xor(s0[c], Vec::shift_left<23>(s0[c]));
        s0[c] = y;
        s1[c] = Vec::bit_xor(Vec::bit_xor(x, y, Vec::shift_right<18>(x)), Vec::shift_right<5>(y));
        return drawn;
    }
};

// The test seam's stand-in for Generators: draws that the caller chose.
struct GivenDraws {
    const uint64_t* draws;

    Words draw(int c) {
        const Words drawn = Vec::load_words(draws + c * Vec::kWords);
        if (c == Vec::kChains - 1) draws += kLanes;
        return drawn;
    }
};

// Bernoulli bits of a group of lanes. Writes keep and undecided words; says whether any are undecided.
template <class Source>
bool slice_group(const Plan& plan, Source* source, uint64_t* keep, uint64_t* undecided) {
    Words u[Vec::kChains], still[Vec::kChains];  // `u` as in Plan
    for (int c = 0; c < Vec::kChains; ++c) {
        u[c] = Vec::broadcast(plan.first);
        still[c] = Vec::broadcast(~uint64_t{0});
    }
    for (int draw = 0; draw < plan.levels; ++draw) {
        const Words flip = Vec::broadcast(plan.flips[draw]);
        for (int c = 0; c < Vec::kChains; ++c) {
            const Words r = source->draw(c);
            u[c] = Vec::and_xor(u[c], r, flip);
            still[c] = Vec::bit_and(still[c], r);
        }
    }
    const Words none = Vec::broadcast(plan.ties ? ~uint64_t{0} : 0);
    Words any = Vec::broadcast(0);
    for (int c = 0; c < Vec::kChains; ++c) {
        still[c] = Vec::bit_and(still[c], none);
        any = Vec::bit_or(any, still[c]);
        Vec::store_words(keep + c * Vec::kWords, u[c]);
        Vec::store_words(undecided + c * Vec::kWords, still[c]);
    }
    return Vec::any(any);
}

void slice(const Plan& plan, const uint64_t* draws, uint64_t* keep, uint64_t* undecided) {
    for (int lane = 0; lane < kLanes; lane += kGroup) {
        GivenDraws given = {draws + lane};
        slice_group(plan, &given, keep + lane, undecided + lane);
    }
}

// A source of rows, in order: their bits are made.
class MadeRows {
public:
    MadeRows(const Plan& plan, uint64_t first_row) : plan_(plan), row_(first_row) {
        if (!plan_.levels || row_ % kRowsPerBlock == 0) return;  // next() seeds
        block_.seed(plan_, row_ / kRowsPerBlock);
        uint64_t discarded[kLanes];
        row_ -= row_ % kRowsPerBlock;
        while (row_ < first_row) make(discarded);
    }

    void next(uint64_t* words) {
        if (plan_.levels) {
            if (row_ % kRowsPerBlock == 0) block_.seed(plan_, row_ / kRowsPerBlock);
            make(words);
        } else {
            for (int lane = 0; lane < kLanes; lane += Vec::kWords)
                Vec::store_words(words + lane, Vec::broadcast(plan_.constant));
        }
    }

private:
    void make(uint64_t* words) {
        uint64_t undecided[kGroup];
        for (int lane = 0; lane < kLanes; lane += kGroup) {
            Generators generators;
            generators.load(block_, lane);
            const bool any = slice_group(plan_, &generators, words + lane, undecided);
            generators.store(&block_, lane);
            if (any)
                resolve_ties(plan_, row_ * kRowElements + 64 * static_cast<uint64_t>(lane), undecided, words + lane,
                             kGroup);
        }
        ++row_;
    }

    const Plan& plan_;
    uint64_t row_;
    Block block_;
};

void make_rows(const Plan& plan, uint64_t first_row, uint64_t rows, uint8_t* bits) {
    MadeRows source(plan, first_row);
    for (uint64_t row = 0; row < rows; ++row) {
        uint64_t words[kLanes];
        source.next(words);
        std::memcpy(bits + row * kRowBytes, words, kRowBytes);
    }
}

// MadeRows that also packs the bits of `count` elements into `bits`, from bit 0.
class PackedRows {
public:
    PackedRows(const Plan& plan, const Run& run)
        : rows_(plan, run.index / kRowElements), bits_(run.bits), left_(run.count) {}

    void next(uint64_t* words) {
        rows_.next(words);
        if (left_ >= kRowElements) {
            std::memcpy(bits_, words, kRowBytes);
            bits_ += kRowBytes;
            left_ -= kRowElements;
        } else {
            std::memcpy(bits_, words, (left_ + 7) / 8);
            if (left_ % 8) bits_[left_ / 8] = static_cast<uint8_t>(bits_[left_ / 8] & ((1u << (left_ % 8)) - 1));
        }
    }

private:
    MadeRows rows_;
    uint8_t* bits_;
    uint64_t left_;
};

// A source of rows: they are read from `bits`, of which `end` bits exist.
class StoredRows {
public:
    StoredRows(const uint8_t* bits, uint64_t first_row, uint64_t end)
        : bits_(bits + first_row * kRowBytes), left_((end + 7) / 8 - first_row * kRowBytes) {}

    void next(uint64_t* words) {
        if (left_ >= kRowBytes)  // of a constant size: a few moves instead of a call
            std::memcpy(words, bits_, kRowBytes);
        else
            std::memcpy(words, bits_, left_);
        bits_ += kRowBytes;
        left_ -= left_ < kRowBytes ? left_ : kRowBytes;
    }

private:
    const uint8_t* bits_;
    uint64_t left_;
};

// ---- Applying bits: nothing here knows of random numbers. ----

// What a T is worked on as, and what of it a store takes.
template <class T> struct Arithmetic {
    using Scalar = float;
    using Vector = Vec::Singles;
    static constexpr int kVector = Vec::kSingles;
    static Vector stored(Vec::Singles a) { return a; }
};
template <> struct Arithmetic<double> {
    using Scalar = double;
    using Vector = Vec::Doubles;
    static constexpr int kVector = Vec::kDoubles;
    static Vector stored(Vec::Doubles a) { return a; }
};
template <> struct Arithmetic<BFloat16> {
    using Scalar = float;
    using Vector = Vec::Pairs;
    static constexpr int kVector = 2 * Vec::kSingles;
    static Vec::Halves stored(Vec::Singles a) { return Vec::narrow({a, a}); }
};

constexpr size_t kPrefetchDistance = 8192;  // bytes; measured flat from 4 to 32 KiB

// A unit is the elements of whole bytes of bits and of whole vectors.
template <class T> constexpr int kUnit = Arithmetic<T>::kVector < 8 ? 8 : Arithmetic<T>::kVector;

// `affine`: with a shift, and a value of dropped elements that is not zero.
template <class T, bool affine> struct Applier {
    using Scalar = typename Arithmetic<T>::Scalar;
    using Vector = typename Arithmetic<T>::Vector;
    static constexpr int kVector = Arithmetic<T>::kVector;
    static constexpr int kVectors = kUnit<T> / kVector;

    decltype(Vec::broadcast_scalar(Scalar{})) scale, shift, dropped;
    Vec::Selector selectors[kVectors];

    explicit Applier(const Run& run)
        : scale(Vec::broadcast_scalar(static_cast<Scalar>(run.scale))),
          shift(Vec::broadcast_scalar(static_cast<Scalar>(run.shift))),
          dropped(Vec::broadcast_scalar(static_cast<Scalar>(run.dropped))) {}

    // The first element's bit is bit `first_bit` (0 to 7) of the byte that unit() is given.
    void select_from(unsigned first_bit) {
        for (int v = 0; v < kVectors; ++v)
            selectors[v] = Vec::selector(Vector{}, first_bit + static_cast<unsigned>(v * kVector));
    }

    template <bool streaming> void unit(T* dst, const T* src, const uint8_t* bytes) const {
        const Vec::Bits bits = Vec::load_bits(Vector{}, bytes);
        for (int v = 0; v < kVectors; ++v) {
            const Vector scaled = Vec::multiply(Vec::template load<streaming>(src + v * kVector), scale);
            const auto result = affine ? Vec::choose(Vec::add(scaled, shift), dropped, bits, selectors[v])
                                       : Vec::keep(scaled, bits, selectors[v]);
            Vec::template store<streaming>(dst + v * kVector, result);
        }
    }

    template <bool streaming> BITDROP_INLINE void units(T* dst, const T* src, const uint8_t* bytes,
                                                        uint64_t count) const {
        constexpr int kBytes = kUnit<T> / 8;
        for (; count >= 4; count -= 4) {
            if (streaming) prefetch<4 * kUnit<T> * sizeof(T)>(src);
            for (int u = 0; u < 4; ++u) unit<streaming>(dst + u * kUnit<T>, src + u * kUnit<T>, bytes + u * kBytes);
            dst += 4 * kUnit<T>;
            src += 4 * kUnit<T>;
            bytes += 4 * kBytes;
        }
        for (; count; --count) {
            unit<streaming>(dst, src, bytes);
            dst += kUnit<T>;
            src += kUnit<T>;
            bytes += kBytes;
        }
    }

    // Asks for the `bytes` that follow at a distance: while bits are made, memory would be idle.
    template <size_t bytes> static void prefetch(const T* src) {
        for (size_t line = 0; line < bytes; line += 64)
            Vec::prefetch(reinterpret_cast<const char*>(src) + kPrefetchDistance + line);
    }

    // Fewer elements than a unit: through a buffer, so that nothing outside them is touched.
    BITDROP_NOINLINE void partial(T* dst, const T* src, const uint8_t* bytes, uint64_t count) const {
        alignas(64) T buffer[kUnit<T>] = {};
        std::memcpy(static_cast<void*>(buffer), src, count * sizeof(T));
        unit<false>(buffer, buffer, bytes);
        std::memcpy(static_cast<void*>(dst), buffer, count * sizeof(T));
    }
};

// Elements before the first whose address is a multiple of a vector's bytes, so that stores do not cross
// cache lines (and may stream); 0 if there is none.
template <class T> uint64_t elements_to_alignment(const T* p) {
    constexpr uintptr_t kBytes = Arithmetic<T>::kVector * sizeof(T);
    const uintptr_t distance = (0 - reinterpret_cast<uintptr_t>(p)) % kBytes;
    return distance % sizeof(T) ? 0 : distance / sizeof(T);
}

// Applies rows as they come. Vectors are aligned to `dst`, rows to the index, so up to a unit of a row's
// elements wait for the next row: its last word is kept before the words of that row.
template <class T, bool affine, bool streaming, class Source> void apply_rows(Source* source, const Run& run) {
    T* dst = static_cast<T*>(run.dst);
    const T* src = static_cast<const T*>(run.src);
    Applier<T, affine> applier(run);

    alignas(64) uint64_t buffer[8 + kLanes + 8] = {};  // [7] the last word of the row before; reads may pass the end
    uint64_t* const row = buffer + 8;
    const uint8_t* const row_bytes = reinterpret_cast<const uint8_t*>(row);

    uint64_t head = elements_to_alignment(dst);
    uint64_t done = 0;
    int64_t row_start = -static_cast<int64_t>(run.index % kRowElements);  // relative to the run
    for (; done < run.count; row_start += kRowElements) {
        row[-1] = row[kLanes - 1];
        source->next(row);
        const uint64_t row_end = static_cast<uint64_t>(row_start) + kRowElements;
        const bool last = row_end >= run.count;
        const uint64_t available = last ? run.count : row_end;
        const auto bytes = [&] {  // those of element `done`, whose bit is the first that is selected
            const int64_t bit = static_cast<int64_t>(done) - row_start;
            applier.select_from(static_cast<unsigned>(bit & 7));
            return row_bytes + (bit >> 3);
        };
        if (head) {
            const uint64_t count = head < available - done ? head : available - done;
            applier.partial(dst + done, src + done, bytes(), count);
            done += count;
            head -= count;
        }
        const uint64_t units = (available - done) / kUnit<T>;
        applier.template units<streaming>(dst + done, src + done, bytes(), units);
        done += units * kUnit<T>;
        if (last && done < run.count) {
            applier.partial(dst + done, src + done, bytes(), run.count - done);
            done = run.count;
        }
    }
}

template <class T, class Source> void apply_rows(Source* source, const Run& run) {
    const bool aligned = reinterpret_cast<uintptr_t>(run.dst) % sizeof(T) == 0;
    if (run.shift != 0.0 || run.dropped != 0.0)
        apply_rows<T, true, false>(source, run);
    else if (run.streaming && aligned)
        apply_rows<T, false, true>(source, run);
    else
        apply_rows<T, false, false>(source, run);
}

template <class T> void drop(const Plan& plan, const Run& run) {
    if (run.bits) {
        PackedRows source(plan, run);
        apply_rows<T>(&source, run);
    } else {
        MadeRows source(plan, run.index / kRowElements);
        apply_rows<T>(&source, run);
    }
}

template <class T> void apply(const Run& run) {
    StoredRows source(run.bits, run.index / kRowElements, run.index + run.count);
    apply_rows<T>(&source, run);
}

template <class T, bool streaming> void fill_vectors(const Run& run) {
    constexpr uint64_t kVector = Arithmetic<T>::kVector;
    const auto dropped = Vec::broadcast_scalar(static_cast<typename Arithmetic<T>::Scalar>(run.dropped));
    const auto value = Arithmetic<T>::stored(dropped);
    alignas(64) T values[kVector];
    Vec::template store<false>(values, value);
    T* dst = static_cast<T*>(run.dst);
    const uint64_t to_alignment = elements_to_alignment(dst);
    const uint64_t head = to_alignment < run.count ? to_alignment : run.count;
    std::memcpy(static_cast<void*>(dst), values, head * sizeof(T));
    uint64_t done = head;
    for (; run.count - done >= kVector; done += kVector) Vec::template store<streaming>(dst + done, value);
    std::memcpy(static_cast<void*>(dst + done), values, (run.count - done) * sizeof(T));
}

template <class T> void fill(const Run& run) {
    const bool aligned = reinterpret_cast<uintptr_t>(run.dst) % sizeof(T) == 0;
    run.streaming&& aligned ? fill_vectors<T, true>(run) : fill_vectors<T, false>(run);
}

constexpr Kernels table(const char* name) {
    return {
        name,
        make_rows,
        {drop<Float16>, drop<BFloat16>, drop<float>, drop<double>},
        {apply<Float16>, apply<BFloat16>, apply<float>, apply<double>},
        {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
        Vec::fence,
        slice,
    };
}

}  // namespace
}  // namespace bitdrop
