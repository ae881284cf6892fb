// The one way in which passes and gradients are done.
#include <algorithm>

#include "../runtime/buffer_pool.h"
#include "../runtime/float_mode.h"
#include "bit_order.h"
#include "mask_bits.h"
#include "pass.h"

namespace bitdrop {
namespace {

// The operation on the inputs that are there, as the kernels have it.
Affine simplified(const Affine& operation, const Arrays& arrays) {
    Affine simple = operation;
    if (!arrays.inputs[1] && !arrays.inputs[2]) {
        if (operation.operation == Operation::fused) simple.operation = Operation::scale;
        if (operation.operation == Operation::fused_relu) simple.operation = Operation::relu;
    }
    return simple;
}

// The linear part of a pass, which takes the gradient of its output.
Affine linear_part(const Pass& pass, Gradient gradient) {
    switch (gradient) {
        case Gradient::kept:
        case Gradient::summed:
        case Gradient::scaled: return {pass.operation.scale};
        case Gradient::shifted: return {pass.operation.shift};
        case Gradient::noise: return pass.operation;
        default: return {1.0};
    }
}

bool needs_draws(Gradient gradient) {
    return gradient != Gradient::scaled && gradient != Gradient::shifted && gradient != Gradient::same;
}

}  // namespace

Buffer::~Buffer() {
    if (pooled_)
        return_buffer(bytes_);
    else
        delete[] bytes_;
}

void Buffer::allocate(size_t bytes) {
    pooled_ = bytes >= kPooledBytes;
    bytes_ = pooled_ ? static_cast<uint8_t*>(take_buffer(bytes)) : new uint8_t[bytes];
}

Work::Work(const Pass& pass, const ElementType& type, const Arrays& arrays, StoredBits bits)
    : operation_(simplified(pass.operation, arrays)), bits_(bits), operands_(type.number, 0) {
    Arrays read = arrays;
    if (pass.operation.operation == Operation::blend) {  // a state of weight 0 is not read
        draws_ = false;
        if (pass.operation.shift == 0.0) operation_ = {pass.operation.scale};
        if (pass.operation.scale == 0.0) {
            operation_ = {pass.operation.shift};
            read.inputs[0] = arrays.inputs[1];
        }
    }
    bits_.valid = bits.valid && !pass.keeps_active_bits();
    path_ = path_of(pass);
    describe(pass, type, read);
    make_room(pass);
}

// With a factor of 0 nothing is read: 0 * NaN would be NaN.
Work::Work(const Pass& pass, Gradient gradient, const ElementType& type, const Arrays& arrays, StoredBits bits,
           const Array* sums)
    : operation_(linear_part(pass, gradient)),
      bits_(bits),
      draws_(needs_draws(gradient)),
      inverted_(gradient == Gradient::dropped),
      sums_(sums),
      operands_(type.number, 0) {
    if (!draws_ && operation_.scale == 0.0) constant_p_ = 1.0;
    path_ = path_of(pass);
    describe(pass, type, arrays);
    make_room(pass);
}

Work::Path Work::path_of(const Pass& pass) const {
    const bool changed = inverted_ || sums_;
    if (!draws_) return Path::constant;
    if (pass.p == 0.0 && pass.draws != Draws::given && !bits_.bytes && !changed) return Path::constant;
    if (pass.draws == Draws::normals) return Path::normals;
    if (bits_.valid) return changed ? Path::kept_first : Path::stored;
    if (has_activation(operation_.operation)) return Path::active;
    return pass.draws == Draws::bits && !changed ? Path::generated : Path::kept_first;
}

void Work::describe(const Pass& pass, const ElementType& type, const Arrays& arrays) {
    static const int64_t nowhere[kMaxNdim] = {};  // all elements share the draw, so that axes merge by memory alone
    const bool of_elements = bits_.valid && pass.keeps_active_bits();
    if (path_ == Path::constant) {
        if (operation_.operation == Operation::noise) operation_ = {1.0};
        describe_along(nowhere, pass, type, arrays);
        operands_.layout.bits_follow = true;
    } else if (pass.is_plain() || of_elements) {
        describe_along(nullptr, pass, type, arrays);
    } else {
        const DrawLayout layout = pass.layout();
        first_ = layout.box.first;
        describe_along(path_ == Path::normals ? layout.in_whole : layout.packed, pass, type, arrays);
    }
    if (path_ == Path::active) {
        Operands in_c_order(type.number, 0);
        describe_operands(type, operation_.operation, arrays, nullptr, &in_c_order);
        elements_ = in_c_order.layout;
    }
    // Bits that follow the elements are generated and applied at once.
    if (path_ == Path::active && operands_.layout.bits_follow) path_ = Path::generated;
    if (path_ == Path::generated && !operands_.layout.bits_follow) path_ = Path::kept_first;
}

void Work::describe_along(const int64_t* draw_strides, const Pass& pass, const ElementType& type,
                          const Arrays& arrays) {
    if (!sums_) return describe_operands(type, operation_.operation, arrays, draw_strides, &operands_);
    const uint64_t count = static_cast<uint64_t>(sums_->size());
    const uint64_t chunks = std::max<uint64_t>(chunks_of(pass.size(), Sums::chunk_for(count)), 1);
    sum_memory_.allocate(static_cast<size_t>(chunks * count * static_cast<uint64_t>(sum_size(type.number)) + 1));
    const Array sums = contiguous_like(*sums_, sum_size(type.number), reinterpret_cast<char*>(sum_memory_.get()));
    describe_operands(type, operation_.operation, arrays, draw_strides, &operands_, &sums);
}

void Work::make_room(const Pass& pass) {
    const bool needs_kept = path_ == Path::active || (path_ == Path::kept_first && (inverted_ || !bits_.bytes));
    if (needs_kept) kept_.allocate(static_cast<size_t>(pass.draw_count() / 8 + 1));
    if (path_ == Path::active && !(elements_.bits_follow && bits_.bytes))
        active_.allocate(static_cast<size_t>(pass.size() / 8 + 1));
}

void Work::run(const Resources& with, Pass* pass) const {
    const Key& key = pass->key;
    switch (path_) {
        case Path::constant: return drop(with, operands_, operation_, make_plan(0, 0, 0, constant_p_), nullptr);
        case Path::normals: {
            const DefaultFloatMode mode;
            return noise(with, operands_, make_noise_plan(key.words[0], key.words[1], key.stream, pass->p), first_);
        }
        case Path::stored: return apply(with, operands_, operation_, bits_.bytes);
        case Path::generated: {
            const Plan plan = make_plan(key.words[0], key.words[1], key.stream, pass->p);
            return drop(with, operands_, operation_, plan, bits_.bytes);
        }
        case Path::active: return find_active(with, pass);
        case Path::kept_first: break;
    }
    const uint8_t* kept = kept_bits(with, pass);
    if (sums_) return apply_and_store_sums(with, kept);
    Affine operation = operation_;
    if (pass->draws == Draws::blocks) operation.scale = pass->operation.scale;  // it follows from the bits
    apply(with, operands_, operation, kept);
}

// The bits, or their opposites.
const uint8_t* Work::kept_bits(const Resources& with, Pass* pass) const {
    uint8_t* const kept = kept_.get() ? kept_.get() : bits_.bytes;
    if (!bits_.valid) generate_kept_bits(with, pass, kept);
    if (!inverted_) return kept;
    const uint8_t* from = bits_.valid ? bits_.bytes : kept;
    std::transform(from, from + (pass->draw_count() + 7) / 8, kept, [](uint8_t byte) { return uint8_t(~byte); });
    return kept;
}

// The bits of active elements are found in the order of memory, and stored in C order.
void Work::find_active(const Resources& with, Pass* pass) const {
    if (operands_.layout.size() == 0) return;
    generate_kept_bits(with, pass, kept_.get());
    uint8_t* const found = active_.get() ? active_.get() : bits_.bytes;
    order_bits(operands_.layout, kept_.get(), found, with.threads);
    apply_and_find(with, operands_, operation_, found);
    if (active_.get() && bits_.bytes) restore_bits(elements_, found, bits_.bytes, with.threads);
}

void Work::apply_and_store_sums(const Resources& with, const uint8_t* kept) const {
    const uint64_t count = static_cast<uint64_t>(sums_->size());
    const Sums sums = {count, Sums::chunk_for(count), reinterpret_cast<char*>(sum_memory_.get())};
    apply_and_sum(with, operands_, operation_, kept, sums);
    store_sums(*sums_, operands_.dtype, sums);
}

}  // namespace bitdrop
