// Draws in the loop that applies them: bits, or normal numbers.
#include <cstring>

#include "operations.inl"

namespace bitdrop {
namespace {

// A unit is the elements of whole bytes of bits and of whole vectors.
template <class T> constexpr int kUnit = Arithmetic<T>::kVector < 8 ? 8 : Arithmetic<T>::kVector;
template <class T> constexpr int kVectors = kUnit<T> / Arithmetic<T>::kVector;

// Bits. The buffer is apart from the selectors: a source gets its address, so as far as the compiler knows, any store
// may change it, and everything beside it would be read again in each iteration.
template <class T> struct BitDraws {
    using Vector = typename Arithmetic<T>::Vector;
    using Place = const uint8_t*;  // the byte of a unit's first bit
    static constexpr int kUnitStride = kUnit<T> / 8;

    // The bits of a row, after those of the last elements of the row before.
    class Buffer {
    public:
        template <class Source> void next(Source* source) {
            row_[-1] = row_[kLanes - 1];
            source->next(row_);
        }
        Place at(int64_t element) const { return reinterpret_cast<const uint8_t*>(row_) + (element >> 3); }

    private:
        // [7] is the last word of the row before. Reads may pass the end of the row.
        alignas(64) uint64_t words_[8 + kLanes + 8] = {};
        uint64_t* const row_ = words_ + 8;
    };

    Vec::Selector selectors[kVectors<T>];

    // The first bits of the units that follow have the position in a byte of this element's bit.
    void begin_at(int64_t element) {
        for (int v = 0; v < kVectors<T>; ++v)
            selectors[v] = Vec::selector(Vector{}, static_cast<unsigned>((element & 7) + v * Arithmetic<T>::kVector));
    }

    Vec::Bits load(Place unit) const { return Vec::load_bits(Vector{}, unit); }

    template <class Operation, class... Active>
    auto apply(const Operation& operation, const Vector* x, Vec::Bits unit, int v, Active... active) const {
        return operation(x, unit, selectors[v], active...);
    }
};

// Normal numbers, likewise.
template <class T> struct NormalDraws {
    using Vector = typename Arithmetic<T>::Vector;
    using Place = const float*;
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

    template <class Operation> auto apply(const Operation& operation, const Vector* x, Place unit, int v) const {
        return operation(x, Vec::load_as(Vector{}, unit + v * Arithmetic<T>::kVector));
    }
};

}  // namespace
}  // namespace bitdrop
