// The kernels of every instruction set, written against the vector type `Vec`. A file for one instruction
// set includes its simd_*.h and then this file. Everything here has internal linkage: rule 2 in docs/design.md.
#include "apply.inl"
#include "generate.inl"
#include "generate_noise.inl"

namespace bitdrop {
namespace {

template <class T, template <class> class Operation>
void drop(const Plan& plan, uint64_t first_element, uint8_t* bits, const Affine& affine, const Span& span) {
    if (bits) {
        StoringRows source(plan, first_element, bits, span.count);
        apply_rows<T, Operation>(&source, first_element, affine, span);
    } else {
        GeneratedRows source(plan, first_element / kRowElements);
        apply_rows<T, Operation>(&source, first_element, affine, span);
    }
}

template <class T, template <class> class Operation>
void apply(const uint8_t* bits, uint64_t first_bit, const Affine& affine, const Span& span) {
    StoredRows source(bits, first_bit / kRowElements, first_bit + span.count);
    apply_rows<T, Operation>(&source, first_bit, affine, span);
}

template <class T> void noise(const NoisePlan& plan, uint64_t first_element, const Span& span) {
    GeneratedNoise source(plan, first_element, span.count);
    apply_rows<T, Noise>(&source, first_element, plan.sigma, span);
}

template <class T> void apply_normals(const float* z, double sigma, const Span& span) {
    StoredNormals source(z, span.count);
    apply_rows<T, Noise>(&source, 0, sigma, span);
}

constexpr Kernels table(const char* name, uint32_t required) {
    return {
        name,
        required,
        generate,
        {{drop<Float16, Scale>, drop<BFloat16, Scale>, drop<float, Scale>, drop<double, Scale>},
         {drop<Float16, ScaleShift>, drop<BFloat16, ScaleShift>, drop<float, ScaleShift>, drop<double, ScaleShift>}},
        {{apply<Float16, Scale>, apply<BFloat16, Scale>, apply<float, Scale>, apply<double, Scale>},
         {apply<Float16, ScaleShift>, apply<BFloat16, ScaleShift>, apply<float, ScaleShift>,
          apply<double, ScaleShift>}},
        {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
        generate_noise,
        {noise<Float16>, noise<BFloat16>, noise<float>, noise<double>},
        {apply_normals<Float16>, apply_normals<BFloat16>, apply_normals<float>, apply_normals<double>},
        Vec::fence,
        slice,
    };
}

}  // namespace
}  // namespace bitdrop
