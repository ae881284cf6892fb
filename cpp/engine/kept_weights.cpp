#include "kept_weights.h"

#include <cstring>
#include <vector>

namespace bitdrop {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 16;
constexpr uint64_t kMinBytesPerThread = 4 * kChunkBytes;  // below, waking a thread costs more than it saves

using Indices = std::vector<uint64_t>;

bool is_kept(const uint8_t* bits, uint64_t unit) { return bits[unit / 8] >> unit % 8 & 1; }

Indices indices_of(const uint8_t* bits, uint64_t units) {
    Indices indices;
    indices.reserve(units);
    for (uint64_t unit = 0; unit < units; ++unit)
        if (!bits || is_kept(bits, unit)) indices.push_back(unit);
    return indices;
}

// Copies of items whose size is that of a type, which compilers keep in a register.
template <class Item> struct FixedItems {
    static void copy(char* to, uint64_t i, const char* from, uint64_t j, uint64_t) {
        std::memcpy(to + i * sizeof(Item), from + j * sizeof(Item), sizeof(Item));
    }
};

struct AnyItems {
    static void copy(char* to, uint64_t i, const char* from, uint64_t j, uint64_t bytes) {
        std::memcpy(to + i * bytes, from + j * bytes, bytes);
    }
};

// One call: its rows are shared out among threads.
class Copy {
public:
    Copy(const WeightShape& shape, const KeptUnits& kept)
        : shape_(shape),
          all_columns_(!kept.columns),
          rows_(indices_of(kept.rows, shape.rows)),
          columns_(indices_of(kept.columns, all_columns_ ? 0 : shape.columns)),
          row_bytes_(shape.outer * shape.columns * shape.bytes),
          part_row_bytes_(all_columns_ ? row_bytes_ : shape.outer * columns_.size() * shape.bytes) {}

    void gather(const void* weights, void* part, Threads threads) {
        from_ = static_cast<const char*>(weights);
        to_ = static_cast<char*>(part);
        share(rows_.size(), threads, [](void* self, uint64_t chunk) { static_cast<Copy*>(self)->gather_rows(chunk); });
    }

    void scatter(const void* part, void* weights, Threads threads) {
        from_ = static_cast<const char*>(part);
        to_ = static_cast<char*>(weights);
        places_.assign(shape_.rows, rows_.size());
        for (uint64_t i = 0; i < rows_.size(); ++i) places_[rows_[i]] = i;
        share(shape_.rows, threads, [](void* self, uint64_t chunk) { static_cast<Copy*>(self)->scatter_rows(chunk); });
    }

private:
    void share(uint64_t rows, Threads threads, Task task) {
        if (rows == 0 || row_bytes_ == 0) return;
        count_ = rows;
        chunk_rows_ = kChunkBytes / row_bytes_ + 1;
        parallel_for((rows + chunk_rows_ - 1) / chunk_rows_,
                     choose_parallelism(rows * row_bytes_, kMinBytesPerThread, threads), task, this);
    }

    uint64_t end_of(uint64_t chunk) const {
        const uint64_t end = (chunk + 1) * chunk_rows_;
        return end < count_ ? end : count_;
    }

    void gather_rows(uint64_t chunk) {
        for (uint64_t row = chunk * chunk_rows_; row < end_of(chunk); ++row) {
            const char* from = from_ + rows_[row] * row_bytes_;
            char* to = to_ + row * part_row_bytes_;
            if (all_columns_)
                std::memcpy(to, from, row_bytes_);
            else
                copy_columns<true>(from, to);
        }
    }

    void scatter_rows(uint64_t chunk) {
        for (uint64_t row = chunk * chunk_rows_; row < end_of(chunk); ++row) {
            const char* from = from_ + places_[row] * part_row_bytes_;
            char* to = to_ + row * row_bytes_;
            const bool kept = places_[row] < rows_.size();
            if (kept && all_columns_) {
                std::memcpy(to, from, row_bytes_);
                continue;
            }
            std::memset(to, 0, row_bytes_);
            if (kept) copy_columns<false>(from, to);
        }
    }

    template <bool gathers> void copy_columns(const char* from, char* to) const {
        switch (shape_.bytes) {
            case 2: return copy_items<gathers, FixedItems<uint16_t>>(from, to);
            case 4: return copy_items<gathers, FixedItems<uint32_t>>(from, to);
            case 8: return copy_items<gathers, FixedItems<uint64_t>>(from, to);
            default: return copy_items<gathers, AnyItems>(from, to);
        }
    }

    template <bool gathers, class Items> void copy_items(const char* from, char* to) const {
        const uint64_t kept = columns_.size(), bytes = shape_.bytes;
        const uint64_t* const indices = columns_.data();
        for (uint64_t outer = 0; outer < shape_.outer; ++outer) {
            for (uint64_t i = 0; i < kept; ++i)
                Items::copy(to, gathers ? i : indices[i], from, gathers ? indices[i] : i, bytes);
            from += (gathers ? shape_.columns : kept) * bytes;
            to += (gathers ? kept : shape_.columns) * bytes;
        }
    }

    const WeightShape& shape_;
    const bool all_columns_;
    const Indices rows_, columns_;
    const uint64_t row_bytes_, part_row_bytes_;
    Indices places_;  // of each row in the part, the part's number of rows for a dropped one
    const char* from_ = nullptr;
    char* to_ = nullptr;
    uint64_t count_ = 0, chunk_rows_ = 1;
};

}  // namespace

void gather_weights(const WeightShape& shape, const KeptUnits& kept, const void* weights, void* part, Threads threads) {
    Copy(shape, kept).gather(weights, part, threads);
}

void scatter_weights(const WeightShape& shape, const KeptUnits& kept, const void* part, void* weights,
                     Threads threads) {
    Copy(shape, kept).scatter(part, weights, threads);
}

}  // namespace bitdrop
