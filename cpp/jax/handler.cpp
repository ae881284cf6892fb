#include "handler.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "../engine/dispatch.h"
#include "../engine/pass.h"

namespace bitdrop {
namespace {

using xla::DataType;

// An error of a call, which XLA raises in Python.
struct InvalidCall : std::runtime_error {
    explicit InvalidCall(const std::string& message) : std::runtime_error("bitdrop: " + message) {}
};

const void* attribute(const xla::Attributes& attributes, const std::string& name, xla::AttributeType type) {
    for (int64_t i = 0; i < attributes.size; ++i) {
        const xla::ByteSpan& found = *attributes.names[i];
        if (name.compare(0, std::string::npos, found.data, found.size) == 0 && attributes.types[i] == type)
            return attributes.values[i];
    }
    throw InvalidCall("no attribute of the expected type is called " + name);
}

template <class Number>
std::vector<Number> numbers(const xla::Attributes& attributes, const std::string& name, DataType dtype) {
    const auto& array = *static_cast<const xla::Array*>(attribute(attributes, name, xla::AttributeType::array));
    if (array.dtype != dtype) throw InvalidCall("an attribute has another dtype: " + name);
    const auto* first = static_cast<const Number*>(array.data);
    return {first, first + array.size};
}

Lengths integers(const xla::Attributes& attributes, const std::string& name) {
    return numbers<int64_t>(attributes, name, DataType::s64);
}

Operation operation_of(const xla::Attributes& attributes) {
    const auto& text =
        *static_cast<const xla::ByteSpan*>(attribute(attributes, "operation", xla::AttributeType::string));
    const std::string name(text.data, text.size);
    for (int o = 0; o < kAllOperations; ++o)
        if (name == kOperationFacts[o].name) return static_cast<Operation>(o);
    throw InvalidCall("the engine has no such operation: " + name);
}

const ElementType& type_of(const xla::Buffer& array) {
    constexpr DataType kTypes[] = {DataType::f16, DataType::bf16, DataType::f32,  // in the order of kElementTypes
                                   DataType::f64, DataType::c64,  DataType::c128};
    const auto* found = std::find(std::begin(kTypes), std::end(kTypes), array.dtype);
    if (found == std::end(kTypes)) throw InvalidCall("the engine has no such dtype");
    return kElementTypes[found - kTypes];
}

// A call by XLA: a pass for each index of the batch axes. Its attributes are those that _lowering.py writes.
class Call {
public:
    explicit Call(const xla::CallFrame& frame);
    void run() const;

private:
    void read_arrays(const xla::CallFrame& frame);
    void check_shapes() const;
    int64_t batch_offset(const xla::Buffer& buffer, int64_t batch) const;
    Array array_of(int operand, int64_t batch) const;
    Pass pass_of(int64_t batch) const;

