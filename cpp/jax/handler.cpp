#include "handler.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "../engine/dispatch.h"
#include "../engine/pass.h"
#include "call.h"

namespace bitdrop {
namespace {

using xla::DataType;
using xla::InvalidCall;

const char* type_name(DataType dtype) {
    switch (dtype) {
        case DataType::f16: return "float16";
        case DataType::bf16: return "bfloat16";
        case DataType::f32: return "float32";
        case DataType::f64: return "float64";
        case DataType::c64: return "complex64";
        case DataType::c128: return "complex128";
        default: throw InvalidCall("the engine has no such dtype");
    }
}

const ElementType& type_of(const xla::Buffer& array) {
    const std::string name = type_name(array.dtype);
    return *std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                         [&](const ElementType& type) { return type.name == name; });
}

Operation operation_named(const std::string& name) {
    for (int o = 0; o < kAllOperations; ++o)
        if (name == kOperationFacts[o].name) return static_cast<Operation>(o);
    throw InvalidCall("the engine has no such operation: " + name);
}

// A call by XLA: a pass for each index of the batch axes. Its attributes are those that _lowering.py writes.
class Call {
public:
    explicit Call(const xla::CallFrame& frame);

    void run() const;

private:
    void read_arrays(const xla::CallFrame& frame);
    void check_shapes() const;
    Array array_of(int operand, int64_t batch) const;
    Pass pass_of(int64_t batch) const;
    void run_pass(int64_t batch, int threads) const;
    void run_small_passes(uint64_t passes) const;

    const xla::AttributeReader attributes_;
    const int64_t batch_ndim_;
    Pass pass_;  // without its key
    Gradient gradient_ = Gradient::none;
    const xla::Buffer* key_;
    const xla::Buffer* start_ = nullptr;  // added to that of the shard
    const xla::Buffer* arrays_[kMaxOperands] = {};  // output, inputs; null: an input that is not there
};

Call::Call(const xla::CallFrame& frame)
    : attributes_(frame.attributes), batch_ndim_(attributes_.integer("batch_ndim")) {
    pass_.operation = {attributes_.number("scale"), attributes_.number("shift"), attributes_.number("dropped"),
                       operation_named(attributes_.string("operation"))};
    if (pass_.operation.operation == Operation::noise) pass_.draws = Draws::normals;
    pass_.p = attributes_.number("p");
    const int64_t gradient = attributes_.integer("gradient");
    if (gradient >= inputs_of(pass_.operation.operation)) throw InvalidCall("the operation has no such input");
    if (gradient >= 0) gradient_ = facts_of(pass_.operation.operation).gradients[gradient];
    read_arrays(frame);
    check_shapes();
    const Lengths noise_shape = attributes_.integers("noise_shape");
    Shard shard = {attributes_.integers("shard_shape"), attributes_.integers("shard_start")};
    if (noise_shape != shard.shape) pass_.noise_shape = noise_shape;
    const bool whole = shard.shape == pass_.shape && shard.start == Lengths(pass_.shape.size(), 0);
    if (start_ || !whole) pass_.shard = std::move(shard);
}

void Call::read_arrays(const xla::CallFrame& frame) {
    const Lengths inputs = attributes_.integers("inputs");
    const int64_t count = static_cast<int64_t>(inputs.size()), before = frame.arguments.size - count;
    if (frame.results.size != 1 || (before != 1 && before != 2)) throw InvalidCall("the number of arrays is wrong");
    key_ = frame.arguments.buffers[0];
    if (before == 2) start_ = frame.arguments.buffers[1];
    arrays_[0] = frame.results.buffers[0];
    const int64_t most = gradient_ == Gradient::none ? inputs_of(pass_.operation.operation) : 1;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t input = inputs[static_cast<size_t>(i)];
        if (input < 0 || input >= most) throw InvalidCall("the operation has no such input");
        arrays_[1 + input] = frame.arguments.buffers[before + i];
    }
    const bool both = pass_.operation.operation != Operation::select || gradient_ != Gradient::none || arrays_[2];
    if (!arrays_[1] || !both) throw InvalidCall("an input is missing");
    if (batch_ndim_ < 0 || batch_ndim_ > arrays_[0]->rank || arrays_[0]->rank > kMaxNdim)
        throw InvalidCall("the number of axes is wrong");
    pass_.shape.assign(arrays_[0]->dims + batch_ndim_, arrays_[0]->dims + arrays_[0]->rank);
}

// Memory safety depends on it: a transform of JAX or a partitioner may have changed the shapes that Python checked.
void Call::check_shapes() const {
    const xla::Buffer& out = *arrays_[0];
    const auto fits = [&](const xla::Buffer& array, int64_t from, int64_t to, bool repeats) {
        for (int64_t a = from; a < to; ++a)
            if (array.dims[a] != out.dims[a] && !(repeats && array.dims[a] == 1)) return false;
        return true;
    };
    const auto leads = [&](const xla::Buffer& array, int64_t length) {
        return array.rank == batch_ndim_ + 1 && fits(array, 0, batch_ndim_, true) && array.dims[batch_ndim_] >= length;
    };
    bool right = key_->dtype == DataType::u32 && leads(*key_, 2);
    if (start_)
        right = right && (start_->dtype == DataType::s32 || start_->dtype == DataType::s64) &&
                leads(*start_, static_cast<int64_t>(pass_.shape.size()));
    for (int i = 1; i < kMaxOperands; ++i)
        if (const xla::Buffer* array = arrays_[i])
            right = right && array->dtype == out.dtype && array->rank == out.rank &&
                    fits(*array, 0, batch_ndim_, true) && fits(*array, batch_ndim_, out.rank, i > 1);
    for (const char* const name : {"noise_shape", "shard_shape", "shard_start"})
        right = right && attributes_.integers(name).size() == pass_.shape.size();
    if (!right) throw InvalidCall("the arrays of a call do not fit each other");
}

