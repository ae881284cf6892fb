// Arrays of any layout, as NumPy's views are: transposed, reversed, stepped, broadcast, with gaps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine.h"
#include "random_case.h"

using Shape = std::vector<int64_t>;

inline uint64_t size_of(const Shape& shape) {
    uint64_t size = 1;
    for (const int64_t length : shape) size *= static_cast<uint64_t>(length);
    return size;
}

// One to five axes, with at most `most` elements and now and then with none.
inline Shape random_shape(Random* random, uint64_t most) {
    Shape shape(random->between(1, 5));
    uint64_t left = most;
    for (int64_t& length : shape) {
        const uint64_t longest = random->one_in(3) ? left : std::min<uint64_t>(left, 9);
        length = static_cast<int64_t>(random->between(1, longest));
        left /= static_cast<uint64_t>(length);
    }
    if (random->one_in(4)) shape[random->below(shape.size())] *= static_cast<int64_t>(left);
    if (random->one_in(60)) shape[random->below(shape.size())] = 0;
    return shape;
}

class StridedArray {
public:
    StridedArray(Random* random, const Shape& shape, size_t item, bool broadcast)
        : shape_(shape), item_(item), steps_(random_steps(random, broadcast)), memory_(random->bytes(span())) {
        random->fill(memory_.data(), memory_.size());
        origin_ = memory_.data();
        for (size_t axis = 0; axis < shape_.size(); ++axis)
            if (steps_[axis] < 0 && shape_[axis] > 0) origin_ -= (shape_[axis] - 1) * steps_[axis];
    }

    unsigned char* origin() const { return origin_; }
    int64_t step(size_t axis) const { return steps_[axis]; }
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

    // The memory with zeros for the elements.
    std::vector<unsigned char> all_but_elements() const {
        std::vector<unsigned char> bytes(memory_.data(), memory_.data() + memory_.size());
        visit([&](const unsigned char* element) { std::memset(bytes.data() + (element - memory_.data()), 0, item_); });
        return bytes;
    }

private:
    std::vector<int64_t> random_steps(Random* random, bool broadcast) const {
        std::vector<size_t> order(shape_.size());
        std::iota(order.rbegin(), order.rend(), size_t{0});  // C order, innermost first
        if (random->one_in(2)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
        const bool gaps = random->one_in(2);
        std::vector<int64_t> steps(shape_.size());
        int64_t spanned = static_cast<int64_t>(item_);
        for (const size_t axis : order) {
            int64_t step = spanned;
            if (gaps && random->one_in(2)) step += static_cast<int64_t>(random->one_in(4) ? random->below(9) : item_);
            if (broadcast && random->one_in(6)) step = 0;
            spanned += step * (std::max<int64_t>(shape_[axis], 1) - 1);
            steps[axis] = gaps && random->one_in(3) ? -step : step;
        }
        return steps;
    }

    size_t span() const {  // of random_steps(), from the first byte to the last
        if (size_of(shape_) == 0) return 0;
        int64_t bytes = static_cast<int64_t>(item_);
        for (size_t axis = 0; axis < shape_.size(); ++axis) bytes += std::abs(steps_[axis]) * (shape_[axis] - 1);
        return static_cast<size_t>(bytes);
    }

    template <class Visit> void visit(Visit visit) const {
        std::vector<int64_t> at(shape_.size());
        for (uint64_t left = size_of(shape_); left; --left) {
            const unsigned char* element = origin_;
            for (size_t axis = 0; axis < at.size(); ++axis) element += at[axis] * steps_[axis];
            visit(element);
            for (size_t axis = at.size(); axis-- && ++at[axis] == shape_[axis];) at[axis] = 0;
        }
    }

    Shape shape_;
    size_t item_;
    std::vector<int64_t> steps_;
    Guarded memory_;
    unsigned char* origin_;
};

inline void add_axes(bitdrop::Layout* layout, const Shape& shape, const StridedArray& src, const StridedArray& dst) {
    for (size_t axis = 0; axis < shape.size(); ++axis) layout->add_axis(shape[axis], src.step(axis), dst.step(axis));
}
