// The settings of a layer or a call, before it meets an array.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "../kernels/operation.h"

namespace bitdrop {

using Lengths = std::vector<int64_t>;

// The reason why arrays do not fit a rule, a pass, or each other. Front-ends have the sentences.
enum class Misfit {
    fits,
    not_an_array,
    other_dtype,
    other_shape,
    not_of_pass,      // of another shape than the arrays of the pass
    no_broadcast,
    read_only,
    overlaps_itself,
    overlaps,         // in part
    overlaps_at_all,  // with an array that must lie apart
    other_ndim,
    noise_shape,
    shard,
    shard_of_blocks,
    large_block,
    no_bias,
};

struct MisfitError : std::runtime_error {
    explicit MisfitError(Misfit misfit) : std::runtime_error("the arrays do not fit the pass"), reason(misfit) {}
    Misfit reason;
};

// The units that are dropped whole: elements, channels, samples, or those of a noise shape.
struct Units {
    static constexpr int64_t kAll = -1;  // all axes own a draw; in a noise shape, the array's length

    int64_t leading = kAll;        // number of first axes that own a draw; the others share it
    std::vector<int> unbatched;    // numbers of axes of arrays without samples: one leading axis fewer owns a draw
    std::vector<int> ndims;        // accepted numbers of axes; empty: at least `leading`
    bool has_noise_shape = false;  // which then decides instead of `leading`
    Lengths noise_shape;
    std::string needs;             // the accepted arrays, as a front-end words it

    bool are_elements() const { return leading == kAll && !has_noise_shape; }
    bool accept(int ndim) const;
    // The shape of the draws for an array of this shape. Throws MisfitError.
    Lengths draws_of(const Lengths& shape) const;
};

// Place of an array in a larger one.
struct Shard {
    Lengths shape, start;
};

// Intervals, squares or cubes along the last axes of an array.
struct Blocks {
    int ndim = 0;  // number of the axes along which blocks extend: 1 to 3. 0: no blocks
    int64_t size = 1;
    double eps = 0.0;             // added to the number of kept elements before it divides
    bool shared_channels = false;  // all channels of a sample lose the same blocks

    bool fit(const Lengths& shape) const;
    double gamma(double p, const Lengths& shape) const;  // probability of a seed at each place of a block
    double scale(double p, uint64_t size, uint64_t kept) const;
};

// The source of a pass's draws.
enum class Draws {
    bits,     // by the mask format
    blocks,   // the same, grown to blocks
    normals,  // by the noise format
    given,    // bits of the user's own
};

struct Rule {
    double p = 0.0;
    Affine training, inference;
    Units units;
    Blocks blocks;
    bool store = true;  // whether a pass holds its bits

    Draws draws() const {
        if (training.operation == Operation::noise) return Draws::normals;
        return blocks.ndim ? Draws::blocks : Draws::bits;
    }
};

}  // namespace bitdrop