// An operand of one index of the batch axes.
Array Call::array_of(int operand, int64_t batch) const {
    const xla::Buffer& buffer = *arrays_[operand];
    Array array;
    array.item_size = type_of(buffer).size();
    array.ndim = static_cast<int>(buffer.rank - batch_ndim_);
    int64_t stride = array.item_size;
    for (int a = array.ndim - 1; a >= 0; --a) {
        array.shape[a] = buffer.dims[batch_ndim_ + a];
        array.stride[a] = stride;
        stride *= array.shape[a];
    }
    array.data =
        static_cast<char*>(buffer.data) + xla::batch_offset(buffer, *arrays_[0], batch_ndim_, batch) * array.item_size;
    return array;
}

// Words of a key, the higher first; then the place of the shard.
Pass Call::pass_of(int64_t batch) const {
    Pass pass = pass_;
    const uint32_t* words =
        static_cast<const uint32_t*>(key_->data) + xla::batch_offset(*key_, *arrays_[0], batch_ndim_, batch);
    for (int64_t w = 0; w < std::min<int64_t>(key_->dims[batch_ndim_] / 2, 2); ++w)
        pass.key.words[w] = uint64_t{words[2 * w]} << 32 | words[2 * w + 1];
    if (!start_) return pass;
    const int64_t offset = xla::batch_offset(*start_, *arrays_[0], batch_ndim_, batch);
    for (size_t a = 0; a < pass.shape.size(); ++a) {
        const size_t at = static_cast<size_t>(offset) + a;
        pass.shard->start[a] += start_->dtype == DataType::s32 ? static_cast<const int32_t*>(start_->data)[at]
                                                               : static_cast<const int64_t*>(start_->data)[at];
    }
    return pass;
}

void Call::run_pass(int64_t batch, int threads) const {
    Pass pass = pass_of(batch);
    Array arrays[kMaxOperands];
    Arrays described = {&arrays[0], {}};
    for (int i = 0; i < kMaxOperands; ++i) {
        if (!arrays_[i]) continue;
        arrays[i] = array_of(i, batch);
        if (i > 0) described.inputs[i - 1] = &arrays[i];
    }
    const ElementType& type = type_of(*arrays_[0]);
    const Resources with = {&active_kernels(), threads};
    if (gradient_ == Gradient::none)
        Work(pass, type, described, {}).run(with, &pass);
    else
        Work(pass, gradient_, type, described, {}).run(with, &pass);
}

constexpr uint64_t kMinElementsPerThread = 32 * kBlockElements;

// Passes too small to be divided share the threads.
void Call::run() const {
    const int64_t passes = xla::batch_size(*arrays_[0], batch_ndim_);
    const int threads = num_threads();
    const bool small = pass_.size() < kMinElementsPerThread * static_cast<uint64_t>(threads);
    if (passes > 1 && threads > 1 && small) return run_small_passes(static_cast<uint64_t>(passes));
    for (int64_t batch = 0; batch < passes; ++batch) run_pass(batch, threads);
}

// A task of the threads must not throw.
void Call::run_small_passes(uint64_t passes) const {
    struct Shared {
        const Call& call;
        std::atomic<bool> out_of_memory{false};
    } shared = {*this};
    const Task task = [](void* context, uint64_t batch) {
        auto& common = *static_cast<Shared*>(context);
        try {
            common.call.run_pass(static_cast<int64_t>(batch), 1);
        } catch (const std::bad_alloc&) {
            common.out_of_memory = true;
        }
    };
    const Parallelism parallelism = choose_parallelism(passes * pass_.size(), kMinElementsPerThread, num_threads());
    parallel_for(passes, parallelism, task, &shared);
    if (shared.out_of_memory) throw std::bad_alloc();
}

xla::Error* error_of(const xla::CallFrame& frame, xla::ErrorCode code, const std::string& message) {
    constexpr size_t kSize = offsetof(xla::CreateErrorArguments, code) + sizeof(xla::ErrorCode);
    const std::string text = "bitdrop: " + message;
    xla::CreateErrorArguments arguments = {kSize, nullptr, text.c_str(), code};
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
    } catch (const InvalidCall& error) {
        return error_of(*frame, xla::ErrorCode::invalid_argument, error.what());
    } catch (const std::bad_alloc&) {
        return error_of(*frame, xla::ErrorCode::resource_exhausted, "out of memory for the bits of a call");
    }
    return nullptr;
}

}  // namespace bitdrop
