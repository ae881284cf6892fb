#include "handler.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "../engine/dispatch.h"
#include "../engine/engine.h"
#include "../runtime/float_mode.h"
#include "call.h"

namespace bitdrop {
namespace {

using xla::Buffer;
using xla::DataType;
using xla::InvalidCall;

struct ElementType {
    DType dtype;
    int parts;
};

ElementType element_type(DataType dtype) {
    switch (dtype) {
        case DataType::f16: return {DType::float16, 1};
        case DataType::bf16: return {DType::bfloat16, 1};
        case DataType::f32: return {DType::float32, 1};
        case DataType::f64: return {DType::float64, 1};
        case DataType::c64: return {DType::float32, 2};
        case DataType::c128: return {DType::float64, 2};
        default: throw InvalidCall("the engine has no such dtype");
    }
}

constexpr int64_t kNormals = kOperations;  // the code of the operation that draws normal numbers instead of bits

// What a call does, in the attributes' words: see python/bitdrop/jax/_primitive.py.
struct Setting {
    double p;
    int64_t operation;
    Affine affine;
    int64_t batch_ndim;
    uint64_t first;       // index of the first draw
    xla::Span64 strides;  // of the array's axes through the draws of the whole

    explicit Setting(const xla::AttributeReader& attributes)
        : p(attributes.number("p")),
          operation(attributes.integer("operation")),
          affine(make_affine(attributes.number("scale"), attributes.number("shift"), attributes.number("dropped"))),
          batch_ndim(attributes.integer("batch_ndim")),
          first(static_cast<uint64_t>(attributes.integer("first"))),
          strides(attributes.integers("strides")) {
        if (operation < 0 || operation > kNormals) throw InvalidCall("the engine has no such operation");
        if (operation != kNormals) affine.operation = static_cast<Operation>(operation);
    }

    bool draws_normals() const { return operation == kNormals; }
    int inputs() const { return draws_normals() ? 1 : inputs_of(affine.operation); }
};

// A call by XLA: a pass for each index of the batch axes.
class Call {
public:
    explicit Call(const xla::CallFrame& frame);
    void run();

private:
    void check_shapes() const;
    void describe_axes();
    uint64_t first_draw(int64_t batch) const;
    void run_pass(int64_t batch, int threads) const;

