// run() on arrays of any layout. Bits are in the order of the elements, in another order, or shared along axes like
// those of a noise shape. They are generated, generated and stored, or only applied.
#include "bit_places.h"
#include "fuzz.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

Layout layout_of(Random* random, const Shape& shape, const BitPlaces& places, const StridedArray& x,
                 const StridedArray& out) {
    Layout layout(2, places.follow);
    for (const size_t axis : axes_order(random, places, out))
        layout.add_axis({shape[axis], {out.stride(axis), x.stride(axis)}, places.strides[axis]});
    return layout;
}

// The expected result, in C order. The bit of each element is looked up separately.
std::vector<unsigned char> expected(DType dtype, const Affine& affine, const Shape& shape, const BitPlaces& places,
                                    const uint8_t* bits, const StridedArray& x) {
    const std::vector<unsigned char> elements = x.gather();
    std::vector<unsigned char> want(elements.size() + 1);
    std::vector<uint8_t> kept(size_of(shape) / 8 + 1);
    uint64_t i = 0;
    for_each_element(shape, [&](const Shape& at) {
        const unsigned keep = packed_bit(bits, static_cast<uint64_t>(place_of(at, places.strides)));
        kept[i / 8] = static_cast<uint8_t>(kept[i / 8] | keep << (i % 8));
        ++i;
    });
    const auto apply = kScalarKernels.apply[static_cast<int>(affine.operation)][static_cast<int>(dtype)];
    apply(kept.data(), 0, affine, make_span(want.data(), elements.data(), i));
    return want;
}

Shape shape_of_arrays(Random* random) {
    Shape shape = random_shape(random, random->one_in(10) ? 20000 : 3000);
    if (random->one_in(300)) {  // enough for three threads
        const uint64_t size = std::max<uint64_t>(size_of(shape), 1);
        shape[random->below(shape.size())] *= static_cast<int64_t>(400000 / size + 1);
    }
    return shape;
}

}  // namespace

void try_arrays(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Shape shape = shape_of_arrays(random);
    const DType dtype = random->dtype();
    const size_t item = kItemSize[static_cast<int>(dtype)];
    const bool in_place = random->one_in(4);
    StridedArray x(random, shape, item, !in_place), y(random, shape, item, false);
    StridedArray& out = in_place ? x : y;

    const BitPlaces places(random, shape);
    const bool drops = places.mask && random->one_in(2), with_bits = !drops || !places.follow || random->one_in(2);
    const Plan plan = random->plan();
    Guarded bits = random->bytes(with_bits ? (places.reach + 7) / 8 : 0);
    if (!drops) random->fill(bits.data(), bits.size());
    std::vector<uint8_t> want_bits(bits.data(), bits.data() + bits.size());
    if (drops) want_bits = mask_bits(plan, places.reach);

    const Affine affine = random->affine();
    Operands operands = make_operands(dtype, out.origin(), x.origin());
    operands.layout = layout_of(random, shape, places, x, out);
    const std::vector<unsigned char> want = expected(dtype, affine, shape, places, want_bits.data(), x);
    const std::vector<unsigned char> around = out.all_but_elements();
    set_non_temporal_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    const Resources with = {&kernels, static_cast<int>(random->between(1, 8))};
    uint8_t* const given = with_bits ? bits.data() : nullptr;
    if (drops)
        drop(with, operands, affine, plan, contiguous_box(0, places.reach), given);
    else
        apply(with, operands, affine, given);

    const std::vector<unsigned char> got = out.gather();
    for (size_t at = 0; at < got.size(); at += item)
        CHECK_CASE(same_element(dtype, got.data() + at, want.data() + at), "arrays", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact(), "a guard", kernels);
    check_bytes(bits, want_bits.data(), "bits of arrays", kernels);
}
