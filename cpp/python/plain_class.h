// Classes of Python whose objects are a value and nothing else. An object is made and freed in a tenth of the time of
// an instance of py::class_, which a map of all instances knows, and its hot methods are called without pybind11's
// dispatch: together a third of a call on a small array.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <new>
#include <string>

namespace bitdrop {

template <class Value> struct PlainObject {
    PyObject_HEAD Value value;

    static inline PyTypeObject* type = nullptr;  // set once, when the module is imported, and never released
    static inline PyObject* constructor = nullptr;

    static Value& of(PyObject* object) { return reinterpret_cast<PlainObject*>(object)->value; }

    static pybind11::object make(Value&& value) {
        PyObject* const object = type->tp_alloc(type, 0);
        if (!object) throw pybind11::error_already_set();
        new (&of(object)) Value(std::move(value));
        return pybind11::reinterpret_steal<pybind11::object>(object);
    }
};

// Converts the exception that is being handled to an error of Python.
inline void set_error() {
    try {
        throw;
    } catch (pybind11::error_already_set& error) {
        error.restore();
    } catch (const pybind11::builtin_exception& error) {
        error.set_error();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
}

// The arguments of a hot method, by position. Those left out are None.
template <size_t count> using Arguments = std::array<pybind11::handle, count>;

template <class Value, auto method, size_t required, size_t count>
PyObject* call_hot(PyObject* self, PyObject* const* given, Py_ssize_t number) {
    if (number < static_cast<Py_ssize_t>(required) || number > static_cast<Py_ssize_t>(count))
        return PyErr_Format(PyExc_TypeError, "the method takes %zu to %zu arguments, but got %zd", required, count,
                            number);
    Arguments<count> arguments;
    for (size_t i = 0; i < count; ++i) arguments[i] = static_cast<Py_ssize_t>(i) < number ? given[i] : Py_None;
    try {
        return method(PlainObject<Value>::of(self), arguments).release().ptr();
    } catch (const std::exception&) {  // not (...): the unwinding of a thread at exit must go on
        set_error();
        return nullptr;
    }
}

// Builds the class of a value, as py::class_ does.
template <class Value> class PlainClass {
    using Object = PlainObject<Value>;

public:
    PlainClass(pybind11::module_& m, const char* name, const char* doc) {
        const std::string full_name = m.attr("__name__").template cast<std::string>() + "." + name;
        PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(&make)},
                               {Py_tp_dealloc, reinterpret_cast<void*>(&free)},
                               {Py_tp_doc, const_cast<char*>(doc)},
                               {0, nullptr}};
        PyType_Spec spec = {full_name.c_str(), sizeof(Object), 0, Py_TPFLAGS_DEFAULT, slots};
        const pybind11::object type = pybind11::reinterpret_steal<pybind11::object>(PyType_FromSpec(&spec));
        if (!type) throw pybind11::error_already_set();
        m.attr(name) = type;
        Object::type = reinterpret_cast<PyTypeObject*>(pybind11::object(type).release().ptr());
    }

    // The documentation of the class begins with the signature of its constructor.
    template <class Function, class... Extra> PlainClass& init(Function function, const Extra&... extra) {
        const pybind11::object name = type().attr("__name__"), doc = type().attr("__doc__");
        const pybind11::cpp_function constructor(function, pybind11::name(name.cast<std::string>().c_str()), extra...,
                                                 pybind11::doc(doc.cast<std::string>().c_str()));
        type().attr("__doc__") = constructor.doc();
        Object::constructor = pybind11::object(constructor).release().ptr();
        return *this;
    }

    template <class Function, class... Extra>
    PlainClass& def(const char* name, Function function, const Extra&... extra) {
        type().attr(name) = method(name, function, extra...);
        return *this;
    }

    template <class Function, class... Extra>
    PlainClass& def_static(const char* name, Function function, const Extra&... extra) {
        const pybind11::cpp_function made(function, pybind11::name(name), pybind11::scope(type()), extra...);
        type().attr(name) = pybind11::staticmethod(made);
        return *this;
    }

    template <class Function> PlainClass& property(const char* name, Function function) {
        const auto property_type = pybind11::handle(reinterpret_cast<PyObject*>(&PyProperty_Type));
        type().attr(name) = property_type(method(name, function));
        return *this;
    }

    template <class Member> PlainClass& member(const char* name, Member Value::* member) {
        return property(name, [member](const Value& self) { return self.*member; });
    }

    // A method whose arguments come by position, called without a dispatch. The definition is never released.
    template <auto function, size_t required, size_t count> PlainClass& hot(const char* name, const char* doc) {
        static PyMethodDef definition = {
            name,
            reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_hot<Value, function, required, count>)),
            METH_FASTCALL, doc};
        PyObject* const descriptor = PyDescr_NewMethod(Object::type, &definition);
        if (!descriptor) throw pybind11::error_already_set();
        type().attr(name) = pybind11::reinterpret_steal<pybind11::object>(descriptor);
        return *this;
    }

private:
    static pybind11::handle type() { return reinterpret_cast<PyObject*>(Object::type); }

    template <class Function, class... Extra>
    static pybind11::cpp_function method(const char* name, Function function, const Extra&... extra) {
        return pybind11::cpp_function(function, pybind11::name(name), pybind11::is_method(type()), extra...);
    }

    static PyObject* make(PyTypeObject*, PyObject* arguments, PyObject* options) {
        return PyObject_Call(Object::constructor, arguments, options);
    }

    static void free(PyObject* object) {
        PyTypeObject* const type = Py_TYPE(object);
        Object::of(object).~Value();
        type->tp_free(object);
        Py_DECREF(type);
    }
};

// The type caster of a class made by PlainClass.
template <class Value> struct PlainCaster {
    template <class> using cast_op_type = Value&;

    bool load(pybind11::handle object, bool) {
        if (Py_TYPE(object.ptr()) != PlainObject<Value>::type) return false;
        value_ = &PlainObject<Value>::of(object.ptr());
        return true;
    }
    operator Value&() { return *value_; }

    static pybind11::handle cast(Value&& value, pybind11::return_value_policy, pybind11::handle) {
        return PlainObject<Value>::make(std::move(value)).release();
    }

private:
    Value* value_ = nullptr;
};

}  // namespace bitdrop
