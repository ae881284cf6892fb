#include "pass.h"

#include <algorithm>

#include "block_bits.h"
#include "mask_bits.h"

namespace bitdrop {
namespace {

uint64_t product(const Lengths& lengths) {
    uint64_t size = 1;
    for (const int64_t length : lengths) size *= static_cast<uint64_t>(length);
    return size;
}

// The strides of an array in C order, in elements.
Lengths c_order_strides(const Lengths& shape) {
    Lengths strides(shape.size());
    int64_t stride = 1;
    for (size_t a = shape.size(); a-- > 0;) {
        strides[a] = stride;
        stride *= shape[a];
    }
    return strides;
}

void check_shard(const Shard& shard, const Lengths& shape) {
    if (shard.shape.size() != shape.size() || shard.start.size() != shape.size()) throw MisfitError(Misfit::shard);
    for (size_t a = 0; a < shape.size(); ++a)
        if (shard.start[a] + shape[a] > shard.shape[a]) throw MisfitError(Misfit::shard);
}

// Maps of the draws of a pass, and the blocks in them.
Maps maps_of(const Pass& pass) {
    const Blocks& blocks = pass.blocks;
    const Lengths& draws = pass.noise_shape ? *pass.noise_shape : pass.shape;
    Maps maps = {1, {1, 1, 1}, {1, 1, 1}};
    const size_t outer = draws.size() - static_cast<size_t>(blocks.ndim);
    for (size_t a = 0; a < draws.size(); ++a) {
        if (a < outer) {
            maps.count *= static_cast<uint64_t>(draws[a]);
            continue;
        }
        const size_t axis = a - outer + static_cast<size_t>(kMapNdim - blocks.ndim);
        maps.length[axis] = static_cast<uint64_t>(draws[a]);
        maps.block[axis] = static_cast<uint64_t>(blocks.size);
    }
    return maps;
}

}  // namespace

uint64_t Pass::size() const { return product(shape); }

// Along an axis that shares its draws the arrays need one of them.
uint64_t Pass::draw_count() const {
    if (!noise_shape) return size();
    const Lengths& whole = shard ? shard->shape : shape;
    uint64_t count = 1;
    for (size_t a = 0; a < shape.size(); ++a)
        if ((*noise_shape)[a] == whole[a]) count *= static_cast<uint64_t>(shape[a]);
    return count;
}

double Pass::probability() const { return draws == Draws::blocks ? blocks.gamma(p, shape) : p; }

DrawLayout Pass::layout() const {
    const Lengths& whole = shard ? shard->shape : shape;
    const Lengths& drawn = noise_shape ? *noise_shape : whole;
    const Lengths strides = c_order_strides(drawn);
    DrawLayout layout;
    layout.box.add_axis(1, 1);  // for a box without axes
    int64_t packed = 1;
    for (size_t a = shape.size(); a-- > 0;) {
        const bool shared = drawn[a] != whole[a];
        layout.packed[a] = shared ? 0 : packed;
        layout.in_whole[a] = shared || shape[a] == 1 ? 0 : strides[a];
        if (!shared) packed *= shape[a];
    }
    for (size_t a = 0; a < shape.size(); ++a) {
        if (drawn[a] != whole[a]) continue;
        layout.box.add_axis(shape[a], strides[a]);
        if (shard) layout.box.first += static_cast<uint64_t>(shard->start[a] * strides[a]);
    }
    return layout;
}

Pass pass_of(const Rule& rule, bool training, Lengths&& shape, const Shard* shard) {
    if (!rule.units.accept(static_cast<int>(shape.size()))) throw MisfitError(Misfit::other_ndim);
    if (rule.blocks.ndim && !rule.blocks.fit(shape)) throw MisfitError(Misfit::large_block);
    Pass pass;
    pass.draws = rule.draws();
    pass.blocks = rule.blocks;
    pass.operation = training || pass.draws == Draws::normals ? rule.training : rule.inference;
    if (pass.operation.operation == Operation::affine)
        pass.operation = make_affine(pass.operation.scale, pass.operation.shift, pass.operation.dropped);
    if (training) pass.p = rule.p;
    if (training && shard) {
        check_shard(*shard, shape);
        pass.shard = *shard;
    }
    const bool shares = training && !rule.units.are_elements();
    if (shares || rule.blocks.shared_channels) {
        const Lengths& whole = pass.shard ? pass.shard->shape : shape;
        Lengths draws = rule.units.draws_of(whole);
        if (rule.blocks.shared_channels) draws[draws.size() - static_cast<size_t>(rule.blocks.ndim) - 1] = 1;
        if (draws != whole) pass.noise_shape = std::move(draws);
    }
    pass.shape = std::move(shape);
    return pass;
}

void generate_kept_bits(const Resources& with, Pass* pass, uint8_t* bits) {
    const Key& key = pass->key;
    const Plan plan = make_plan(key.words[0], key.words[1], key.stream, pass->probability());
    if (pass->draws != Draws::blocks) {
        const BitBox box = pass->is_plain() ? contiguous_box(0, pass->size()) : pass->layout().box;
        generate_bits(*with.kernels, plan, box, bits, with.threads);
        return;
    }
    const Maps maps = maps_of(*pass);
    const uint64_t kept = maps.size() ? generate_block_bits(*with.kernels, plan, maps, bits, with.threads) : 0;
    const uint64_t sharing = maps.size() ? pass->size() / maps.size() : 1;  // elements of a bit
    pass->operation.scale = pass->blocks.scale(pass->p, pass->size(), kept * sharing);
}

Pass part_of(const Pass& pass, const Shard& place, const uint8_t* bits, AllocateBits allocate, void* context) {
    Pass part = pass;
    part.shape = place.shape;
    const bool keeps_draws = pass.draws == Draws::bits || pass.draws == Draws::normals;
    BitBox box;
    box.add_axis(1, 1);
    const DrawLayout draws = pass.layout();
    const Lengths elements = c_order_strides(pass.shape);
    for (size_t a = 0; a < place.shape.size(); ++a) {
        const int64_t stride = pass.keeps_active_bits() ? elements[a] : draws.packed[a];
        if (stride == 0 && keeps_draws) continue;
        box.add_axis(place.shape[a], stride);
        box.first += static_cast<uint64_t>(place.start[a] * stride);
    }
    if (keeps_draws) {
        Shard shard = pass.shard ? *pass.shard : Shard{pass.shape, Lengths(pass.shape.size(), 0)};
        for (size_t a = 0; a < place.start.size(); ++a) shard.start[a] += place.start[a];
        part.shard = std::move(shard);
    } else {
        part.draws = Draws::given;
        part.key = {};
        part.p = 0.0;
        part.blocks = {};
        part.noise_shape.reset();
    }
    if (part.bias_shape) {
        const size_t added = pass.shape.size() - part.bias_shape->size();
        for (size_t a = added; a < pass.shape.size(); ++a) {
            int64_t& length = (*part.bias_shape)[a - added];
            if (length != 1) length = place.shape[a];
        }
    }
    if (part.owns_bits() && bits) copy_box(box, bits, allocate(context, box.size()));
    return part;
}

}  // namespace bitdrop