    Pass pass_;  // without its key
    Gradient gradient_ = Gradient::none;
    int64_t batch_ndim_;
    const xla::Buffer* key_;
    const xla::Buffer* start_ = nullptr;            // added to that of the shard
    const xla::Buffer* arrays_[kMaxOperands] = {};  // output, inputs; null: an input that is not there
};

Call::Call(const xla::CallFrame& frame) {
    const xla::Attributes& attributes = frame.attributes;
    const std::vector<double> values = numbers<double>(attributes, "coefficients", DataType::f64);
    const Lengths gradient = integers(attributes, "gradient"), axes = integers(attributes, "axes");
    if (values.size() != 4 || axes.size() % 3 != 0) throw InvalidCall("an attribute has another length");
    pass_.p = values[0];
    pass_.operation = {values[1], values[2], values[3], operation_of(attributes)};
    const OperationFacts& facts = facts_of(pass_.operation.operation);
    if (pass_.operation.operation == Operation::noise) pass_.draws = Draws::normals;
    if (!gradient.empty() && (gradient[0] < 0 || gradient[0] >= facts.inputs))
        throw InvalidCall("the operation has no such input");
    if (!gradient.empty()) gradient_ = facts.gradients[gradient[0]];
    const auto ndim = static_cast<int64_t>(axes.size()) / 3;
    if (frame.results.size != 1 || frame.results.buffers[0]->rank < ndim || frame.results.buffers[0]->rank > kMaxNdim)
        throw InvalidCall("the result has another number of axes");
    batch_ndim_ = frame.results.buffers[0]->rank - ndim;
    read_arrays(frame);
    check_shapes();
    const auto axis = axes.begin();
    const Lengths draws(axis, axis + ndim);
    Shard shard = {Lengths(axis + ndim, axis + 2 * ndim), Lengths(axis + 2 * ndim, axes.end())};
    if (draws != shard.shape) pass_.noise_shape = draws;
    const bool whole = shard.shape == pass_.shape && shard.start == Lengths(pass_.shape.size(), 0);
    if (start_ || !whole) pass_.shard = std::move(shard);
}

void Call::read_arrays(const xla::CallFrame& frame) {
    const Lengths inputs = integers(frame.attributes, "inputs");
    const int64_t count = static_cast<int64_t>(inputs.size()), before = frame.arguments.size - count;
    if (before != 1 && before != 2) throw InvalidCall("the number of arrays is wrong");
    key_ = frame.arguments.buffers[0];
    if (before == 2) start_ = frame.arguments.buffers[1];
    arrays_[0] = frame.results.buffers[0];
    pass_.shape.assign(arrays_[0]->dims + batch_ndim_, arrays_[0]->dims + arrays_[0]->rank);
    const OperationFacts& facts = facts_of(pass_.operation.operation);
    const int64_t most = gradient_ == Gradient::none ? facts.inputs : 1;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t input = inputs[static_cast<size_t>(i)];
        if (input < 0 || input >= most) throw InvalidCall("the operation has no such input");
        arrays_[1 + input] = frame.arguments.buffers[before + i];
    }
    for (int64_t input = 0; input < most; ++input)
        if (!arrays_[1 + input] && !facts.optional[input]) throw InvalidCall("an input is missing");
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
    if (!right) throw InvalidCall("the arrays of a call do not fit each other");
}

// Number of elements before those of an index of the batch, counted in C order of the output's batch axes. An axis of
// length 1 repeats.
int64_t Call::batch_offset(const xla::Buffer& buffer, int64_t batch) const {
    int64_t stride = 1, offset = 0;
    for (int64_t a = batch_ndim_; a < buffer.rank; ++a) stride *= buffer.dims[a];
    for (int64_t a = batch_ndim_ - 1; a >= 0; --a) {
        if (buffer.dims[a] != 1) offset += batch % arrays_[0]->dims[a] * stride;
        batch /= arrays_[0]->dims[a];
        stride *= buffer.dims[a];
    }
    return offset;
}

Array Call::array_of(int operand, int64_t batch) const {
    const xla::Buffer& buffer = *arrays_[operand];
    Array array;
    array.item_size = type_of(buffer).size();
    array.ndim = static_cast<int>(buffer.rank - batch_ndim_);
    array.data = static_cast<char*>(buffer.data) + batch_offset(buffer, batch) * array.item_size;
    int64_t stride = array.item_size;
    for (int a = array.ndim - 1; a >= 0; --a) {
        array.shape[a] = buffer.dims[batch_ndim_ + a];
        array.stride[a] = stride;
        stride *= array.shape[a];
    }
    return array;
}

// Words of a key, the higher first; then the place of the shard.
Pass Call::pass_of(int64_t batch) const {
    Pass pass = pass_;
    const uint32_t* words = static_cast<const uint32_t*>(key_->data) + batch_offset(*key_, batch);
    for (int64_t w = 0; w < std::min<int64_t>(key_->dims[batch_ndim_] / 2, 2); ++w)
        pass.key.words[w] = uint64_t{words[2 * w]} << 32 | words[2 * w + 1];
    for (size_t a = 0; start_ && a < pass.shape.size(); ++a) {
        const size_t at = static_cast<size_t>(batch_offset(*start_, batch)) + a;
        pass.shard->start[a] += start_->dtype == DataType::s32 ? static_cast<const int32_t*>(start_->data)[at]
                                                               : static_cast<const int64_t*>(start_->data)[at];
    }
    return pass;
}

void Call::run() const {
    const ElementType& type = type_of(*arrays_[0]);
    const Resources with = {&active_kernels(), num_threads()};
    int64_t passes = 1;
    for (int64_t a = 0; a < batch_ndim_; ++a) passes *= arrays_[0]->dims[a];
    for (int64_t batch = 0; batch < passes; ++batch) {
        Pass pass = pass_of(batch);
        Array arrays[kMaxOperands];
        Arrays described = {&arrays[0], {}};
        for (int i = 0; i < kMaxOperands; ++i) {
            if (!arrays_[i]) continue;
            arrays[i] = array_of(i, batch);
            if (i > 0) described.inputs[i - 1] = &arrays[i];
        }
        if (gradient_ == Gradient::none)
            Work(pass, type, described, {}).run(with, &pass);
        else
            Work(pass, gradient_, type, described, {}).run(with, &pass);
    }
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
    constexpr size_t kSize = offsetof(xla::CreateErrorArguments, code) + sizeof(xla::ErrorCode);
    try {
        Call(*frame).run();
    } catch (const InvalidCall& error) {
        xla::CreateErrorArguments arguments = {kSize, nullptr, error.what(), xla::ErrorCode::invalid_argument};
        return frame->api->create_error(&arguments);
    } catch (const std::bad_alloc&) {
        xla::CreateErrorArguments arguments = {kSize, nullptr, "bitdrop: out of memory for the bits of a call",
                                               xla::ErrorCode::resource_exhausted};
        return frame->api->create_error(&arguments);
    }
    return nullptr;
}

}  // namespace bitdrop
