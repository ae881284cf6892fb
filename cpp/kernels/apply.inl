// Application of draws to elements, row by row: bits, or normal numbers. Nothing here knows of random numbers: the
// caller's source has the rows.
#include <cstring>

#include "active_bits.inl"
#include "draws.inl"
#include "operations.inl"

namespace bitdrop {
namespace {

constexpr size_t kPrefetchDistance = 8192;  // bytes; measured flat from 4 to 32 KiB

// Copies of the single element of an input, enough for an iteration. It is read again and again.
template <class T> struct Copies {
    alignas(64) T elements[4 * kUnit<T>];

    void fill(const void* element) {
        for (T& copy : elements) std::memcpy(static_cast<void*>(&copy), element, sizeof(T));
    }
};

template <class T, template <class> class Operation, template <class> class Draws> struct Applier {
    using Vector = typename Arithmetic<T>::Vector;
    using Place = typename Draws<T>::Place;
    static constexpr int kInputs = Operation<T>::kInputs;
    static constexpr int kVector = Arithmetic<T>::kVector;
    static constexpr bool kActivates = Operation<T>::kActivates;
    static constexpr int kStep = 4 * kUnit<T>;  // elements of an iteration

    const Operation<T> operation;
    const T* inputs[kInputs];
    int64_t moves[kInputs];  // 1, or 0 if the input has one element
    T* const out;
    Draws<T> draws;
    uintptr_t prefetch_end;  // of the first input: the elements from there on are not prefetched

    template <class Coefficients>
    Applier(const Coefficients& coefficients, const Span& span)
        : operation(coefficients), out(static_cast<T*>(span.out)) {
        for (int i = 0; i < kInputs; ++i) {
            inputs[i] = static_cast<const T*>(span.inputs[i]);
            moves[i] = 1;
        }
        prefetch_end = span.isolated ? reinterpret_cast<uintptr_t>(inputs[0] + span.count) : UINTPTR_MAX;
    }

    void repeat(int input, const Copies<T>& copies) {
        inputs[input] = copies.elements;
        moves[input] = 0;
    }

    const T* input_at(int i, uint64_t element) const {
        return i == 0 ? inputs[0] + element : inputs[i] + static_cast<int64_t>(element) * moves[i];
    }

    // `active` gets the bits of the unit if the operation has an activation.
    template <bool non_temporal>
    void unit(T* to, const T* const* from, Place place, [[maybe_unused]] uint8_t* active) const {
        const auto drawn = draws.load(place);
        [[maybe_unused]] uint64_t found = 0;
        for (int v = 0; v < kVectors<T>; ++v) {
            Vector x[kInputs];
            for (int i = 0; i < kInputs; ++i) x[i] = Vec::template load<non_temporal>(from[i] + v * kVector);
            if constexpr (kActivates) {
                uint32_t lanes;
                Vec::template store<non_temporal>(to + v * kVector, draws.apply(operation, x, drawn, v, &lanes));
                found |= uint64_t{lanes} << (v * kVector);
            } else if constexpr (Operation<T>::kSums) {
                const Vector result = draws.apply(operation, x, drawn, v);
                Vec::template store<non_temporal>(to + v * kVector, result);
                Vec::template store<false>(const_cast<T*>(from[1]) + v * kVector, Vec::add(x[1], result));
            } else {
                Vec::template store<non_temporal>(to + v * kVector, draws.apply(operation, x, drawn, v));
            }
        }
        if constexpr (kActivates) std::memcpy(active, &found, kUnit<T> / 8);
    }

    template <bool non_temporal>
    BITDROP_INLINE void units(uint64_t first, Place place, uint64_t count, uint8_t* active) const {
        constexpr int kBytes = kUnit<T> / 8;  // of bits
        T* to = out + first;
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) from[i] = input_at(i, first);
        const auto advance = [&](int elements) {
            to += elements;
            from[0] += elements;
            for (int i = 1; i < kInputs; ++i) from[i] += elements * moves[i];
            place += elements / kUnit<T> * Draws<T>::kUnitStride;
            active += elements / 8;
        };
        for (; count >= 4; count -= 4) {
            if (non_temporal && reinterpret_cast<uintptr_t>(from[0]) + kPrefetchDistance < prefetch_end)
                for (int i = 0; i < (Operation<T>::kSums ? 1 : kInputs); ++i) prefetch<kStep * sizeof(T)>(from[i]);
            for (int u = 0; u < 4; ++u) {
                const T* at[kInputs];
                for (int i = 0; i < kInputs; ++i) at[i] = from[i] + u * kUnit<T>;
                unit<non_temporal>(to + u * kUnit<T>, at, place + u * Draws<T>::kUnitStride, active + u * kBytes);
            }
            advance(kStep);
        }
        for (; count; --count) {
            unit<non_temporal>(to, from, place, active);
            advance(kUnit<T>);
        }
    }

