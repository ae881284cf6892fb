// The golden file of the noise format: one case a line, made by make_noise_golden.cpp, read here and by
// tests/engine/test_noise_format.py.
//
//   dtype key0 key1 stream p first count normals output
//
// Numbers are decimal, p a C99 hexadecimal float. The elements are first ... first + count - 1 of a noise. `normals` is
// the hash of their normal numbers as little-endian float32; `output` that of the golden input with the noise applied.
// A hash is the first 16 hexadecimal digits of the SHA-256.
#pragma once

#include "golden.h"
#include "kernels/kernel_table.h"

struct NoiseCase {
    bitdrop::DType dtype;
    uint64_t key0, key1, stream;
    double p;
    uint64_t first, count;
    std::string normals, output;

    int code() const { return static_cast<int>(dtype); }
    size_t item() const { return kItemSize[code()]; }
    size_t bytes() const { return static_cast<size_t>(count) * item(); }
    bitdrop::NoisePlan plan() const { return bitdrop::make_noise_plan(key0, key1, stream, p); }
    std::vector<unsigned char> input() const {
        std::vector<unsigned char> x(bytes());
        for (uint64_t i = 0; i < count; ++i)
            put_element(x.data() + i * item(), item(), golden_element(dtype, first + i));
        return x;
    }
};

// The normal numbers of elements first ... first + count - 1, from whole blocks of the kernels.
inline std::vector<float> normals_of(const bitdrop::Kernels& kernels, const bitdrop::NoisePlan& plan, uint64_t first,
                                     uint64_t count) {
    const uint64_t skip = first % bitdrop::kNoiseBlockElements;
    const uint64_t blocks = (skip + count) / bitdrop::kNoiseBlockElements + 1;
    std::vector<float> whole(blocks * bitdrop::kNoiseBlockElements);
    kernels.generate_noise(plan, first / bitdrop::kNoiseBlockElements, blocks, whole.data());
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(skip);
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

inline std::string hash_normals(const std::vector<float>& z) {
    return hash_elements(reinterpret_cast<const unsigned char*>(z.data()), sizeof(float), z.size());
}

inline std::vector<NoiseCase> read_noise_golden(const char* path) {
    std::ifstream file(path);
    CHECK(file, "cannot open %s", path);
    std::vector<NoiseCase> cases;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream fields(line);
        std::string dtype, p;
        NoiseCase c;
        fields >> dtype >> c.key0 >> c.key1 >> c.stream >> p >> c.first >> c.count >> c.normals >> c.output;
        CHECK(!fields.fail(), "%s", line.c_str());
        c.dtype = dtype_named(dtype);
        c.p = std::strtod(p.c_str(), nullptr);
        cases.push_back(c);
    }
    CHECK(!cases.empty(), "%s holds no case", path);
    return cases;
}
