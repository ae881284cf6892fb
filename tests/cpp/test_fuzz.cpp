// Random calls of every entry point, each compared with the scalar kernels: test_fuzz [cases] [seed]
#include <vector>

#include "calls.h"
#include "dispatch.h"
#include "random_case.h"
#include "strided_array.h"

using namespace bitdrop;

namespace {

uint64_t case_number = 0;

#define CHECK_CASE(condition, what, kernels) \
    CHECK(condition, "%s by %s in case %llu", what, (kernels).name, static_cast<unsigned long long>(case_number))

const Kernels& any_kernels(Random* random) { return *available_kernels()[random->below(available_kernels().size())]; }

void check_bytes(const Guarded& got, const unsigned char* want, const char* what, const Kernels& kernels) {
    CHECK_CASE(got.size() == 0 || std::memcmp(got.data(), want, got.size()) == 0, what, kernels);
    CHECK_CASE(got.intact(), "a guard", kernels);
}

void check_elements(DType dtype, const Guarded& got, const unsigned char* want, const char* what,
                    const Kernels& kernels) {
    const size_t item = kItemSize[static_cast<int>(dtype)];
    for (size_t at = 0; at < got.size(); at += item)
        CHECK_CASE(same_element(dtype, got.data() + at, want + at), what, kernels);
    CHECK_CASE(got.intact(), "a guard", kernels);
}

void try_make_rows(Random* random, const Kernels& kernels) {
    const Plan plan = random->plan();
    const uint64_t first = random->index() / kRowElements, rows = random->below(10);
    Guarded got = random->bytes(rows * kRowBytes);
    std::vector<unsigned char> want(got.size() + 1);
    kernels.make_rows(plan, first, rows, got.data());
    kScalarKernels.make_rows(plan, first, rows, want.data());
    check_bytes(got, want.data(), "make_rows", kernels);
}

void try_slice(Random* random, const Kernels& kernels) {
    const Plan plan = random->plan();
    std::vector<uint64_t> draws(static_cast<size_t>(plan.levels) * kLanes);
    for (uint64_t& draw : draws) draw = random->one_in(4) ? ~uint64_t{0} : random->bits();
    uint64_t keep[2][kLanes], undecided[2][kLanes];
    if (plan.levels == 0) return;  // nothing is drawn, and slice() is not for it
    kernels.slice(plan, draws.data(), keep[0], undecided[0]);
    kScalarKernels.slice(plan, draws.data(), keep[1], undecided[1]);
    CHECK_CASE(std::memcmp(keep[0], keep[1], sizeof keep[0]) == 0, "slice", kernels);
    CHECK_CASE(std::memcmp(undecided[0], undecided[1], sizeof undecided[0]) == 0, "slice", kernels);
}

void try_make_bits(Random* random, const Kernels& kernels) {
    const Plan plan = random->plan();
    const uint64_t first = random->index(), count = random->count();
    Guarded got = random->bytes((count + 7) / 8);
    make_bits(kernels, plan, first, count, got.data(), static_cast<int>(random->between(1, 8)));

    const uint64_t skip = first % kRowElements, rows = (skip + count + kRowElements - 1) / kRowElements;
    std::vector<unsigned char> whole(rows * kRowBytes), want(got.size() + 1);
    kScalarKernels.make_rows(plan, first / kRowElements, rows, whole.data());
    for (uint64_t i = 0; i < count; ++i)
        want[i / 8] = static_cast<unsigned char>(want[i / 8] | packed_bit(whole.data(), skip + i) << (i % 8));
    check_bytes(got, want.data(), "make_bits", kernels);
}

void try_kernel(Random* random, const Kernels& kernels, bool drops) {
    const Plan plan = random->plan();
    const DType dtype = random->dtype();
    const int code = static_cast<int>(dtype);
    const uint64_t count = random->count();
    const size_t bytes = count * kItemSize[code];
    const bool in_place = random->one_in(3), with_bits = !drops || random->one_in(2);
    uint64_t index = drops ? random->index() : random->below(5000);
    if (drops && with_bits) index -= index % kRowElements;

    Guarded x = random->bytes(bytes), y = random->bytes(bytes);
    random->fill(x.data(), bytes);
    Guarded bits = random->bytes(with_bits ? ((drops ? 0 : index) + count + 7) / 8 : 0);
    if (!drops) random->fill(bits.data(), bits.size());
    std::vector<unsigned char> want(bytes + 1), want_bits(bits.data(), bits.data() + bits.size());
    want_bits.resize(bits.size() + 1);
    uint8_t* const reference_bits = with_bits ? want_bits.data() : nullptr;
    Run run = make_run(want.data(), x.data(), count, index, reference_bits, random->scale());
    drops ? kScalarKernels.drop[code](plan, run) : kScalarKernels.apply[code](run);

    run.dst = in_place ? x.data() : y.data();
    run.bits = with_bits ? bits.data() : nullptr;
    run.streaming = !in_place && random->one_in(2);
    drops ? kernels.drop[code](plan, run) : kernels.apply[code](run);
    check_elements(dtype, in_place ? x : y, want.data(), drops ? "drop" : "apply", kernels);
    CHECK_CASE(x.intact(), "a guard of the input", kernels);
    check_bytes(bits, want_bits.data(), drops ? "bits of drop" : "bits of apply", kernels);
}

// run(): any two layouts of one shape, bits made, made and stored, or only applied.
void try_run(Random* random, const Kernels& kernels, uint64_t most) {
    const Shape shape = random_shape(random, most);
    const DType dtype = random->dtype();
    const size_t item = kItemSize[static_cast<int>(dtype)];
    const bool in_place = random->one_in(4), drops = random->one_in(2), with_bits = !drops || random->one_in(2);
    StridedArray x(random, shape, item, !in_place), y(random, shape, item, false);
    const uint64_t count = size_of(shape);
    const Plan plan = random->plan();
    Guarded bits = random->bytes(with_bits ? (count + 7) / 8 : 0);
    if (!drops) random->fill(bits.data(), bits.size());

    std::vector<unsigned char> elements = x.gather(), want(elements.size() + 1);
    std::vector<unsigned char> want_bits(bits.data(), bits.data() + bits.size());
    want_bits.resize(bits.size() + 1);
    const double scale = random->scale();
    uint8_t* const reference_bits = with_bits ? want_bits.data() : nullptr;
    const Run reference = make_run(want.data(), elements.data(), count, 0, reference_bits, scale);
    const int code = static_cast<int>(dtype);
    drops ? kScalarKernels.drop[code](plan, reference) : kScalarKernels.apply[code](reference);

    StridedArray& out = in_place ? x : y;
    Job job = make_job(kernels, drops ? &plan : nullptr, dtype, x.origin(), out.origin(),
                       with_bits ? bits.data() : nullptr, scale, static_cast<int>(random->between(1, 8)));
    add_axes(&job.layout, shape, x, out);
    set_streaming_threshold(random->one_in(2) ? 0 : ~uint64_t{0});
    std::vector<unsigned char> around = out.all_but_elements();
    run(job);

    const std::vector<unsigned char> got = out.gather();
    for (uint64_t i = 0; i < count; ++i)
        CHECK_CASE(same_element(dtype, got.data() + i * item, want.data() + i * item), "run", kernels);
    CHECK_CASE(out.all_but_elements() == around, "bytes between the elements", kernels);
    CHECK_CASE(x.intact() && y.intact(), "a guard", kernels);
    check_bytes(bits, want_bits.data(), "bits of run", kernels);
}

void try_one(Random* random) {
    const Kernels& kernels = any_kernels(random);
    switch (random->below(8)) {
        case 0: return try_make_rows(random, kernels);
        case 1: return try_slice(random, kernels);
        case 2: return try_make_bits(random, kernels);
        case 3: return try_kernel(random, kernels, true);
        case 4: return try_kernel(random, kernels, false);
        // Large enough for several threads, so now and then only.
        default: return try_run(random, kernels, random->one_in(2000) ? 600000 : random->one_in(10) ? 20000 : 3000);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const uint64_t cases = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20000;
    const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    for (case_number = 0; case_number < cases; ++case_number) {
        Random random(seed + (case_number << 32));  // each case by itself, so that one can be run alone
        try_one(&random);
    }
    std::printf("%llu cases, seed %llu\n", static_cast<unsigned long long>(cases),
                static_cast<unsigned long long>(seed));
}
