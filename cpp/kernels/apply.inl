// Application of draws to elements, row by row: bits, or normal numbers. Nothing here knows of random numbers: the
// caller's source has the rows.
#include <cstring>

#include "kernel_table.h"

// For loops in which a call costs a third of the speed, and for rare cases whose bulk beside the loop would.
#if defined(_MSC_VER)
#define BITDROP_INLINE __forceinline
#define BITDROP_NOINLINE __declspec(noinline)
#else
#define BITDROP_INLINE __attribute__((always_inline)) inline
#define BITDROP_NOINLINE __attribute__((noinline))
#endif

namespace bitdrop {
namespace {

// The type of the arithmetic on elements T, and the part of it that a store takes.
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
    static Vec::Halves stored(Vec::Pairs a) { return Vec::narrow(a); }
};

template <class T> auto broadcast(double value) {
    return Vec::broadcast_scalar(static_cast<typename Arithmetic<T>::Scalar>(value));
}
template <class T> using Broadcast = decltype(broadcast<T>(0.0));

// A unit is the elements of whole bytes of bits and of whole vectors.
template <class T> constexpr int kUnit = Arithmetic<T>::kVector < 8 ? 8 : Arithmetic<T>::kVector;
template <class T> constexpr int kVectors = kUnit<T> / Arithmetic<T>::kVector;  // of a unit

// Bits as draws. The buffer has a row's, after those of the last elements of the row before: see apply_rows(). It is
// apart from the rest, because what passes its address to a source might change in every loop, for all the compiler knows.
template <class T> struct BitDraws {
    using Vector = typename Arithmetic<T>::Vector;
    using Place = const uint8_t*;  // the byte of an element's bit
    static constexpr int kUnitStride = kUnit<T> / 8;

    class Buffer {
    public:
        template <class Source> void next(Source* source) {
            row_[-1] = row_[kLanes - 1];
            source->next(row_);
        }
        Place at(int64_t element) const { return reinterpret_cast<const uint8_t*>(row_) + (element >> 3); }

    private:
        alignas(64) uint64_t words_[8 + kLanes + 8] = {};  // [7] the last word of the row before; reads may pass the end
        uint64_t* const row_ = words_ + 8;
    };

    // Of a vector.
    struct Draws {
        Vec::Bits bits;
        Vec::Selector selector;
    };

    Vec::Selector selectors[kVectors<T>];

    // The units that follow begin at the position in a byte of this element's bit.
    void begin_at(int64_t element) {
        for (int v = 0; v < kVectors<T>; ++v)
            selectors[v] = Vec::selector(Vector{}, static_cast<unsigned>((element & 7) + v * Arithmetic<T>::kVector));
    }
    Vec::Bits load(Place unit) const { return Vec::load_bits(Vector{}, unit); }
    Draws draws(Vec::Bits unit, int v) const { return {unit, selectors[v]}; }
};

// Normal numbers as draws, likewise.
template <class T> struct NormalDraws {
    using Vector = typename Arithmetic<T>::Vector;
    using Place = const float*;
    using Draws = Vector;
    static constexpr int kUnitStride = kUnit<T>;

    class Buffer {
    public:
        template <class Source> void next(Source* source) {
            std::memcpy(row_ - kUnit<T>, row_ + kRowElements - kUnit<T>, kUnit<T> * sizeof(float));
            source->next(row_);
        }
        Place at(int64_t element) const { return row_ + element; }

    private:
        alignas(64) float normals_[kUnit<T> + kRowElements + kUnit<T>] = {};  // reads may pass the end
        float* const row_ = normals_ + kUnit<T>;
    };

    void begin_at(int64_t) {}
    Place load(Place unit) const { return unit; }
    Draws draws(Place unit, int v) const { return Vec::load_as(Vector{}, unit + v * Arithmetic<T>::kVector); }
};

// The operations on a vector of each input and its draws. See `Operation`.
template <class T> struct Scale {
    static constexpr int kInputs = 1;
    using Draws = BitDraws<T>;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit Scale(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, const typename Draws::Draws& draws) const {
        return Vec::keep(Vec::multiply(x[0], scale), draws.bits, draws.selector);
    }
};

template <class T> struct ScaleShift {
    static constexpr int kInputs = 1;
    using Draws = BitDraws<T>;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale, shift, dropped;

    explicit ScaleShift(const Affine& affine)
        : scale(broadcast<T>(affine.scale)), shift(broadcast<T>(affine.shift)), dropped(broadcast<T>(affine.dropped)) {}

    auto operator()(const Vector* x, const typename Draws::Draws& draws) const {
        const auto kept = Vec::add(Vec::multiply(x[0], scale), shift);
        return Vec::choose(kept, dropped, draws.bits, draws.selector);
    }
};

// x * (1 + sigma * z)
template <class T> struct Noise {
    static constexpr int kInputs = 1;
    using Draws = NormalDraws<T>;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> sigma, one;

    explicit Noise(double sigma) : sigma(broadcast<T>(sigma)), one(broadcast<T>(1.0)) {}

    auto operator()(const Vector* x, const Vector& z) const {
        return Arithmetic<T>::stored(Vec::multiply(x[0], Vec::add(Vec::multiply(z, sigma), one)));
    }
};

constexpr size_t kPrefetchDistance = 8192;  // bytes; measured flat from 4 to 32 KiB

template <class T, template <class> class Operation> struct Applier {
    using Vector = typename Arithmetic<T>::Vector;
    using Draws = typename Operation<T>::Draws;
    using Place = typename Draws::Place;
    static constexpr int kInputs = Operation<T>::kInputs;
    static constexpr int kVector = Arithmetic<T>::kVector;

    const Operation<T> operation;
    const T* inputs[kInputs];
    T* const out;
    Draws draws;
    uintptr_t prefetch_end;  // of the first input: the elements from there on are not prefetched

    template <class Coefficients>
    Applier(const Coefficients& coefficients, const Span& span)
        : operation(coefficients), out(static_cast<T*>(span.out)) {
        for (int i = 0; i < kInputs; ++i) inputs[i] = static_cast<const T*>(span.inputs[i]);
        prefetch_end = span.isolated ? reinterpret_cast<uintptr_t>(inputs[0] + span.count) : UINTPTR_MAX;
    }

    template <bool non_temporal> void unit(T* to, const T* const* from, Place place) const {
        const auto loaded = draws.load(place);
        for (int v = 0; v < kVectors<T>; ++v) {
            Vector x[kInputs];
            for (int i = 0; i < kInputs; ++i) x[i] = Vec::template load<non_temporal>(from[i] + v * kVector);
            Vec::template store<non_temporal>(to + v * kVector, operation(x, draws.draws(loaded, v)));
        }
    }

    template <bool non_temporal> BITDROP_INLINE void units(uint64_t first, Place place, uint64_t count) const {
        constexpr int kUnits = 4, kStep = kUnits * kUnit<T>;
        T* to = out + first;
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) from[i] = inputs[i] + first;
        const auto advance = [&](int units) {
            to += units * kUnit<T>;
            for (int i = 0; i < kInputs; ++i) from[i] += units * kUnit<T>;
            place += units * Draws::kUnitStride;
        };
        for (; count >= kUnits; count -= kUnits) {
            if (non_temporal && reinterpret_cast<uintptr_t>(from[0]) + kPrefetchDistance < prefetch_end)
                for (int i = 0; i < kInputs; ++i) prefetch<kStep * sizeof(T)>(from[i]);
            for (int u = 0; u < kUnits; ++u) {
                const T* at[kInputs];
                for (int i = 0; i < kInputs; ++i) at[i] = from[i] + u * kUnit<T>;
                unit<non_temporal>(to + u * kUnit<T>, at, place + u * Draws::kUnitStride);
            }
            advance(kUnits);
        }
        for (; count; --count) {
            unit<non_temporal>(to, from, place);
            advance(1);
        }
    }

