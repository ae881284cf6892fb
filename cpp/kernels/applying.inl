// Applying bits to elements, row by row. Nothing here knows of random numbers: where rows come from is the caller's.
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
    uintptr_t end;  // nothing need be fetched from there on

    explicit Applier(const Run& run)
        : scale(Vec::broadcast_scalar(static_cast<Scalar>(run.scale))),
          shift(Vec::broadcast_scalar(static_cast<Scalar>(run.shift))),
          dropped(Vec::broadcast_scalar(static_cast<Scalar>(run.dropped))),
          end(run.alone ? reinterpret_cast<uintptr_t>(run.src) + run.count * sizeof(T) : UINTPTR_MAX) {}

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
            if (streaming && reinterpret_cast<uintptr_t>(src) + kPrefetchDistance < end)
                prefetch<4 * kUnit<T> * sizeof(T)>(src);
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

}  // namespace
}  // namespace bitdrop
