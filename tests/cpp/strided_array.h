// Arrays of any layout, like views in NumPy: transposed, reversed, strided, broadcast, with gaps.
#pragma once

#include <numeric>

#include "shapes.h"

class StridedArray {
public:
    StridedArray(Random* random, const Shape& shape, size_t item, bool broadcast)
        : shape_(shape), item_(item), strides_(random_strides(random, broadcast)), memory_(random->bytes(span())) {
        random->fill(memory_.data(), memory_.size());
        origin_ = memory_.data();
        for (size_t axis = 0; axis < shape_.size(); ++axis)
            if (strides_[axis] < 0 && shape_[axis] > 0) origin_ -= (shape_[axis] - 1) * strides_[axis];
    }

    unsigned char* origin() const { return origin_; }
    int64_t stride(size_t axis) const { return strides_[axis]; }
    bool intact() const { return memory_.intact(); }

    // The elements in C order.
    std::vector<unsigned char> gather() const {
        std::vector<unsigned char> elements(size_of(shape_) * item_);
        size_t at = 0;
        visit([&](const unsigned char* element) {
            std::memcpy(elements.data() + at, element, item_);
            at += item_;
        });
        return elements;
    }

    // Sets the elements, in C order. None may share memory.
    void scatter(const std::vector<unsigned char>& elements) {
        size_t at = 0;
        for_each_element(shape_, [&](const Shape& index) {
            std::memcpy(origin_ + place_of(index, strides_), elements.data() + at, item_);
            at += item_;
        });
    }

    // The memory with the elements set to zero.
    std::vector<unsigned char> all_but_elements() const {
        std::vector<unsigned char> bytes(memory_.data(), memory_.data() + memory_.size());
        visit([&](const unsigned char* element) { std::memset(bytes.data() + (element - memory_.data()), 0, item_); });
        return bytes;
    }

private:
    Shape random_strides(Random* random, bool broadcast) const {
        std::vector<size_t> order(shape_.size());
        std::iota(order.rbegin(), order.rend(), size_t{0});  // C order, innermost first
        if (random->one_in(2)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
        const bool gaps = random->one_in(2);
        Shape strides(shape_.size());
        int64_t spanned = static_cast<int64_t>(item_);
        for (const size_t axis : order) {
            int64_t stride = spanned;
            if (gaps && random->one_in(2)) stride += static_cast<int64_t>(random->one_in(4) ? random->below(9) : item_);
            if (broadcast && random->one_in(6)) stride = 0;
            spanned += stride * (std::max<int64_t>(shape_[axis], 1) - 1);
            strides[axis] = gaps && random->one_in(3) ? -stride : stride;
        }
        return strides;
    }

    size_t span() const {  // of random_strides(), from the first byte to the last
        if (size_of(shape_) == 0) return 0;
        int64_t bytes = static_cast<int64_t>(item_);
        for (size_t axis = 0; axis < shape_.size(); ++axis) bytes += std::abs(strides_[axis]) * (shape_[axis] - 1);
        return static_cast<size_t>(bytes);
    }

    template <class Visit> void visit(Visit visit) const {
        for_each_element(shape_, [&](const Shape& at) { visit(origin_ + place_of(at, strides_)); });
    }

    Shape shape_;
    size_t item_;
    Shape strides_;
    Guarded memory_;
    unsigned char* origin_;
};