    // Prefetches the `bytes` that follow at a distance: memory would be idle while draws are generated.
    template <size_t bytes> static void prefetch(const T* from) {
        for (size_t line = 0; line < bytes; line += 64)
            Vec::prefetch(reinterpret_cast<const char*>(from) + kPrefetchDistance + line);
    }

    // Fewer elements than a unit: through buffers, so that no byte outside the span is touched.
    BITDROP_NOINLINE void partial(uint64_t first, Place place, uint64_t count) const {
        alignas(64) T buffers[kInputs][kUnit<T>] = {};
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) {
            std::memcpy(static_cast<void*>(buffers[i]), inputs[i] + first, count * sizeof(T));
            from[i] = buffers[i];
        }
        unit<false>(buffers[0], from, place);
        std::memcpy(static_cast<void*>(out + first), buffers[0], count * sizeof(T));
    }
};

// Elements before the first whose address is a multiple of a vector's bytes, so that stores do not cross cache
// lines (and may be non-temporal). 0 if there is none.
template <class T> uint64_t elements_to_alignment(const T* p) {
    constexpr uintptr_t kBytes = Arithmetic<T>::kVector * sizeof(T);
    const uintptr_t distance = (0 - reinterpret_cast<uintptr_t>(p)) % kBytes;
    return distance % sizeof(T) ? 0 : distance / sizeof(T);
}

