// The pass of a call as a value without memory, and the one way to do it.
#pragma once

#include <optional>

#include "operands.h"
#include "rule.h"

namespace bitdrop {

struct Key {
    uint64_t words[2] = {0, 0};
    uint64_t stream = 0;
};

// Strides from the elements of an array to its draws.
struct DrawLayout {
    BitBox box;                   // of the whole's draws, those that the array needs. They are packed anew
    int64_t packed[kMaxNdim];  // strides of the array's axes through the packed box, 0 along axes that share draws
    int64_t in_whole[kMaxNdim];  // and through the draws of the whole
};

struct Pass {
    Lengths shape;
    Draws draws = Draws::bits;
    Key key;
    double p = 0.0;
    Affine operation;
    Blocks blocks;
    std::optional<Lengths> noise_shape;  // of the whole's draws; none: each element has its own
    std::optional<Shard> shard;  // none: the arrays are the whole
    std::optional<Lengths> bias_shape;

    uint64_t size() const;  // elements
    uint64_t draw_count() const;  // draws that the arrays need
    bool is_plain() const { return !noise_shape && !shard; }  // element i has draw i
    bool keeps_active_bits() const { return has_activation(operation.operation); }
    // True if its bits are no function of key and index, so that they are a part of the value.
    bool owns_bits() const { return draws == Draws::given || keeps_active_bits(); }
    uint64_t stored_bits() const { return keeps_active_bits() ? size() : draw_count(); }
    double probability() const;  // of dropping a draw: p, or that of a seed
    DrawLayout layout() const;
};

// The pass that a rule decides for arrays of this shape, before a key is drawn: at inference its p is 0. Throws
// MisfitError, and then leaves the shape as it is.
Pass pass_of(const Rule& rule, bool training, Lengths&& shape, const Shard* shard);

// The pass over a part of the arrays. Bits that are a part of the value are read from `bits` and written to the memory
// that `allocate` returns for a number of bits.
using AllocateBits = uint8_t* (*)(void* context, uint64_t count);
Pass part_of(const Pass& pass, const Shard& place, const uint8_t* bits, AllocateBits allocate, void* context);

// Generates the bits of a pass that draws bits, packed anew from bit 0. It sets the scale of a pass that drops blocks.
void generate_kept_bits(const Resources& with, Pass* pass, uint8_t* bits);

// Memory for the bits of a pass, (stored_bits() + 7) / 8 bytes. Null: bits are neither read nor written.
struct StoredBits {
    uint8_t* bytes = nullptr;
    bool valid = false;  // they are read; else they are written
};

// Memory that lives as long as a call.
class Buffer {
public:
    Buffer() = default;
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void allocate(size_t bytes);  // throws std::bad_alloc
    uint8_t* get() const { return bytes_; }

private:
    uint8_t* bytes_ = nullptr;
    bool pooled_ = false;
};

// One walk over memory: a pass, or a gradient of one. What may fail is done by the constructors, which may throw
// std::bad_alloc. `run` cannot fail, and reads the key: it may be drawn in between.
class Work {
public:
    // The pass itself. Bits of active elements are written and never read: other inputs may have others.
    Work(const Pass& pass, const ElementType& type, const Arrays& arrays, StoredBits bits);

    // The gradient with respect to an input: arrays.out from arrays.inputs[0], the gradient of the output. `sums` takes
    // the sum of the result over the axes along which it would be broadcast.
    Work(const Pass& pass, Gradient gradient, const ElementType& type, const Arrays& arrays, StoredBits bits,
         const Array* sums = nullptr);

    void run(const Resources& with, Pass* pass) const;

private:
    enum class Path {
        constant,  // no draws: all elements are kept, or all dropped
        normals,  // numbers are generated and applied at once
        stored,  // bits are read
        generated,  // bits are generated and applied at once
        active,  // bits are generated first, and those of active elements found
        kept_first,  // bits are generated first, or changed first
    };

    Path path_of(const Pass& pass) const;
    void describe(const Pass& pass, const ElementType& type, const Arrays& arrays);
    void describe_along(const int64_t* draw_strides, const Pass& pass, const ElementType& type, const Arrays& arrays);
    void make_room(const Pass& pass);
    const uint8_t* kept_bits(const Resources& with, Pass* pass) const;
    void find_active(const Resources& with, Pass* pass) const;
    void apply_and_store_sums(const Resources& with, const uint8_t* kept) const;

    Affine operation_;
    StoredBits bits_;
    bool draws_ = true;  // false: the draws do not matter
    bool inverted_ = false;  // the dropped elements are wanted
    double constant_p_ = 0.0;  // of the path `constant`: 0 keeps all elements, 1 drops them
    const Array* sums_ = nullptr;
    Path path_;
    Operands operands_;
    Layout elements_{0, true};  // of the path `active`: the axes, with their strides in C order
    uint64_t first_ = 0;  // of the path `normals`: index of the first number
    Buffer kept_, active_, sum_memory_;
};

}  // namespace bitdrop
