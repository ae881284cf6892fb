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

// Inputs after the first, of a span's elements or of one for all.
class MoreInputs {
public:
    MoreInputs(Random* random, DType dtype, Operation operation, uint64_t count) : inputs_(inputs_of(operation)) {
        const size_t item = kItemSize[static_cast<int>(dtype)];
        for (int i = 1; i < inputs_; ++i) {
            constant_[i] = random->one_in(3);
            memory_.push_back(random->bytes(item * (constant_[i] ? 1 : count)));
            random->fill(memory_.back().data(), memory_.back().size());
        }
    }

    void add_to(Span* span) {
        for (int i = 1; i < inputs_; ++i) {
            span->inputs[i] = memory_[static_cast<size_t>(i - 1)].data();
            span->constant[i] = constant_[i];
        }
    }

    // An input that the output may be, or null.
    Guarded* last() { return inputs_ > 1 && !constant_[inputs_ - 1] ? &memory_.back() : nullptr; }
    bool intact() const {
        for (const Guarded& memory : memory_)
            if (!memory.intact()) return false;
        return true;
    }

private:
    int inputs_;
    bool constant_[kMaxInputs] = {};
    std::vector<Guarded> memory_;
};

void try_elements(Random* random, const Plan* plan) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->dtype();
    const uint64_t count = random->count();
    const size_t bytes = count * kItemSize[static_cast<int>(dtype)];
    const bool in_place = random->one_in(3), with_bits = !plan || random->one_in(2);
    const Affine affine = random->operation();
    uint64_t first = plan ? random->index() : has_activation(affine.operation) ? 0 : random->below(5000);
    if (plan && with_bits) first -= first % kRowElements;

    Guarded x = random->bytes(bytes), y = random->bytes(bytes);
    random->fill(x.data(), bytes);
    MoreInputs more(random, dtype, affine.operation, count);
    Guarded bits = random->bytes(with_bits ? ((plan ? 0 : first) + count + 7) / 8 : 0);
    if (!plan) random->fill(bits.data(), bits.size());
    std::vector<unsigned char> want(bytes + 1), want_bits(bits.data(), bits.data() + bits.size());
    want_bits.resize(bits.size() + 1);
    Span span = make_span(want.data(), x.data(), count);
    more.add_to(&span);
    call(kScalarKernels, dtype, plan, first, with_bits ? want_bits.data() : nullptr, affine, span);

    Guarded* const out = !in_place ? &y : more.last() && random->one_in(2) ? more.last() : &x;
    span.out = out->data();
    span.non_temporal = !in_place && random->one_in(2);
    span.isolated = random->one_in(2);
    call(kernels, dtype, plan, first, with_bits ? bits.data() : nullptr, affine, span);
    check_elements(dtype, *out, want.data(), plan ? "drop" : "apply", kernels);
    CHECK_CASE(x.intact() && more.intact(), "a guard of the inputs", kernels);
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

void try_accumulate(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->dtype();
    const int code = static_cast<int>(dtype);
    const uint64_t count = random->count();
    const DType sum_type = dtype == DType::float64 ? DType::float64 : DType::float32;
    Guarded values = random->bytes(count * kItemSize[code]);
    random->fill(values.data(), values.size());
    const int64_t stride = static_cast<int64_t>(random->below(4));
    const size_t item = kItemSize[static_cast<int>(sum_type)];
    const size_t sums = count == 0 ? 1 : static_cast<size_t>(stride) * (count - 1) + 1;
    std::vector<double> got(sums), want;  // aligned
    random->fill(reinterpret_cast<unsigned char*>(got.data()), sums * item);
    want = got;
    kernels.accumulate[code](values.data(), count, got.data(), stride);
    kScalarKernels.accumulate[code](values.data(), count, want.data(), stride);
    const auto* left = reinterpret_cast<const unsigned char*>(got.data());
    const auto* right = reinterpret_cast<const unsigned char*>(want.data());
    for (size_t at = 0; at < sums * item; at += item)
        CHECK_CASE(same_element(sum_type, left + at, right + at), "accumulate", kernels);
    CHECK_CASE(values.intact(), "a guard of the values", kernels);
}

void try_scale_sum(Random* random) {
    const Kernels& kernels = any_kernels(random);
    const DType dtype = random->one_in(2) ? DType::float32 : DType::float64;
    const int code = static_cast<int>(dtype), operation = static_cast<int>(Operation::scale_sum);
    const uint64_t count = random->count(), first = random->below(5000);
    const size_t bytes = count * kItemSize[code];
    Guarded x = random->bytes(bytes), y = random->bytes(bytes), sums = random->bytes(bytes);
    Guarded bits = random->bytes((first + count + 7) / 8);
    for (Guarded* memory : {&x, &sums, &bits}) random->fill(memory->data(), memory->size());
    std::vector<unsigned char> want(bytes + 1), want_sums(sums.data(), sums.data() + bytes);
    want_sums.resize(bytes + 1);
    const Affine affine = {random->scale(), 0, 0, Operation::scale_sum};
    Span span = make_span(want.data(), x.data(), count);
    span.inputs[1] = want_sums.data();
    kScalarKernels.apply[operation][code](bits.data(), first, affine, span);
    const bool in_place = random->one_in(3);
    span.out = in_place ? x.data() : y.data();
    span.inputs[1] = sums.data();
    span.non_temporal = !in_place && random->one_in(2);
    kernels.apply[operation][code](bits.data(), first, affine, span);
    check_elements(dtype, in_place ? x : y, want.data(), "scale_sum", kernels);
    check_elements(dtype, sums, want_sums.data(), "sums of scale_sum", kernels);
}
