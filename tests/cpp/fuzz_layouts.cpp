// run() on arrays of any layout. Bits are in the order of the elements, in another order, or shared along axes like
// those of a noise shape. They are generated, generated and stored, or only applied.
#include <numeric>

#include "fuzz.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

// The bit index of each element of an array.
struct BitPlaces {
    bool follow = true;  // element i has bit i, and the engine gets no strides
    bool mask = true;  // each bit has one element, in C order: the engine can generate a mask
    Shape steps;
    uint64_t reach = 0;  // bits up to the last

    BitPlaces(Random* random, const Shape& shape) : steps(c_order(shape, 1)), reach(size_of(shape)) {
        follow = random->one_in(3);
        mask = follow || random->one_in(2);
        if (!mask) scatter(random, shape);
    }

private:
    // A noise shape of some axes. Its bits are in any order, and some may be unused.
    void scatter(Random* random, const Shape& shape) {
        std::vector<size_t> order(shape.size());
        std::iota(order.rbegin(), order.rend(), size_t{0});
        if (random->one_in(2)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
        const bool gaps = random->one_in(4);
        uint64_t spanned = 1;
        for (const size_t axis : order) {
            const uint64_t step = random->one_in(2) ? 0 : spanned + (gaps ? random->below(3) : 0);
            steps[axis] = static_cast<int64_t>(step);
            spanned += step * static_cast<uint64_t>(std::max<int64_t>(shape[axis], 1) - 1);
        }
        reach = size_of(shape) ? spanned : 0;
    }
};

// The order in which the engine gets the axes: C order if bits are in the order of the elements, else any order, most
// often that of memory, as in the bindings.
std::vector<size_t> axes_order(Random* random, const BitPlaces& places, const StridedArray& out) {
    std::vector<size_t> order(places.steps.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (places.follow) return order;
    if (random->one_in(4)) std::shuffle(order.begin(), order.end(), std::mt19937_64(random->bits()));
    if (random->one_in(2)) return order;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return std::abs(out.step(a)) > std::abs(out.step(b)); });
    return order;
}

Layout layout_of(Random* random, const Shape& shape, const BitPlaces& places, const StridedArray& x,
                 const StridedArray& out) {
    Layout layout;
    for (const size_t axis : axes_order(random, places, out)) {
        if (places.follow)
            layout.add_axis(shape[axis], x.step(axis), out.step(axis));
        else
            layout.add_axis(shape[axis], x.step(axis), out.step(axis), places.steps[axis]);
    }
    return layout;
}

// The bits of the mask of `plan` with zeros after the last, and at least one byte.
std::vector<uint8_t> mask_bits(const Plan& plan, uint64_t count) {
    const uint64_t rows = count / kRowElements + 1;
    std::vector<uint8_t> bits(rows * kRowBytes);
    kScalarKernels.make_rows(plan, 0, rows, bits.data());
    if (count % 8) bits[count / 8] = static_cast<uint8_t>(bits[count / 8] & ((1u << count % 8) - 1));
    bits.resize(count / 8 + 1);
    return bits;
}

// The expected result, in C order. The bit of each element is looked up separately.
std::vector<unsigned char> expected(const Job& job, const Shape& shape, const BitPlaces& places, const uint8_t* bits,
                                    const StridedArray& x) {
    const std::vector<unsigned char> elements = x.gather();
    std::vector<unsigned char> want(elements.size() + 1);
    std::vector<uint8_t> kept(size_of(shape) / 8 + 1);
    uint64_t i = 0;
    for_each_element(shape, [&](const Shape& at) {
        const unsigned keep = packed_bit(bits, static_cast<uint64_t>(place_of(at, places.steps)));
        kept[i / 8] = static_cast<uint8_t>(kept[i / 8] | keep << (i % 8));
        ++i;
    });
    Run run = make_run(want.data(), elements.data(), i, 0, kept.data(), job.scale);
    run.shift = job.shift;
    run.dropped = job.dropped;
    kScalarKernels.apply[static_cast<int>(job.dtype)](run);
    return want;
}

Shape shape_of_run(Random* random) {
    Shape shape = random_shape(random, random->one_in(10) ? 20000 : 3000);
    if (random->one_in(300)) {  // enough for three threads
        const uint64_t size = std::max<uint64_t>(size_of(shape), 1);
        shape[random->below(shape.size())] *= static_cast<int64_t>(400000 / size + 1);
    }
    return shape;
}

}  // namespace

void try_run(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Shape shape = shape_of_run(random);
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

    Job job = make_job(kernels, drops ? &plan : nullptr, dtype, x.origin(), out.origin(),
                       with_bits ? bits.data() : nullptr, random->scale(), static_cast<int>(random->between(1, 8)));
    random->set_affine(&job);
    job.layout = layout_of(random, shape, places, x, out);
    const std::vector<unsigned char> want = expected(job, shape, places, want_bits.data(), x);
    const std::vector<unsigned char> around = out.all_but_elements();
    set_streaming_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    run(job);

    const std::vector<unsigned char> got = out.gather();
    for (size_t at = 0; at < got.size(); at += item)
        CHECK_CASE(same_element(dtype, got.data() + at, want.data() + at), "run", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact(), "a guard", kernels);
    check_bytes(bits, want_bits.data(), "bits of run", kernels);
}
