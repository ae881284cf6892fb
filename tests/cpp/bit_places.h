// Places of bits, which the engine's bits take: in the order of the elements, in another order, or shared along axes.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "strided_array.h"

// The bit index of each element of an array.
struct BitPlaces {
    bool follow = true;  // element i has bit i, and the engine gets no strides
    bool mask = true;  // each bit has one element, in C order: the engine can generate a mask
    Shape strides;
    uint64_t reach = 0;  // bits up to the last

    // `own`: each element has a bit of its own, in C order.
    BitPlaces(Random* random, const Shape& shape, bool own = false)
        : strides(c_order(shape, 1)), reach(size_of(shape)) {
        follow = random->one_in(3);
        mask = follow || own || random->one_in(2);
        if (!mask) scatter(random, shape);
    }

private:
    // A noise shape of some axes. Its bits are in any order, and some may be unused.
    void scatter(Random* random, const Shape& shape) {
        std::vector<size_t> order(shape.size());
        std::iota(order.rbegin(), order.rend(), size_t{0});
        if (random->one_in(2)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
        const bool gaps = random->one_in(4);
        uint64_t spanned = 1;
        for (const size_t axis : order) {
            const uint64_t stride = random->one_in(2) ? 0 : spanned + (gaps ? random->below(3) : 0);
            strides[axis] = static_cast<int64_t>(stride);
            spanned += stride * static_cast<uint64_t>(std::max<int64_t>(shape[axis], 1) - 1);
        }
        reach = size_of(shape) ? spanned : 0;
    }
};

// The order in which the engine gets the axes: C order if bits are in the order of the elements, else any order, most
// often that of memory, as in the bindings.
inline std::vector<size_t> axes_order(Random* random, const BitPlaces& places, const StridedArray& out) {
    std::vector<size_t> order(places.strides.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (places.follow) return order;
    if (random->one_in(4)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
    if (random->one_in(2)) return order;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return std::abs(out.stride(a)) > std::abs(out.stride(b)); });
    return order;
}

// The bits of the mask of `plan` with zeros after the last, and at least one byte.
inline std::vector<uint8_t> mask_bits(const bitdrop::Plan& plan, uint64_t count) {
    const uint64_t rows = count / bitdrop::kRowElements + 1;
    std::vector<uint8_t> bits(rows * bitdrop::kRowBytes);
    bitdrop::kScalarKernels.generate(plan, 0, rows, bits.data());
    if (count % 8) bits[count / 8] = static_cast<uint8_t>(bits[count / 8] & ((1u << count % 8) - 1));
    bits.resize(count / 8 + 1);
    return bits;
}
