// Weights of kept units: gathered and put back, by one and several threads, against loops over all weights.
#include <cstring>
#include <vector>

#include "engine/kept_weights.h"
#include "random_case.h"

using namespace bitdrop;

namespace {

bool is_kept(const std::vector<uint8_t>& bits, uint64_t unit) { return bits.empty() || bits[unit / 8] >> unit % 8 & 1; }

// Empty in a third of the cases: all units are kept.
std::vector<uint8_t> bits_of(Random* random, uint64_t units) {
    if (random->one_in(3)) return {};
    std::vector<uint8_t> bits((units + 7) / 8);
    for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random->bits() & random->bits());
    return bits;
}

void check_case(Random* random) {
    const uint64_t sizes[] = {2, 4, 8, 16, 36};
    const bool large = random->one_in(50);  // enough for several threads
    const WeightShape shape = {random->between(1, large ? 600 : 40), random->one_in(2) ? 1 : random->between(1, 9),
                               random->between(1, large ? 600 : 70), random->any_of(sizes)};
    const std::vector<uint8_t> rows = bits_of(random, shape.rows), columns = bits_of(random, shape.columns);
    const KeptUnits kept = {rows.empty() ? nullptr : rows.data(), columns.empty() ? nullptr : columns.data()};
    const Threads threads(static_cast<int>(random->between(1, 4)));

    std::vector<uint8_t> weights(shape.rows * shape.outer * shape.columns * shape.bytes), part, back(weights.size());
    for (uint8_t& byte : weights) byte = static_cast<uint8_t>(random->bits());
    for (uint64_t i = 0; i < weights.size(); i += shape.bytes) {
        const uint64_t row = i / shape.bytes / shape.columns / shape.outer, column = i / shape.bytes % shape.columns;
        if (!is_kept(rows, row) || !is_kept(columns, column)) continue;
        part.insert(part.end(), weights.begin() + static_cast<std::ptrdiff_t>(i),
                    weights.begin() + static_cast<std::ptrdiff_t>(i + shape.bytes));
        std::memcpy(&back[i], &weights[i], shape.bytes);
    }
    std::vector<uint8_t> gathered(part.size(), 0xAA), scattered(weights.size(), 0xAA);
    gather_weights(shape, kept, weights.data(), gathered.data(), threads);
    CHECK(gathered == part, "%zu bytes gathered", part.size());
    scatter_weights(shape, kept, part.data(), scattered.data(), threads);
    CHECK(scattered == back, "%zu bytes put back", part.size());
}

}  // namespace

int main() {
    Random random(1);
    for (int i = 0; i < 2000; ++i) check_case(&random);
    return 0;
}
