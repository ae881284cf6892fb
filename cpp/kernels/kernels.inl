// The kernels of every instruction set, written against the vector type `Vec`. A file for one instruction
// set includes its simd_*.h and then this file. Everything here has internal linkage: rule 2 of the design.
#include "accumulate.inl"
#include "apply.inl"
#include "generate.inl"
#include "generate_noise.inl"

namespace bitdrop {
namespace {

template <class T, template <class> class Operation>
void drop(const Plan& plan, uint64_t first_element, uint8_t* bits, const Affine& affine, const Span& span) {
    if (bits && !Operation<T>::kActivates) {
        StoringRows source(plan, first_element, bits, span.count);
        apply_rows<T, Operation>(&source, first_element, affine, span, nullptr);
    } else {
        GeneratedRows source(plan, first_element / kRowElements);
        apply_rows<T, Operation>(&source, first_element, affine, span, bits);
    }
}

template <class T, template <class> class Operation>
void apply(uint8_t* bits, uint64_t first_bit, const Affine& affine, const Span& span) {
    StoredRows source(bits, first_bit / kRowElements, first_bit + span.count);
    apply_rows<T, Operation>(&source, first_bit, affine, span, bits);
}

template <class T> void noise(const NoisePlan& plan, uint64_t first_element, const Span& span) {
    GeneratedNoise source(plan, first_element, span.count);
    apply_rows<T, Noise, NormalDraws>(&source, first_element, plan.sigma, span, nullptr);
}

template <class T> void apply_normals(const float* z, double sigma, const Span& span) {
    StoredNormals source(z, span.count);
    apply_rows<T, Noise, NormalDraws>(&source, 0, sigma, span, nullptr);
}

template <template <class> class Operation> constexpr void add(bitdrop::Operation operation, Kernels* kernels) {
    Kernels::Drop* drops = kernels->drop[static_cast<int>(operation)];
    drops[static_cast<int>(DType::float16)] = drop<Float16, Operation>;
    drops[static_cast<int>(DType::bfloat16)] = drop<BFloat16, Operation>;
    drops[static_cast<int>(DType::float32)] = drop<float, Operation>;
    drops[static_cast<int>(DType::float64)] = drop<double, Operation>;
    Kernels::Apply* applies = kernels->apply[static_cast<int>(operation)];
    applies[static_cast<int>(DType::float16)] = apply<Float16, Operation>;
    applies[static_cast<int>(DType::bfloat16)] = apply<BFloat16, Operation>;
    applies[static_cast<int>(DType::float32)] = apply<float, Operation>;
    applies[static_cast<int>(DType::float64)] = apply<double, Operation>;
}

constexpr Kernels table(const char* name, uint32_t required) {
    Kernels kernels = {
        name,
        required,
        generate,
        {},
        {},
        {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
        generate_noise,
        {noise<Float16>, noise<BFloat16>, noise<float>, noise<double>},
        {apply_normals<Float16>, apply_normals<BFloat16>, apply_normals<float>, apply_normals<double>},
        {accumulate<Float16>, accumulate<BFloat16>, accumulate<float>, accumulate<double>},
        Vec::fence,
        slice,
    };
    add<Scale>(Operation::scale, &kernels);
    add<ScaleShift>(Operation::affine, &kernels);
    add<Relu>(Operation::relu, &kernels);
    add<Fused>(Operation::fused, &kernels);
    add<FusedRelu>(Operation::fused_relu, &kernels);
    add<Select>(Operation::select, &kernels);
    add<Blend>(Operation::blend, &kernels);
    Kernels::Apply* sums = kernels.apply[static_cast<int>(Operation::scale_sum)];
    sums[static_cast<int>(DType::float32)] = apply<float, ScaleSum>;
    sums[static_cast<int>(DType::float64)] = apply<double, ScaleSum>;
    return kernels;
}

}  // namespace
}  // namespace bitdrop
