// Operations on arrays of any layout, and sums of the result. Bits are in the order of the elements, in another order,
// or shared along axes like those of a noise shape. They are generated, generated and stored, or only applied. Results
// must not depend on kernels, threads, or places in memory.
#include "bit_places.h"
#include "fuzz.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

// The output, then the inputs.
using Arrays = std::vector<const StridedArray*>;

Layout layout_of(const std::vector<size_t>& order, const Shape& shape, const BitPlaces& places, const Arrays& arrays) {
    Layout layout(static_cast<int>(arrays.size()), places.follow);
    for (const size_t axis : order) {
        Axis added = {shape[axis], {}, places.strides[axis]};
        for (size_t i = 0; i < arrays.size(); ++i) added.stride[i] = arrays[i]->stride(axis);
        layout.add_axis(added);
    }
    return layout;
}

// The bits of the elements in C order, looked up one by one; of a complex number's parts twice.
std::vector<uint8_t> kept_bits(const Shape& shape, const BitPlaces& places, const uint8_t* bits, int parts) {
    std::vector<uint8_t> kept(static_cast<size_t>(parts) * size_of(shape) / 8 + 1);
    uint64_t i = 0;
    for_each_element(shape, [&](const Shape& at) {
        const unsigned keep = packed_bit(bits, static_cast<uint64_t>(place_of(at, places.strides)));
        for (int part = 0; part < parts; ++part, ++i) kept[i / 8] = static_cast<uint8_t>(kept[i / 8] | keep << (i % 8));
    });
    return kept;
}

bool takes_complex(Operation operation, DType dtype) {
    return item_size(dtype) >= 4 &&
           (operation == Operation::scale || operation == Operation::select || operation == Operation::blend);
}

}  // namespace

void try_arrays(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Shape shape = shape_of_arrays(random);
    const DType dtype = random->dtype();
    const Affine affine = random->operation();
    const int parts = takes_complex(affine.operation, dtype) && random->one_in(3) ? 2 : 1;
    const size_t number = kItemSize[static_cast<int>(dtype)], item = number * static_cast<size_t>(parts);
    const uint64_t size = size_of(shape);
    const bool active = has_activation(affine.operation);
    BitPlaces places(random, shape);
    while (active && !places.mask) places = BitPlaces(random, shape);
    const bool drops = active || (places.mask && random->one_in(2));
    const bool with_bits = active || !drops || !places.follow || random->one_in(2);

    const uint64_t choice = random->below(3);  // a new output, x, or the last input
    StridedArray x(random, shape, item, choice != 1), y(random, shape, item, false);
    StridedArray bias(random, shape, item, true), last(random, shape, item, choice != 2);
    const int inputs = inputs_of(affine.operation);
    StridedArray& out = choice == 1 ? x : choice == 2 && inputs > 1 ? last : y;
    Arrays arrays = {&out, &x};
    if (inputs == 3) arrays.push_back(&bias);
    if (inputs > 1) arrays.push_back(&last);
    Operands operands(dtype, static_cast<int>(arrays.size()));
    operands.layout = layout_of(axes_order(random, places, out), shape, places, arrays);
    operands.parts = parts;
    for (size_t i = 0; i < arrays.size(); ++i) operands.data[i] = reinterpret_cast<char*>(arrays[i]->origin());

    const Plan plan = random->plan();
    Guarded bits = random->bytes(with_bits ? (places.reach + 7) / 8 : 0), more = random->bytes((size + 7) / 8);
    random->fill(bits.data(), bits.size());
    std::vector<uint8_t> want_bits(bits.data(), bits.data() + bits.size());
    if (drops) want_bits = mask_bits(plan, places.reach);
    std::vector<uint8_t> kept = kept_bits(shape, places, want_bits.data(), parts);
    std::vector<unsigned char> want(size * item + 1);
    std::vector<std::vector<unsigned char>> gathered;
    Span span = make_span(want.data(), nullptr, size * static_cast<uint64_t>(parts));
    for (size_t i = 1; i < arrays.size(); ++i) gathered.push_back(arrays[i]->gather());
    for (size_t i = 0; i < gathered.size(); ++i) span.inputs[i] = gathered[i].data();
    kScalarKernels.apply[static_cast<int>(affine.operation)][static_cast<int>(dtype)](kept.data(), 0, affine, span);
    if (active) want_bits = kept;

    const std::vector<unsigned char> around = out.all_but_elements();
    set_non_temporal_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    const Resources with = {&kernels, static_cast<int>(random->between(1, 8))};
    uint8_t* const given = with_bits ? bits.data() : nullptr;
    drops ? drop_in_steps(with, operands, affine, plan, places.reach, given, more.data())
          : apply(with, operands, affine, given);

    const std::vector<unsigned char> got = out.gather();
    for (size_t at = 0; at < got.size(); at += number)
        CHECK_CASE(same_element(dtype, got.data() + at, want.data() + at), "arrays", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact() && bias.intact() && last.intact() && more.intact(), "a guard", kernels);
    check_bytes(bits, want_bits.data(), "bits of arrays", kernels);
}

