// Dispatch: the available instruction sets are those of the compiler's own detection, best first, scalar last.
#include <string>
#include <vector>

#include "check.h"
#include "engine/dispatch.h"

using namespace bitdrop;

namespace {

std::vector<std::string> found_names() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
    return names;
}

std::vector<std::string> expected_names() {
    std::vector<std::string> names;
#if defined(BITDROP_X86) && defined(__GNUC__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse2")) return found_names();  // the runtime of zig knows no features
    const bool avx2 = __builtin_cpu_supports("avx2")
#if !defined(__clang__)
                      && __builtin_cpu_supports("f16c")  // older Clang does not know the name
#endif
        ;
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512) names.push_back("avx512");
    if (avx2) names.push_back("avx2");
    names.push_back("sse2");
#elif defined(BITDROP_NEON)
    names.push_back("neon");
#endif
    names.push_back("scalar");
    return names;
}

std::string joined(const std::vector<std::string>& names) {
    std::string line;
    for (const std::string& name : names) line += name + ' ';
    return line;
}

}  // namespace

int main() {
    for (const Kernels* kernels : available_kernels()) {
        CHECK(find_kernels(kernels->name) == kernels, "%s is not found by its name", kernels->name);
    }
    const std::string found = joined(found_names()), expected = joined(expected_names());
    CHECK(found == expected, "found %s, expected %s", found.c_str(), expected.c_str());
    CHECK(&active_kernels() == available_kernels().front(), "%s is active, not the best", active_kernels().name);
    for (const char* name : {"", "SSE2", "avx", "scalar "}) CHECK(!find_kernels(name), "'%s' was found", name);
    set_active_kernels(kScalarKernels);
    CHECK(&active_kernels() == &kScalarKernels, "%s is active, not the kernels that were set", active_kernels().name);
    std::printf("%s\n", found.c_str());
}
