// Sums of elements in a fixed order, which no length of a vector changes.
#include <cstring>

#include "operations.inl"

namespace bitdrop {
namespace {

template <class T> using Scalar = typename Arithmetic<T>::Scalar;

// The vectors of kSumLanes numbers, in which the lanes of elements T are in the order that loading gives.
template <class T> struct Lanes {
    using Vector = typename Arithmetic<T>::Vector;
    static constexpr int kVector = Arithmetic<T>::kVector;
    static constexpr int kVectors = kSumLanes / kVector;

    Vector vectors[kVectors];

    void clear() {
        for (Vector& vector : vectors) vector = zeros(vector);
    }

    void add(const T* values) {
        for (int v = 0; v < kVectors; ++v)
            vectors[v] = Vec::add(vectors[v], Vec::template load<false>(values + v * kVector));
    }

    void load(const T* values) {
        for (int v = 0; v < kVectors; ++v) vectors[v] = Vec::template load<false>(values + v * kVector);
    }

    // Stores the lanes in the order of the elements.
    void store(Scalar<T>* lanes) const {
        for (int v = 0; v < kVectors; ++v) store_lanes(lanes + v * kVector, vectors[v]);
    }

private:
    static Vec::Singles zeros(Vec::Singles) { return Vec::broadcast_scalar(0.0f); }
    static Vec::Doubles zeros(Vec::Doubles) { return Vec::broadcast_scalar(0.0); }
    static Vec::Pairs zeros(Vec::Pairs) { return {zeros(Vec::Singles{}), zeros(Vec::Singles{})}; }
    static void store_lanes(float* to, Vec::Singles lanes) { Vec::store<false>(to, lanes); }
    static void store_lanes(double* to, Vec::Doubles lanes) { Vec::store<false>(to, lanes); }
    static void store_lanes(float* to, Vec::Pairs pairs) {
        float halves[2][Vec::kSingles];
        Vec::store<false>(halves[0], pairs.even);
        Vec::store<false>(halves[1], pairs.odd);
        for (int lane = 0; lane < 2 * Vec::kSingles; ++lane) to[lane] = halves[lane % 2][lane / 2];
    }
};

// Zeros fill the lanes without an element. They change no lane, because none is ever -0.0.
template <class T> Scalar<T> sum_of(const T* values, uint64_t count) {
    Lanes<T> sums;
    sums.clear();
    for (; count >= kSumLanes; count -= kSumLanes, values += kSumLanes) sums.add(values);
    if (count) {
        T rest[kSumLanes] = {};
        std::memcpy(static_cast<void*>(rest), values, count * sizeof(T));
        sums.add(rest);
    }
    Scalar<T> lanes[kSumLanes];
    sums.store(lanes);
    for (int half = kSumLanes / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

// sums[i] += values[i], for whole vectors. Returns how many were added.
template <class T> uint64_t add_vectors(const T* values, uint64_t count, Scalar<T>* sums) {
    constexpr uint64_t kVector = Arithmetic<T>::kVector;
    uint64_t done = 0;
    for (; count - done >= kVector; done += kVector)
        Vec::store<false>(sums + done, Vec::add(Vec::load<false>(sums + done), Vec::load<false>(values + done)));
    return done;
}
template <> uint64_t add_vectors(const BFloat16*, uint64_t, float*) { return 0; }  // in no order of the elements

template <class T> void accumulate(const void* from, uint64_t count, void* to, int64_t stride) {
    const T* values = static_cast<const T*>(from);
    Scalar<T>* sums = static_cast<Scalar<T>*>(to);
    if (stride == 0) {
        *sums += sum_of(values, count);
        return;
    }
    if (stride == 1) {
        const uint64_t done = add_vectors(values, count, sums);
        values += done;
        sums += done;
        count -= done;
    }
    // Through lanes, so that elements of every type are widened alike.
    for (uint64_t done = 0; done < count; done += kSumLanes) {
        const uint64_t left = count - done, taken = left < kSumLanes ? left : kSumLanes;
        T rest[kSumLanes];
        const T* group = values + done;
        if (taken < kSumLanes) {
            std::memset(static_cast<void*>(rest), 0, sizeof rest);
            std::memcpy(static_cast<void*>(rest), group, taken * sizeof(T));
            group = rest;
        }
        Lanes<T> wide;
        wide.load(group);
        Scalar<T> lanes[kSumLanes];
        wide.store(lanes);
        if (stride == 1 && taken == kSumLanes)
            for (int lane = 0; lane < kSumLanes; ++lane) sums[lane] += lanes[lane];
        else
            for (uint64_t lane = 0; lane < taken; ++lane) sums[static_cast<int64_t>(lane) * stride] += lanes[lane];
        sums += static_cast<int64_t>(taken) * stride;
    }
}

}  // namespace
}  // namespace bitdrop