    // Prefetches the `bytes` that follow at a distance: memory would be idle while draws are generated.
    template <size_t bytes> static void prefetch(const T* from) {
        for (size_t line = 0; line < bytes; line += 64)
            Vec::prefetch(reinterpret_cast<const char*>(from) + kPrefetchDistance + line);
    }

    // Fewer elements than a unit: through buffers, so that no byte outside the span is touched.
    template <bool non_temporal>
    BITDROP_NOINLINE void partial(uint64_t first, Place place, uint64_t count, uint8_t* active) const {
        alignas(64) T buffers[kInputs][kUnit<T>] = {};
        const T* from[kInputs];
        for (int i = 0; i < kInputs; ++i) {
            std::memcpy(static_cast<void*>(buffers[i]), input_at(i, first), count * sizeof(T));
            from[i] = buffers[i];
        }
        unit<false>(buffers[0], from, place, active);
        // Ordinary stores to a line between non-temporal ones would make the processor fetch it and its neighbours.
        if constexpr (non_temporal && sizeof(T) >= sizeof(float))
            for (uint64_t i = 0; i < count; ++i) Vec::store_past_caches(out + first + i, buffers[0][i]);
        else
            std::memcpy(static_cast<void*>(out + first), buffers[0], count * sizeof(T));
        if constexpr (Operation<T>::kSums)
            std::memcpy(const_cast<T*>(input_at(1, first)), buffers[1], count * sizeof(T));
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
// elements wait for the next row: the buffer keeps the last draws of a row before those of the next one.
// `index` is the first element's, modulo a row. `active` takes the bits of active elements.
template <bool non_temporal, class Source, class T, template <class> class Operation, template <class> class Draws,
          class Active>
BITDROP_INLINE void apply_rows(Source* source, uint64_t index, uint64_t total, Applier<T, Operation, Draws>* applier,
                               Active* active) {
    typename Draws<T>::Buffer buffer;
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
            applier->template partial<non_temporal>(done, place(), count, active->portion());
            active->append(count);
            done += count;
            head -= count;
        }
        const uint64_t units = (available - done) / kUnit<T>;
        applier->template units<non_temporal>(done, place(), units, active->portion());
        active->append(units * kUnit<T>);
        done += units * kUnit<T>;
        if (last && done < total) {
            applier->template partial<non_temporal>(done, place(), total - done, active->portion());
            active->append(total - done);
            done = total;
        }
    }
}

template <class T> bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(T) == 0; }

template <class T, template <class> class Operation, template <class> class Draws, class Source, class Active>
BITDROP_INLINE void apply_rows(Source* source, uint64_t index, const Span& span, Applier<T, Operation, Draws>* applier,
                               Active* active) {
    if (span.non_temporal && is_aligned<T>(span.out))
        apply_rows<true>(source, index, span.count, applier, active);
    else
        apply_rows<false>(source, index, span.count, applier, active);
}

// `active_bits` is where an operation with an activation stores its bits, if anywhere.
template <class T, template <class> class Operation, template <class> class Draws = BitDraws, class Source,
          class Coefficients>
void apply_rows(Source* source, uint64_t index, const Coefficients& coefficients, const Span& span,
                uint8_t* active_bits) {
    using Active = Choose<Operation<T>::kActivates, ActiveBits, NoActiveBits>;
    Applier<T, Operation, Draws> applier(coefficients, span);
    Active active(active_bits, span.count);
    Copies<T> copies[Operation<T>::kInputs];
    for (int i = 1; i < Operation<T>::kInputs; ++i) {
        if (!span.constant[i]) continue;
        copies[i].fill(span.inputs[i]);
        applier.repeat(i, copies[i]);
    }
    apply_rows(source, index, span, &applier, &active);
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