// Applies rows in order. Vectors are aligned to `out`, rows to the elements' index, so up to a unit of a row's
// elements wait for the next row: the draws of a row's last unit are kept before those of the next row.
// `index` is the first element's, modulo a row.
template <bool non_temporal, class Source, class T, template <class> class Operation>
BITDROP_INLINE void apply_rows(Source* source, uint64_t index, uint64_t total, Applier<T, Operation>* applier) {
    typename Operation<T>::Draws::Buffer buffer;
    uint64_t head = elements_to_alignment(applier->out);
    uint64_t done = 0;
    int64_t row_start = -static_cast<int64_t>(index % kRowElements);  // relative to the span
    for (; done < total; row_start += kRowElements) {
        buffer.next(source);
        const uint64_t row_end = static_cast<uint64_t>(row_start) + kRowElements;
        const bool last = row_end >= total;
        const uint64_t available = last ? total : row_end;
        const auto place = [&] {  // of element `done`
            const int64_t element = static_cast<int64_t>(done) - row_start;
            applier->draws.begin_at(element);
            return buffer.at(element);
        };
        if (head) {
            const uint64_t count = head < available - done ? head : available - done;
            applier->partial(done, place(), count);
            done += count;
            head -= count;
        }
        const uint64_t units = (available - done) / kUnit<T>;
        applier->template units<non_temporal>(done, place(), units);
        done += units * kUnit<T>;
        if (last && done < total) {
            applier->partial(done, place(), total - done);
            done = total;
        }
    }
}

template <class T> bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(T) == 0; }

template <class T, template <class> class Operation, class Source, class Coefficients>
void apply_rows(Source* source, uint64_t index, const Coefficients& coefficients, const Span& span) {
    Applier<T, Operation> applier(coefficients, span);
    if (span.non_temporal && is_aligned<T>(span.out))
        apply_rows<true>(source, index, span.count, &applier);
    else
        apply_rows<false>(source, index, span.count, &applier);
}

template <class T, bool non_temporal> void fill_vectors(double value, const Span& span) {
    constexpr uint64_t kVector = Arithmetic<T>::kVector;
    const auto vector = Arithmetic<T>::stored(broadcast<T>(value));
    alignas(64) T values[kVector];
    Vec::template store<false>(values, vector);
    T* out = static_cast<T*>(span.out);
    const uint64_t to_alignment = elements_to_alignment(out);
    const uint64_t head = to_alignment < span.count ? to_alignment : span.count;
    std::memcpy(static_cast<void*>(out), values, head * sizeof(T));
    uint64_t done = head;
    for (; span.count - done >= kVector; done += kVector) Vec::template store<non_temporal>(out + done, vector);
    std::memcpy(static_cast<void*>(out + done), values, (span.count - done) * sizeof(T));
}

template <class T> void fill(double value, const Span& span) {
    const bool non_temporal = span.non_temporal && is_aligned<T>(span.out);
    non_temporal ? fill_vectors<T, true>(value, span) : fill_vectors<T, false>(value, span);
}

}  // namespace
}  // namespace bitdrop
