#include "numpy_api.h"

#include "guarded_calls.h"

namespace py = pybind11;

namespace bitdrop {
namespace {

constexpr int kByteType = 2;  // NPY_UBYTE

template <class Function> Function entry(void* const* table, int place) {
    return reinterpret_cast<Function>(table[place]);
}

}  // namespace

NumpyApi::NumpyApi(void* const* table)
    : array_type_(entry<PyTypeObject*>(table, 2)),
      descr_from_type_(entry<DescrFromType>(table, 45)),
      new_from_descr_(entry<NewFromDescr>(table, 94)),
      new_like_array_(entry<NewLikeArray>(table, 277)),
      copy_into_(entry<CopyInto>(table, 50)) {}

py::array NumpyApi::empty_bytes(Py_intptr_t count) const {
    py::object bytes =
        owned(new_from_descr_(array_type_, descr_from_type_(kByteType), 1, &count, nullptr, nullptr, 0, nullptr));
    return py::reinterpret_steal<py::array>(bytes.release());
}

py::object NumpyApi::empty_like(py::handle x, MemoryOrder order, py::object dtype) const {
    return owned(new_like_array_(x.ptr(), static_cast<int>(order), dtype.release().ptr(), 0));
}

void NumpyApi::copy(py::handle to, py::handle from) const {
    if (copy_into_(to.ptr(), from.ptr()) < 0) throw py::error_already_set();
}

// First called when the module is imported, under Python's import lock.
const NumpyApi& numpy_api() {
    static const NumpyApi api([] {
        const py::object table = py::detail::import_numpy_core_submodule("multiarray").attr("_ARRAY_API");
        return py::reinterpret_borrow<py::capsule>(table).get_pointer<void*>();
    }());
    return api;
}

}  // namespace bitdrop
