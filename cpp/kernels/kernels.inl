// The kernels of every instruction set, written against the vector type `Vec`. A file for one instruction
// set includes its simd_*.h and then this. All of it has internal linkage; see docs/design.md for why.
#include "applying.inl"
#include "making.inl"

namespace bitdrop {
namespace {

template <class T> void drop(const Plan& plan, const Run& run) {
    if (run.bits) {
        PackedRows source(plan, run);
        apply_rows<T>(&source, run);
    } else {
        MadeRows source(plan, run.index / kRowElements);
        apply_rows<T>(&source, run);
    }
}

template <class T> void apply(const Run& run) {
    StoredRows source(run.bits, run.index / kRowElements, run.index + run.count);
    apply_rows<T>(&source, run);
}

constexpr Kernels table(const char* name) {
    return {
        name,
        make_rows,
        {drop<Float16>, drop<BFloat16>, drop<float>, drop<double>},
        {apply<Float16>, apply<BFloat16>, apply<float>, apply<double>},
        {fill<Float16>, fill<BFloat16>, fill<float>, fill<double>},
        Vec::fence,
        slice,
    };
}

}  // namespace
}  // namespace bitdrop
