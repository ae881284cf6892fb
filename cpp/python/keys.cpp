// Words of NumPy's bit generators.
#include <pybind11/pybind11.h>

#include <cstdint>

#include "bindings.h"
#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

// Contents of the capsule of a bit generator: the first fields of bitgen_t of numpy/random/bitgen.h.
struct BitGenerator {
    void* state;
    uint64_t (*next_uint64)(void* state);
};

// Names of attributes, made once: looking one up by a C string makes a str of it each time.
struct Names {
    PyObject* capsule = PyUnicode_InternFromString("capsule");
    PyObject* lock = PyUnicode_InternFromString("lock");
    PyObject* acquire = PyUnicode_InternFromString("acquire");
    PyObject* release = PyUnicode_InternFromString("release");
};

const Names& names() {
    static const Names names;  // first called when the module is imported
    return names;
}

// Holds the lock of a bit generator. No signal handler runs between the acquisition and the destructor.
class Lock {
public:
    explicit Lock(py::handle bit_generator) : lock_(attribute(bit_generator, names().lock)) {
        call_method(lock_, names().acquire);
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
        try {
            call_method(lock_, names().release);
        } catch (py::error_already_set& error) {
            error.discard_as_unraisable(lock_);
        }
    }

private:
    const py::object lock_;
};

// The words that Generator.integers(0, 2**64, size=2, dtype=np.uint64) returns, a twentieth of the time.
py::object draw_words(py::handle bit_generator) {
    const py::object capsule = attribute(bit_generator, names().capsule);
    auto* generator = static_cast<BitGenerator*>(PyCapsule_GetPointer(capsule.ptr(), "BitGenerator"));
    if (!generator) throw py::error_already_set();
    uint64_t words[2];
    {
        const Lock lock(bit_generator);
        for (uint64_t& word : words) word = generator->next_uint64(generator->state);
    }
    return py::make_tuple(words[0], words[1]);
}

}  // namespace

void add_keys(py::module_& m) {
    names();
    m.def("draw_words", &draw_words, py::arg("bit_generator"), "Draw two words of 64 bits from a NumPy BitGenerator.");
}

}  // namespace bitdrop