    const Setting setting_;
    const ElementType type_;
    const Buffer* key_;
    const Buffer* start_ = nullptr;
    const Buffer* arrays_[kMaxOperands];  // output, inputs
    Operands operands_;                   // without addresses
    BitBox box_;                          // first bit apart
    uint64_t size_ = 1;                   // elements of a pass
    std::unique_ptr<uint8_t[]> bits_, active_bits_;  // for draws that elements share or that are part of a whole
};

const Buffer& result_of(const xla::CallFrame& frame) {
    if (frame.results.size != 1) throw InvalidCall("a call has one result");
    return *frame.results.buffers[0];
}

Call::Call(const xla::CallFrame& frame)
    : setting_(xla::AttributeReader(frame.attributes)),
      type_(element_type(result_of(frame).dtype)),
      operands_(type_.dtype, 1 + setting_.inputs(), true) {
    const int64_t before = frame.arguments.size - setting_.inputs();
    if (before != 1 && before != 2) throw InvalidCall("the operation has another number of inputs");
    key_ = frame.arguments.buffers[0];
    if (before == 2) start_ = frame.arguments.buffers[1];
    arrays_[0] = &result_of(frame);
    std::copy_n(frame.arguments.buffers + before, setting_.inputs(), arrays_ + 1);
    operands_.parts = type_.parts;
    check_shapes();
    describe_axes();
}

// XLA's partitioner and transforms have changed the shapes since Python checked them: memory safety depends on them.
void Call::check_shapes() const {
    const Buffer& out = *arrays_[0];
    const int64_t batch = setting_.batch_ndim, ndim = setting_.strides.size;
    const auto fits = [&](const Buffer& array) {
        if (array.rank != out.rank) return false;
        for (int64_t a = 0; a < out.rank; ++a)
            if (array.dims[a] != out.dims[a] && (array.dims[a] != 1 || (&array == arrays_[1] && a >= batch)))
                return false;
        return true;
    };
    const auto leads = [&](const Buffer& words) {
        return words.rank == batch + 1 && std::equal(words.dims, words.dims + batch, out.dims,
                                                     [](int64_t a, int64_t b) { return a == 1 || a == b; });
    };
    bool right = batch >= 0 && out.rank == batch + ndim && ndim <= kMaxNdim;
    for (int i = 1; right && i <= setting_.inputs(); ++i) right = arrays_[i]->dtype == out.dtype && fits(*arrays_[i]);
    right = right && key_->dtype == DataType::u32 && leads(*key_) && key_->dims[batch] >= 2;
    if (right && start_)
        right = (start_->dtype == DataType::s32 || start_->dtype == DataType::s64) && leads(*start_) &&
                start_->dims[batch] == ndim;
    if (!right) throw InvalidCall("the arguments of the call do not fit each other");
}

// The axes of a pass, and the box of its draws. Draws follow the elements if none is shared and the array is a whole.
void Call::describe_axes() {
    const int64_t batch = setting_.batch_ndim, ndim = setting_.strides.size;
    Axis axes[kMaxNdim];
    int64_t stride[kMaxOperands], box_stride = 1;
    bool follow = !start_ && setting_.first == 0;
    std::fill_n(stride, kMaxOperands, operands_.element_size());
    for (int64_t a = ndim - 1; a >= 0; --a) {
        const int64_t length = arrays_[0]->dims[batch + a], of_draws = setting_.strides.data[a];
        Axis& axis = axes[a] = {length, {}, of_draws == 0 ? 0 : setting_.draws_normals() ? of_draws : box_stride};
        for (int i = 0; i <= setting_.inputs(); ++i) {
            const int64_t own = arrays_[i]->dims[batch + a];
            axis.stride[i] = own == length ? stride[i] : 0;
            stride[i] *= own;
        }
        follow = follow && (length == 1 || of_draws == static_cast<int64_t>(size_));
        size_ *= static_cast<uint64_t>(length);
        if (of_draws != 0) box_stride *= length;
    }
    operands_.layout.bits_follow = follow;
    Axis unit = {1, {}, 1};
    std::fill_n(unit.stride, kMaxOperands, operands_.element_size());
    operands_.layout.add_axis(unit);
    box_.add_axis(1, 1);
    for (int64_t a = 0; a < ndim; ++a) {
        operands_.layout.add_axis(axes[a]);
        box_.add_axis(setting_.strides.data[a] ? axes[a].length : 1, setting_.strides.data[a]);
    }
    if (follow || setting_.draws_normals()) return;
    const size_t bytes = (static_cast<size_t>(box_stride) + 7) / 8;
    bits_.reset(new uint8_t[std::max(bytes, (static_cast<size_t>(size_) + 7) / 8)]);
    if (has_activation(setting_.affine.operation)) active_bits_.reset(new uint8_t[(size_ + 7) / 8]);
}

uint64_t Call::first_draw(int64_t batch) const {
    uint64_t first = setting_.first;
    if (!start_) return first;
    const int64_t offset = xla::batch_offset(*start_, *arrays_[0], setting_.batch_ndim, batch);
    for (int64_t a = 0; a < setting_.strides.size; ++a) {
        const int64_t start = start_->dtype == DataType::s32 ? static_cast<const int32_t*>(start_->data)[offset + a]
                                                             : static_cast<const int64_t*>(start_->data)[offset + a];
        first += static_cast<uint64_t>(start) * static_cast<uint64_t>(setting_.strides.data[a]);
    }
    return first;
}

// The engine's part: the only function that calls it.
void Call::run_pass(int64_t batch, int threads) const {
    Operands operands = operands_;
    for (int i = 0; i <= setting_.inputs(); ++i) {
        const int64_t offset = xla::batch_offset(*arrays_[i], *arrays_[0], setting_.batch_ndim, batch);
        operands.data[i] = static_cast<char*>(arrays_[i]->data) + offset * operands.element_size();
    }
    const uint32_t* words =
        static_cast<const uint32_t*>(key_->data) + xla::batch_offset(*key_, *arrays_[0], setting_.batch_ndim, batch);
    const bool four = key_->dims[setting_.batch_ndim] >= 4;
    const uint64_t k0 = uint64_t{words[0]} << 32 | words[1], k1 = four ? uint64_t{words[2]} << 32 | words[3] : 0;
    const Resources with = {&active_kernels(), threads, active_bits_.get()};
    if (setting_.draws_normals()) {
        const DefaultFloatMode mode;
        return noise(with, operands, make_noise_plan(k0, k1, 0, setting_.p), first_draw(batch));
    }
    BitBox box = box_;
    box.first = first_draw(batch);
    drop(with, operands, setting_.affine, make_plan(k0, k1, 0, setting_.p), box, bits_.get());
}

// Passes too small to be divided share the threads. Those that need memory for bits come one after the other.
void Call::run() {
    constexpr uint64_t kMinElementsPerThread = 32 * kBlockElements;
    const int64_t passes = xla::batch_size(*arrays_[0], setting_.batch_ndim);
    const int threads = num_threads();
    if (passes < 2 || bits_ || size_ >= kMinElementsPerThread * static_cast<uint64_t>(threads)) {
        for (int64_t batch = 0; batch < passes; ++batch) run_pass(batch, threads);
        return;
    }
    const uint64_t elements = static_cast<uint64_t>(passes) * size_;
    const Task task = [](void* call, uint64_t batch) {
        static_cast<const Call*>(call)->run_pass(static_cast<int64_t>(batch), 1);
    };
    parallel_for(static_cast<uint64_t>(passes), choose_parallelism(elements, kMinElementsPerThread, threads), task,
                 this);
}

xla::Error* error_of(const xla::CallFrame& frame, xla::ErrorCode code, const char* message) {
    constexpr size_t kSize = offsetof(xla::CreateErrorArguments, code) + sizeof(xla::ErrorCode);
    xla::CreateErrorArguments arguments = {kSize, nullptr, message, code};
    return frame.api->create_error(&arguments);
}

// Answers XLA's question for the version of its interface that the handler was written for.
bool answer_metadata(const xla::CallFrame& frame) {
    for (xla::Extension* found = frame.extension_start; found; found = found->next) {
        if (found->type != xla::ExtensionType::metadata) continue;
        xla::Metadata& metadata = *reinterpret_cast<xla::MetadataExtension*>(found)->metadata;
        metadata.api_version.major_version = xla::kMajorVersion;
        metadata.api_version.minor_version = xla::kMinorVersion;
        metadata.traits = 0;
        return true;
    }
    return false;
}

}  // namespace

xla::Error* handle_xla_call(xla::CallFrame* frame) noexcept {
    if (answer_metadata(*frame)) return nullptr;
    try {
        Call(*frame).run();
    } catch (const std::bad_alloc&) {
        return error_of(*frame, xla::ErrorCode::resource_exhausted, "bitdrop: out of memory for the bits of a call");
    } catch (const InvalidCall& error) {
        return error_of(*frame, xla::ErrorCode::invalid_argument, error.what());
    }
    return nullptr;
}

}  // namespace bitdrop
