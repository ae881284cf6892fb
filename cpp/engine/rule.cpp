#include "rule.h"

#include <algorithm>

#include "../runtime/float_mode.h"

namespace bitdrop {

bool Units::accept(int ndim) const {
    if (ndims.empty()) return ndim >= leading;
    return std::find(ndims.begin(), ndims.end(), ndim) != ndims.end();
}

Lengths Units::draws_of(const Lengths& shape) const {
    Lengths draws = shape;
    if (has_noise_shape) {
        if (noise_shape.size() != shape.size()) throw MisfitError(Misfit::noise_shape);
        for (size_t a = 0; a < shape.size(); ++a) {
            if (noise_shape[a] != kAll) draws[a] = noise_shape[a];
            if (draws[a] != 1 && draws[a] != shape[a]) throw MisfitError(Misfit::noise_shape);
        }
    } else if (leading != kAll) {
        const auto ndim = static_cast<int>(shape.size());
        const bool without_samples = std::find(unbatched.begin(), unbatched.end(), ndim) != unbatched.end();
        std::fill(draws.begin() + (leading - without_samples), draws.end(), 1);
    }
    return draws;
}

bool Blocks::fit(const Lengths& shape) const {
    const auto first = shape.end() - std::min<std::ptrdiff_t>(ndim, static_cast<std::ptrdiff_t>(shape.size()));
    return static_cast<int>(shape.size()) >= ndim &&
           std::all_of(first, shape.end(), [&](int64_t length) { return length >= size; });
}

double Blocks::gamma(double p, const Lengths& shape) const {
    const DefaultFloatMode mode;
    double elements = p;
    int64_t places = 1, volume = 1;
    for (auto length = shape.end() - ndim; length != shape.end(); ++length) {
        elements *= static_cast<double>(*length);  // in the order of torchvision, so that it rounds alike
        places *= *length - size + 1;
        volume *= size;
    }
    return std::min(elements / (static_cast<double>(volume) * static_cast<double>(places)), 1.0);
}

double Blocks::scale(double p, uint64_t elements, uint64_t kept) const {
    if (p == 0.0 || kept == 0) return p == 0.0 ? 1.0 : 0.0;
    const DefaultFloatMode mode;
    return static_cast<double>(elements) / (eps + static_cast<double>(kept));
}

}  // namespace bitdrop
