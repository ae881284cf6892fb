// The stream numbers of a layer.
#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>

#include "bindings.h"
#include "results.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Numbers under one key. `take` is atomic: no number is given twice, whatever threads and signal handlers do.
class StreamCounter {
public:
    StreamCounter(const py::tuple& key, const py::int_& position) : key_(key) {
        const py::int_ end = py::int_(1).attr("__lshift__")(64);
        exhausted_ = position.equal(end);
        next_ = exhausted_ ? 0 : position.cast<uint64_t>();
    }

    const py::tuple& key() const { return key_; }

    // The next number, or 2^64 if all are taken.
    py::object position() const {
        const uint64_t next = next_.load();
        if (next == 0 && exhausted_.load()) return py::int_(1).attr("__lshift__")(64);
        return py::int_(next);
    }

    py::object take() {
        uint64_t number = next_.load();
        do {
            if (number == 0 && exhausted_.load())
                throw std::runtime_error(
                    "The layer has used all 2**64 stream numbers of its key: set its state to a new key.");
            if (number == ~uint64_t{0}) exhausted_.store(true);  // before the counter returns to 0
        } while (!next_.compare_exchange_weak(number, number + 1));
        return pack<2>({key_, py::int_(number)});
    }

private:
    const py::tuple key_;
    std::atomic<uint64_t> next_{0};
    std::atomic<bool> exhausted_{false};
};

PyTypeObject* counter_type = nullptr;  // set once, when the module is imported

}  // namespace

py::object draw_number(py::handle draw) {
    if (Py_TYPE(draw.ptr()) == counter_type) return draw.cast<StreamCounter&>().take();
    auto drawn = py::reinterpret_steal<py::object>(PyObject_CallNoArgs(draw.ptr()));
    if (!drawn) throw py::error_already_set();
    return drawn;
}

void add_stream_counter(py::module_& m) {
    const auto type = py::class_<StreamCounter>(m, "StreamCounter", "Stream numbers under one key, each taken once.")
                          .def(py::init<const py::tuple&, const py::int_&>(), py::arg("key"), py::arg("position"))
                          .def_property_readonly("key", &StreamCounter::key)
                          .def_property_readonly("position", &StreamCounter::position)
                          .def("take", &StreamCounter::take, "Return the key and the next stream number.");
    counter_type = reinterpret_cast<PyTypeObject*>(type.ptr());
}

}  // namespace bitdrop
