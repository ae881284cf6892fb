// Noise: the kernels on one span, and arrays of any layout whose numbers are in order, scattered or shared along axes.
#include "fuzz.h"
#include "golden.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

NoisePlan any_noise_plan(Random* random) {
    const double edges[] = {0, 0x1p-60, 0.1, 0.5, 0.9, 1 - 0x1p-53};
    const double p = random->one_in(2) ? random->any_of(edges) : static_cast<double>(random->bits() >> 11) * 0x1p-53;
    return make_noise_plan(random->bits(), random->bits(), random->one_in(2) ? random->below(4) : random->bits(), p);
}

// The normal number of one element, straight from the specification.
float normal_at(const NoisePlan& plan, uint64_t element) {
    const uint64_t at = element % kNoiseBlockElements, lane = at / 2 % kLanes;
    const uint64_t counter = kLanes * (element / kNoiseBlockElements) + lane + 1;
    uint64_t s0 = mix(plan.key0 + kGamma0 * counter), s1 = mix(plan.key1 + kGamma1 * counter);
    for (uint64_t draw = at / (2 * kLanes); draw; --draw) {
        const uint64_t x = s0 ^ (s0 << 23), y = s1;
        s0 = y;
        s1 = x ^ y ^ (x >> 18) ^ (y >> 5);
    }
    return normal_of(static_cast<uint32_t>((s0 + s1) >> (at % 2 ? 32 : 0)));
}

// Bytes for floats, at a multiple of their size.
Guarded float_bytes(Random* random, uint64_t count) {
    return Guarded(count * sizeof(float), sizeof(float) * random->below(16), random->one_in(2) ? 0 : 64);
}

}  // namespace

void try_generate_noise(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const NoisePlan plan = any_noise_plan(random);
    const uint64_t first = random->index() / kNoiseBlockElements, blocks = random->below(4);
    Guarded got = float_bytes(random, blocks * kNoiseBlockElements);
    kernels.generate_noise(plan, first, blocks, reinterpret_cast<float*>(got.data()));
    std::vector<float> want(blocks * kNoiseBlockElements + 1);
    for (uint64_t i = 0; i + 1 < want.size(); ++i) want[i] = normal_at(plan, first * kNoiseBlockElements + i);
    check_bytes(got, reinterpret_cast<const unsigned char*>(want.data()), "generate_noise", kernels);
}

void try_noise(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->dtype();
    const int code = static_cast<int>(dtype);
    const NoisePlan plan = any_noise_plan(random);
    const uint64_t first = random->index(), count = random->count();
    const bool in_place = random->one_in(3), stored = random->one_in(2);
    Guarded x = random->bytes(count * kItemSize[code]), y = random->bytes(x.size());
    random->fill(x.data(), x.size());
    std::vector<unsigned char> want(x.size() + 1);
    kScalarKernels.noise[code](plan, first, make_span(want.data(), x.data(), count));
    Span span = make_span(in_place ? x.data() : y.data(), x.data(), count, !in_place && random->one_in(2));
    span.isolated = random->one_in(2);
    if (stored) {
        const std::vector<float> z = normals_of(kScalarKernels, plan, first, count);
        Guarded normals = float_bytes(random, count);
        if (count) std::memcpy(normals.data(), z.data(), normals.size());
        kernels.apply_normals[code](reinterpret_cast<const float*>(normals.data()), plan.sigma, span);
    } else {
        kernels.noise[code](plan, first, span);
    }
    check_elements(dtype, in_place ? x : y, want.data(), stored ? "apply_normals" : "noise", kernels);
    CHECK_CASE(x.intact(), "a guard of the input", kernels);
}

void try_noise_arrays(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Shape shape = shape_of_arrays(random);
    const DType dtype = random->dtype();
    const size_t item = kItemSize[static_cast<int>(dtype)];
    const bool in_place = random->one_in(4), follow = random->one_in(3);
    StridedArray x(random, shape, item, !in_place), y(random, shape, item, false);
    StridedArray& out = in_place ? x : y;
    const NoisePlan plan = any_noise_plan(random);
    const uint64_t first = random->index();

    Shape strides = c_order(shape, 1);  // through the noise: in order, shared along axes, or those of a larger array
    const bool in_order = follow || random->one_in(2);
    for (size_t axis = 0; axis < shape.size() && !in_order; ++axis) {
        if (random->one_in(3)) strides[axis] = 0;
        if (random->one_in(3)) strides[axis] += static_cast<int64_t>(random->below(3000));
    }
    Operands operands = make_operands(dtype, out.origin(), x.origin(), follow);
    std::vector<size_t> order(shape.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (!follow && random->one_in(2))  // that of memory
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return std::abs(out.stride(a)) > std::abs(out.stride(b)); });
    for (const size_t axis : order)
        operands.layout.add_axis({shape[axis], {out.stride(axis), x.stride(axis)}, follow ? 1 : strides[axis]});

    const std::vector<unsigned char> elements = x.gather(), around = out.all_but_elements();
    std::vector<float> z;
    for_each_element(shape, [&](const Shape& at) {
        z.push_back(normal_at(plan, first + static_cast<uint64_t>(place_of(at, strides))));
    });
    std::vector<unsigned char> want(elements.size() + 1);
    kScalarKernels.apply_normals[static_cast<int>(dtype)](z.data(), plan.sigma,
                                                          make_span(want.data(), elements.data(), z.size()));
    set_non_temporal_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    noise({&kernels, static_cast<int>(random->between(1, 8))}, operands, plan, first);

    const std::vector<unsigned char> got = out.gather();
    for (size_t at = 0; at < got.size(); at += item)
        CHECK_CASE(same_element(dtype, got.data() + at, want.data() + at), "noise of arrays", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact(), "a guard", kernels);
}
