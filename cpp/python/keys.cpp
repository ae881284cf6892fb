// Words of NumPy's bit generators.
#include <pybind11/pybind11.h>

#include <cstdint>

#include "bindings.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// What the capsule of a bit generator holds: the first fields of bitgen_t of numpy/random/bitgen.h.
struct BitGenerator {
    void* state;
    uint64_t (*next_uint64)(void* state);
};

// Holds the lock of a bit generator. No signal handler runs between the acquisition and the destructor.
class Lock {
public:
    explicit Lock(const py::object& lock) : lock_(lock) { lock_.attr("acquire")(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
        PyObject* result = PyObject_CallMethod(lock_.ptr(), "release", nullptr);
        if (!result) PyErr_WriteUnraisable(lock_.ptr());
        Py_XDECREF(result);
    }

private:
    const py::object lock_;
};

// The words that Generator.integers(0, 2**64, size=2, dtype=np.uint64) returns, a twentieth of the time.
py::tuple draw_words(py::handle bit_generator) {
    const py::object capsule = bit_generator.attr("capsule");
    auto* generator = static_cast<BitGenerator*>(PyCapsule_GetPointer(capsule.ptr(), "BitGenerator"));
    if (!generator) throw py::error_already_set();
    uint64_t words[2];
    {
        const Lock lock(bit_generator.attr("lock"));
        for (uint64_t& word : words) word = generator->next_uint64(generator->state);
    }
    return py::make_tuple(words[0], words[1]);
}

}  // namespace

void add_keys(py::module_& m) {
    m.def("draw_words", &draw_words, py::arg("bit_generator"), "Draw two words of 64 bits from a NumPy BitGenerator.");
}

}  // namespace bitdrop