void try_sums(Random* random) {
    const Shape shape = shape_of_arrays(random);
    const DType dtype = random->dtype();
    const size_t item = kItemSize[static_cast<int>(dtype)];
    const bool in_place = random->one_in(4);
    StridedArray x(random, shape, item, !in_place), y(random, shape, item, false);
    StridedArray& out = in_place ? x : y;
    const Affine affine = {random->scale()};
    const BitPlaces places(random, shape, true);
    Guarded bits = random->bytes((places.reach + 7) / 8);
    random->fill(bits.data(), bits.size());

    Shape summed = shape;
    for (int64_t& length : summed)
        if (random->one_in(2)) length = 1;
    const Shape sum_strides = c_order(summed, sum_size(dtype));
    Layout layout(3, places.follow);
    for (const size_t axis : axes_order(random, places, out)) {
        const int64_t sum_stride = summed[axis] == 1 ? 0 : sum_strides[axis];
        layout.add_axis({shape[axis], {out.stride(axis), x.stride(axis), sum_stride}, places.strides[axis]});
    }
    const std::vector<unsigned char> before = x.gather();
    std::vector<std::vector<unsigned char>> results;
    for (const Kernels* kernels : {&any_kernels(random), &kScalarKernels}) {
        x.scatter(before);
        const uint64_t count = size_of(summed), chunk = Sums::chunk_for(count);
        const uint64_t chunks = std::max<uint64_t>(chunks_of(size_of(shape), chunk), 1);
        Guarded aligned(chunks * count * static_cast<size_t>(sum_size(dtype)));
        Operands operands = make_operands(dtype, out.origin(), x.origin());
        operands.layout = layout;
        const Sums sums = {count, chunk, reinterpret_cast<char*>(aligned.data())};
        operands.data[2] = sums.memory;
        set_non_temporal_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
        apply_and_sum({kernels, static_cast<int>(random->between(1, 8))}, operands, affine, bits.data(), sums);
        CHECK_CASE(aligned.intact() && x.intact() && y.intact(), "a guard", *kernels);
        std::vector<unsigned char> result = out.gather();
        const size_t number = static_cast<size_t>(sum_size(dtype));
        result.insert(result.end(), aligned.data(), aligned.data() + count * number);
        results.push_back(result);
    }
    const DType sum_type = dtype == DType::float64 ? DType::float64 : DType::float32;
    const size_t elements = size_of(shape) * item;
    for (size_t at = 0; at < elements; at += item)
        CHECK_CASE(same_element(dtype, &results[0][at], &results[1][at]), "results of sums", kScalarKernels);
    for (size_t at = elements; at < results[0].size(); at += kItemSize[static_cast<int>(sum_type)])
        CHECK_CASE(same_element(sum_type, &results[0][at], &results[1][at]), "sums", kScalarKernels);
}
