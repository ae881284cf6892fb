// The golden files: one case a line, made by make_golden.cpp, read here and by tests/engine/test_golden.py.
//
//   dtype key0 key1 stream p scale first count bits output
//   dtype key0 key1 stream p first count normals output
//
// The second is a line of the file of noise. Numbers are decimal, p and scale C99 hexadecimal floats. The elements are
// first ... first + count - 1 of a mask or a noise. `bits` is the hash of their bits, packed from bit 0; `normals` that
// of their normal numbers, as little-endian float32; `output` that of golden_input() with the mask or the noise
// applied, as little-endian bytes. A hash is the first 16 hexadecimal digits of the SHA-256.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "check.h"
#include "sha256.h"

struct GoldenCase {
    bitdrop::DType dtype;
    uint64_t key0, key1, stream;
    double p, scale;  // scale: of a mask
    uint64_t first, count;
    std::string draws, output;  // draws: bits or normals

    int code() const { return static_cast<int>(dtype); }
    size_t item() const { return kItemSize[code()]; }
    size_t bits_bytes() const { return static_cast<size_t>((count + 7) / 8); }
    size_t bytes() const { return static_cast<size_t>(count) * item(); }
    bitdrop::Plan plan() const { return bitdrop::make_plan(key0, key1, stream, p); }
    bitdrop::NoisePlan noise_plan() const { return bitdrop::make_noise_plan(key0, key1, stream, p); }
};

// Element i is the topmost bits of mix(i + 1): any number, including denormals and infinities, but an infinity instead
// of a NaN, because payloads are free.
inline uint64_t golden_element(bitdrop::DType dtype, uint64_t i) {
    static constexpr uint64_t kMantissa[bitdrop::kDTypes] = {0x3FF, 0x7F, 0x7FFFFF, 0xFFFFFFFFFFFFF};
    static constexpr uint64_t kExponent[bitdrop::kDTypes] = {0x7C00, 0x7F80, 0x7F800000, 0x7FF0000000000000};
    const int code = static_cast<int>(dtype);
    const uint64_t bits = bitdrop::mix(i + 1) >> (64 - 8 * kItemSize[code]);
    return (bits & kExponent[code]) == kExponent[code] ? bits & ~kMantissa[code] : bits;
}

// Writes `value` to, or reads it from, an element in the machine's byte order.
inline void put_element(unsigned char* to, size_t item, uint64_t value) {
    const uint16_t two = static_cast<uint16_t>(value);
    const uint32_t four = static_cast<uint32_t>(value);
    if (item == 2) std::memcpy(to, &two, 2);
    if (item == 4) std::memcpy(to, &four, 4);
    if (item == 8) std::memcpy(to, &value, 8);
}

inline uint64_t get_element(const unsigned char* from, size_t item) {
    uint16_t two = 0;
    uint32_t four = 0;
    uint64_t eight = 0;
    if (item == 2) std::memcpy(&two, from, 2);
    if (item == 4) std::memcpy(&four, from, 4);
    if (item == 8) std::memcpy(&eight, from, 8);
    return two | four | eight;
}

inline std::vector<unsigned char> golden_input(const GoldenCase& c) {
    std::vector<unsigned char> x(c.bytes());
    for (uint64_t i = 0; i < c.count; ++i)
        put_element(x.data() + i * c.item(), c.item(), golden_element(c.dtype, c.first + i));
    return x;
}

inline std::string hash_elements(const unsigned char* elements, size_t item, uint64_t count) {
    std::vector<unsigned char> little(item * count);
    for (uint64_t i = 0; i < count; ++i)
        for (size_t byte = 0; byte < item; ++byte)
            little[i * item + byte] = static_cast<unsigned char>(get_element(elements + i * item, item) >> (8 * byte));
    return Sha256::of(little.data(), little.size());
}

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

inline bitdrop::DType dtype_named(const std::string& name) {
    for (int code = 0; code < bitdrop::kDTypes; ++code)
        if (name == kDTypeName[code]) return static_cast<bitdrop::DType>(code);
    fail(__FILE__, __LINE__, "a dtype", "'%s'", name.c_str());
}

inline std::vector<GoldenCase> read_golden(const char* path, bool of_noise = false) {
    std::ifstream file(path);
    CHECK(file, "cannot open %s", path);
    std::vector<GoldenCase> cases;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream fields(line);
        std::string dtype, p, scale = "1";
        GoldenCase c;
        fields >> dtype >> c.key0 >> c.key1 >> c.stream >> p;
        if (!of_noise) fields >> scale;
        fields >> c.first >> c.count >> c.draws >> c.output;
        CHECK(!fields.fail(), "%s", line.c_str());
        c.dtype = dtype_named(dtype);
        c.p = std::strtod(p.c_str(), nullptr);
        c.scale = std::strtod(scale.c_str(), nullptr);
        cases.push_back(c);
    }
    CHECK(!cases.empty(), "%s holds no case", path);
    return cases;
}
