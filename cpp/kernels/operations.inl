// Arithmetic on vectors of elements.
#pragma once

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
    static Vec::Halves stored(Vector a) { return Vec::narrow(a); }
};

template <class T> auto broadcast(double value) {
    return Vec::broadcast_scalar(static_cast<typename Arithmetic<T>::Scalar>(value));
}
template <class T> using Broadcast = decltype(broadcast<T>(0.0));

// The operations. Each takes the vectors of its inputs, and selects by the bits. One with an activation also returns
// the bits of the lanes that are kept and active. See `Operation`.
template <class T> struct Scale {
    static constexpr int kInputs = 1;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit Scale(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::keep(Vec::multiply(x[0], scale), bits, selector);
    }
};

// Inputs: x, and sums that the results are added to.
template <class T> struct ScaleSum {
    static constexpr int kInputs = 2;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = true;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit ScaleSum(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::keep(Vec::multiply(x[0], scale), bits, selector);
    }
};

template <class T> struct ScaleShift {
    static constexpr int kInputs = 1;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale, shift, dropped;

    explicit ScaleShift(const Affine& affine)
        : scale(broadcast<T>(affine.scale)), shift(broadcast<T>(affine.shift)), dropped(broadcast<T>(affine.dropped)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::choose(Vec::add(Vec::multiply(x[0], scale), shift), dropped, bits, selector);
    }
};

template <class T> struct Relu {
    static constexpr int kInputs = 1;
    static constexpr bool kActivates = true;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit Relu(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector, uint32_t* active) const {
        const auto lanes = Vec::active(x[0], Vec::kept(Vector{}, bits, selector));
        *active = Vec::bits_of(lanes);
        return Arithmetic<T>::stored(Vec::zero_unless(Vec::multiply(x[0], scale), lanes));
    }
};

// Inputs: x, bias, residual.
template <class T> struct Fused {
    static constexpr int kInputs = 3;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit Fused(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        const Vector scaled = Vec::multiply(Vec::add(x[0], x[1]), scale);
        const Vector dropped = Vec::zero_unless(scaled, Vec::kept(Vector{}, bits, selector));
        return Arithmetic<T>::stored(Vec::add(x[2], dropped));
    }
};

template <class T> struct FusedRelu {
    static constexpr int kInputs = 3;
    static constexpr bool kActivates = true;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale;

    explicit FusedRelu(const Affine& affine) : scale(broadcast<T>(affine.scale)) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector, uint32_t* active) const {
        const Vector biased = Vec::add(x[0], x[1]);
        const auto lanes = Vec::active(biased, Vec::kept(Vector{}, bits, selector));
        *active = Vec::bits_of(lanes);
        return Arithmetic<T>::stored(Vec::add(x[2], Vec::zero_unless(Vec::multiply(biased, scale), lanes)));
    }
};

// Inputs: x, previous.
template <class T> struct Select {
    static constexpr int kInputs = 2;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;

    explicit Select(const Affine&) {}

    auto operator()(const Vector* x, Vec::Bits bits, Vec::Selector selector) const {
        return Vec::choose(x[0], x[1], bits, selector);
    }
};

template <class T> struct Blend {
    static constexpr int kInputs = 2;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> scale, shift;

    explicit Blend(const Affine& affine) : scale(broadcast<T>(affine.scale)), shift(broadcast<T>(affine.shift)) {}

    auto operator()(const Vector* x, Vec::Bits, Vec::Selector) const {
        return Arithmetic<T>::stored(Vec::add(Vec::multiply(x[0], scale), Vec::multiply(x[1], shift)));
    }
};

// x * (1 + sigma * z), z a normal number.
template <class T> struct Noise {
    static constexpr int kInputs = 1;
    static constexpr bool kActivates = false;
    static constexpr bool kSums = false;
    using Vector = typename Arithmetic<T>::Vector;
    Broadcast<T> sigma, one;

    explicit Noise(double sigma) : sigma(broadcast<T>(sigma)), one(broadcast<T>(1.0)) {}

    auto operator()(const Vector* x, const Vector& z) const {
        return Arithmetic<T>::stored(Vec::multiply(x[0], Vec::add(Vec::multiply(z, sigma), one)));
    }
};

}  // namespace
}  // namespace bitdrop
