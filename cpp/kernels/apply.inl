// Application of bits to elements, row by row. Nothing here knows of random numbers: the caller's source has the rows.
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
};

template <class T> auto broadcast(double value) {
    return Vec::broadcast_scalar(static_cast<typename Arithmetic<T>::Scalar>(value));
}
template <class T> using Broadcast = decltype(broadcast<T>(0.0));

// The operations. Each takes the vectors of its inputs, and selects by the bits. See `Operation`.
template <class T> struct Scale {
    static constexpr int kInputs = 1;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit Scale(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::keep(Vec::multiply(x[0], scale), bits, selector);
    }
};

template <class T> struct ScaleShift {
    static constexpr int kInputs = 1;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale, shift, dropped;

    explicit ScaleShift(const Affine& affine)
        : scale(broadcast<T>(affine.scale)), shift(broadcast<T>(affine.shift)), dropped(broadcast<T>(affine.dropped)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::choose(Vec::add(Vec::multiply(x[0], scale), shift), dropped, bits, selector);
    }
};

constexpr size_t kPrefetchDistance = 8192;  // bytes; measured flat from 4 to 32 KiB

// A unit is the elements of whole bytes of bits and of whole vectors.
template <class T> constexpr int kUnit = Arithmetic<T>::kVector < 8 ? 8 : Arithmetic<T>::kVector;

template <class T, template <class> class Operation> struct Applier {
    using Vector = typename Arithmetic<T>::Vector;
    static constexpr int kInputs = Operation<T>::kInputs;
    static constexpr int kVector = Arithmetic<T>::kVector;
    static constexpr int kVectors = kUnit<T> / kVector;

    const Operation<T> operation;
    const T* inputs[kInputs];
    T* const out;
    Vec::Selector selectors[kVectors];
    uintptr_t prefetch_end;  // of the first input: the elements from there on are not prefetched

    Applier(const Affine& affine, const Span& span) : operation(affine), out(static_cast<T*>(span.out)) {
        for (int i = 0; i < kInputs; ++i) inputs[i] = static_cast<const T*>(span.inputs[i]);
        prefetch_end = span.isolated ? reinterpret_cast<uintptr_t>(inputs[0] + span.count) : UINTPTR_MAX;
    }

    // The first element's bit is bit `first_bit` (0 to 7) of the byte that unit() takes.
    void select_from(unsigned first_bit) {
        for (int v = 0; v < kVectors; ++v)
            selectors[v] = Vec::selector(Vector{}, first_bit + static_cast<unsigned>(v * kVector));
    }

    template <bool non_temporal> void unit(T* to, const T* const* from, const uint8_t* bytes) const {
        const Vec::Bits bits = Vec::load_bits(Vector{}, bytes);
        for (int v = 0; v < kVectors; ++v) {
            Vector x[kInputs];
            for (int i = 0; i < kInputs; ++i) x[i] = Vec::template load<non_temporal>(from[i] + v * kVector);
            Vec::template store<non_temporal>(to + v * kVector, operation(x, bits, selectors[v]));
        }
    }

    template <bool non_temporal> BITDROP_INLINE void units(uint64_t first, const uint8_t* bytes, uint64_t count) const {
        constexpr int kBytes = kUnit<T> / 8, kStep = 4 * kUnit<T>;
        T* to = out + first;
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) from[i] = inputs[i] + first;
        const auto advance = [&](int elements) {
            to += elements;
            for (int i = 0; i < kInputs; ++i) from[i] += elements;
            bytes += elements / 8;
        };
        for (; count >= 4; count -= 4) {
            if (non_temporal && reinterpret_cast<uintptr_t>(from[0]) + kPrefetchDistance < prefetch_end)
                for (int i = 0; i < kInputs; ++i) prefetch<kStep * sizeof(T)>(from[i]);
            for (int u = 0; u < 4; ++u) {
                const T* at[kInputs];
                for (int i = 0; i < kInputs; ++i) at[i] = from[i] + u * kUnit<T>;
                unit<non_temporal>(to + u * kUnit<T>, at, bytes + u * kBytes);
            }
            advance(kStep);
        }
        for (; count; --count) {
            unit<non_temporal>(to, from, bytes);
            advance(kUnit<T>);
        }
    }

    // Prefetches the `bytes` that follow at a distance: memory would be idle while bits are generated.
    template <size_t bytes> static void prefetch(const T* from) {
        for (size_t line = 0; line < bytes; line += 64)
            Vec::prefetch(reinterpret_cast<const char*>(from) + kPrefetchDistance + line);
    }

    // Fewer elements than a unit: through buffers, so that no byte outside the span is touched.
    BITDROP_NOINLINE void partial(uint64_t first, const uint8_t* bytes, uint64_t count) const {
        alignas(64) T buffers[kInputs][kUnit<T>] = {};
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) {
            std::memcpy(static_cast<void*>(buffers[i]), inputs[i] + first, count * sizeof(T));
            from[i] = buffers[i];
        }
        unit<false>(buffers[0], from, bytes);
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
// elements wait for the next row: the last word of a row is kept before the words of the next one.
// `index` is the first element's, modulo a row.
template <bool non_temporal, class Source, class T, template <class> class Operation>
BITDROP_INLINE void apply_rows(Source* source, uint64_t index, uint64_t total, Applier<T, Operation>* applier) {
    alignas(64) uint64_t buffer[8 + kLanes + 8] = {};  // [7] the last word of the row before; reads may pass the end
    uint64_t* const row = buffer + 8;
    const uint8_t* const row_bytes = reinterpret_cast<const uint8_t*>(row);

    uint64_t head = elements_to_alignment(applier->out);
    uint64_t done = 0;
    int64_t row_start = -static_cast<int64_t>(index % kRowElements);  // relative to the span
    for (; done < total; row_start += kRowElements) {
        row[-1] = row[kLanes - 1];
        source->next(row);
        const uint64_t row_end = static_cast<uint64_t>(row_start) + kRowElements;
        const bool last = row_end >= total;
        const uint64_t available = last ? total : row_end;
        const auto bytes = [&] {  // of element `done`, whose bit becomes the first selected one
            const int64_t bit = static_cast<int64_t>(done) - row_start;
            applier->select_from(static_cast<unsigned>(bit & 7));
            return row_bytes + (bit >> 3);
        };
        if (head) {
            const uint64_t count = head < available - done ? head : available - done;
            applier->partial(done, bytes(), count);
            done += count;
            head -= count;
        }
        const uint64_t units = (available - done) / kUnit<T>;
        applier->template units<non_temporal>(done, bytes(), units);
        done += units * kUnit<T>;
        if (last && done < total) {
            applier->partial(done, bytes(), total - done);
            done = total;
        }
    }
}

template <class T> bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(T) == 0; }

template <class T, template <class> class Operation, class Source>
void apply_rows(Source* source, uint64_t index, const Affine& affine, const Span& span) {
    Applier<T, Operation> applier(affine, span);
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
