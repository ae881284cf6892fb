// Direct calls of the kernels, on contiguous memory.
#include "fuzz.h"

using namespace bitdrop;

void try_generate(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Plan plan = random->plan();
    const uint64_t first = random->index() / kRowElements, rows = random->below(10);
    Guarded got = random->bytes(rows * kRowBytes);
    std::vector<unsigned char> want(got.size() + 1);
    kernels.generate(plan, first, rows, got.data());
    kScalarKernels.generate(plan, first, rows, want.data());
    check_bytes(got, want.data(), "generate", kernels);
}

void try_slice(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const Plan plan = random->plan();
    std::vector<uint64_t> draws(static_cast<size_t>(plan.levels) * kLanes);
    for (uint64_t& draw : draws) draw = random->one_in(4) ? ~uint64_t{0} : random->bits();
    uint64_t keep[2][kLanes], undecided[2][kLanes];
    if (plan.levels == 0) return;  // nothing is drawn, so slice() must not be called
    kernels.slice(plan, draws.data(), keep[0], undecided[0]);
    kScalarKernels.slice(plan, draws.data(), keep[1], undecided[1]);
    CHECK_CASE(std::memcmp(keep[0], keep[1], sizeof keep[0]) == 0, "slice", kernels);
    CHECK_CASE(std::memcmp(undecided[0], undecided[1], sizeof undecided[0]) == 0, "slice", kernels);
}

namespace {

int operation(const Affine& affine) { return static_cast<int>(affine.operation); }

// Drops if there is a plan, else applies. `first` is an element's index, or a bit's.
void call(const Kernels& kernels, DType dtype, const Plan* plan, uint64_t first, uint8_t* bits, const Affine& affine,
          const Span& span) {
    const int code = static_cast<int>(dtype);
    plan ? kernels.drop[operation(affine)][code](*plan, first, bits, affine, span)
         : kernels.apply[operation(affine)][code](bits, first, affine, span);
}

void try_elements(Random* random, const Plan* plan) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->dtype();
    const uint64_t count = random->count();
    const size_t bytes = count * kItemSize[static_cast<int>(dtype)];
    const bool with_bits = !plan || random->one_in(2);
    uint64_t first = plan ? random->index() : random->below(5000);
    if (plan && with_bits) first -= first % kRowElements;

    const Affine affine = random->affine();
    const bool two_inputs = inputs_of(affine.operation) == 2, repeats = two_inputs && random->one_in(3);
    Guarded x = random->bytes(bytes), y = random->bytes(bytes);
    Guarded previous = random->bytes(repeats ? kItemSize[static_cast<int>(dtype)] : bytes);
    Guarded& out = random->one_in(3) ? x : two_inputs && !repeats && random->one_in(3) ? previous : y;
    random->fill(x.data(), bytes);
    random->fill(previous.data(), previous.size());
    Guarded bits = random->bytes(with_bits ? ((plan ? 0 : first) + count + 7) / 8 : 0);
    if (!plan) random->fill(bits.data(), bits.size());
    std::vector<unsigned char> want(bytes + 1), want_bits(bits.data(), bits.data() + bits.size());
    want_bits.resize(bits.size() + 1);
    Span span = make_span(want.data(), x.data(), count);
    span.inputs[1] = previous.data();
    span.constant[1] = repeats;
    call(kScalarKernels, dtype, plan, first, with_bits ? want_bits.data() : nullptr, affine, span);

    span.out = out.data();
    span.non_temporal = &out == &y && random->one_in(2);
    span.isolated = random->one_in(2);
    call(kernels, dtype, plan, first, with_bits ? bits.data() : nullptr, affine, span);
    check_elements(dtype, out, want.data(), plan ? "drop" : "apply", kernels);
    CHECK_CASE(x.intact() && previous.intact(), "a guard of an input", kernels);
    check_bytes(bits, want_bits.data(), plan ? "bits of drop" : "bits of apply", kernels);
}

}  // namespace

void try_drop(Random* random) {
    const Plan plan = random->plan();
    try_elements(random, &plan);
}

void try_apply(Random* random) { try_elements(random, nullptr); }

void try_fill(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->dtype();
    const int code = static_cast<int>(dtype);
    const uint64_t count = random->count();
    Guarded y = random->bytes(count * kItemSize[code]);
    std::vector<unsigned char> want(y.size() + 1);
    const double value = random->affine().dropped;
    Span span = make_span(want.data(), nullptr, count);
    kScalarKernels.fill[code](value, span);
    span.out = y.data();
    span.non_temporal = random->one_in(2);
    kernels.fill[code](value, span);
    check_elements(dtype, y, want.data(), "fill", kernels);
}
