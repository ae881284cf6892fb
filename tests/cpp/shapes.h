// Shapes of arrays, and plain loops over their elements, the reference for the traversal of the engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "random_case.h"

using Shape = std::vector<int64_t>;

inline uint64_t size_of(const Shape& shape) {
    uint64_t size = 1;
    for (const int64_t length : shape) size *= static_cast<uint64_t>(length);
    return size;
}

// One to five axes, with at most `most` elements, sometimes with none.
inline Shape random_shape(Random* random, uint64_t most) {
    Shape shape(random->between(1, 5));
    uint64_t left = std::max<uint64_t>(most, 1);
    for (int64_t& length : shape) {
        const uint64_t longest = random->one_in(3) ? left : std::min<uint64_t>(left, 9);
        length = static_cast<int64_t>(random->between(1, longest));
        left /= static_cast<uint64_t>(length);
    }
    if (random->one_in(4)) shape[random->below(shape.size())] *= static_cast<int64_t>(left);
    if (random->one_in(60)) shape[random->below(shape.size())] = 0;
    return shape;
}

// Two to four axes with lengths near those of tiles and blocks, at most `most` elements.
inline Shape tiled_shape(Random* random, uint64_t most) {
    if (random->one_in(15)) return {static_cast<int64_t>(random->between(4, 6)), 17000};  // tiles side by side
    const uint64_t edges[] = {1,   2,   3,   5,   15,  16,   17,   63,   64,   65,
                              127, 129, 200, 255, 300, 1023, 1024, 1025, 2100, 17000};
    Shape shape(random->between(2, 4));
    for (int64_t& length : shape) {
        const uint64_t edge = random->any_of(edges);
        length = static_cast<int64_t>(edge <= most ? edge : 1);
        most /= static_cast<uint64_t>(length);
    }
    std::shuffle(shape.begin(), shape.end(), std::mt19937_64(random->bits()));
    return shape;
}

// Any shape, sometimes of enough elements for three threads.
inline Shape shape_of_arrays(Random* random) {
    if (random->one_in(4)) return tiled_shape(random, random->one_in(10) ? 100000 : 10000);
    Shape shape = random_shape(random, random->one_in(10) ? 20000 : 3000);
    if (random->one_in(300)) {
        const uint64_t size = std::max<uint64_t>(size_of(shape), 1);
        shape[random->below(shape.size())] *= static_cast<int64_t>(400000 / size + 1);
    }
    return shape;
}

// The strides of a dense array in C order.
inline Shape c_order(const Shape& shape, int64_t item) {
    Shape strides(shape.size());
    for (size_t axis = shape.size(); axis-- > 0; item *= shape[axis]) strides[axis] = item;
    return strides;
}

// Calls visit(index along each axis) for each element, in C order.
template <class Visit> void for_each_element(const Shape& shape, Visit visit) {
    Shape at(shape.size());
    for (uint64_t left = size_of(shape); left; --left) {
        visit(static_cast<const Shape&>(at));
        for (size_t axis = at.size(); axis-- && ++at[axis] == shape[axis];) at[axis] = 0;
    }
}

inline int64_t place_of(const Shape& at, const Shape& strides) {
    int64_t place = 0;
    for (size_t axis = 0; axis < at.size(); ++axis) place += at[axis] * strides[axis];
    return place;
}
