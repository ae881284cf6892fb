// run() on arrays of any layout. Bits are in the order of the elements, in another order, or shared along axes like
// those of a noise shape. They are generated, generated and stored, or only applied.
#include "bit_places.h"
#include "fuzz.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

// The output, then the inputs.
using Arrays = std::vector<StridedArray*>;

Layout layout_of(Random* random, const Shape& shape, const BitPlaces& places, const Arrays& arrays) {
    Layout layout(static_cast<int>(arrays.size()), places.follow);
    for (const size_t axis : axes_order(random, places, *arrays[0])) {
        Axis added = {shape[axis], {}, places.strides[axis]};
        for (size_t i = 0; i < arrays.size(); ++i) added.stride[i] = arrays[i]->stride(axis);
        layout.add_axis(added);
    }
    return layout;
}

// The expected result, in C order. The bit of each element is looked up separately.
std::vector<unsigned char> expected(const Operands& operands, const Affine& affine, const Shape& shape,
                                    const BitPlaces& places, const uint8_t* bits, const Arrays& arrays) {
    std::vector<std::vector<unsigned char>> inputs;
    for (size_t i = 1; i < arrays.size(); ++i) inputs.push_back(arrays[i]->gather());
    std::vector<unsigned char> want(inputs[0].size() + 1);
    std::vector<uint8_t> kept(2 * size_of(shape) / 8 + 1);
    uint64_t i = 0;
    for_each_element(shape, [&](const Shape& at) {
        const unsigned keep = packed_bit(bits, static_cast<uint64_t>(place_of(at, places.strides)));
        for (int part = 0; part < operands.parts; ++part, ++i)
            kept[i / 8] = static_cast<uint8_t>(kept[i / 8] | keep << (i % 8));
    });
    const auto apply = kScalarKernels.apply[static_cast<int>(affine.operation)][static_cast<int>(operands.dtype)];
    Span span = make_span(want.data(), nullptr, i);
    for (size_t input = 0; input < inputs.size(); ++input) span.inputs[input] = inputs[input].data();
    apply(kept.data(), 0, affine, span);
    return want;
}

}  // namespace

void try_arrays(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Shape shape = shape_of_arrays(random);
    const DType dtype = random->dtype();
    const Affine affine = random->affine();
    const bool takes_complex = affine.operation != Operation::affine && item_size(dtype) >= 4;
    const int parts = takes_complex && random->one_in(3) ? 2 : 1;
    const size_t item = kItemSize[static_cast<int>(dtype)] * static_cast<size_t>(parts);
    const bool in_place = random->one_in(4);
    const bool two_inputs = inputs_of(affine.operation) == 2,
               over_previous = in_place && two_inputs && random->one_in(2);
    StridedArray x(random, shape, item, !in_place), y(random, shape, item, false);
    StridedArray previous(random, shape, item, !over_previous);
    StridedArray& out = over_previous ? previous : in_place ? x : y;
    Arrays arrays = {&out, &x};
    if (two_inputs) arrays.push_back(&previous);

    const BitPlaces places(random, shape);
    const bool drops = places.mask && random->one_in(2), with_bits = !drops || !places.follow || random->one_in(2);
    const Plan plan = random->plan();
    Guarded bits = random->bytes(with_bits ? (places.reach + 7) / 8 : 0);
    if (!drops) random->fill(bits.data(), bits.size());
    std::vector<uint8_t> want_bits(bits.data(), bits.data() + bits.size());
    if (drops) want_bits = mask_bits(plan, places.reach);

    Operands operands = make_operands(dtype, out.origin(), x.origin());
    operands.data[2] = reinterpret_cast<char*>(previous.origin());
    operands.layout = layout_of(random, shape, places, arrays);
    operands.parts = parts;
    const std::vector<unsigned char> want = expected(operands, affine, shape, places, want_bits.data(), arrays);
    const std::vector<unsigned char> around = out.all_but_elements();
    set_non_temporal_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    const Resources with = {&kernels, static_cast<int>(random->between(1, 8))};
    uint8_t* const given = with_bits ? bits.data() : nullptr;
    if (drops)
        drop_in_steps(with, operands, affine, plan, places.reach, given, nullptr);
    else
        apply(with, operands, affine, given);

    const std::vector<unsigned char> got = out.gather();
    for (size_t at = 0; at < got.size(); at += kItemSize[static_cast<int>(dtype)])
        CHECK_CASE(same_element(dtype, got.data() + at, want.data() + at), "arrays", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact() && previous.intact(), "a guard", kernels);
    check_bytes(bits, want_bits.data(), "bits of arrays", kernels);
}
