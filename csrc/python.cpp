// The fast Python entry: what torch.ops.torchcrop_fast.pad does, at less than half its cost for small tensors. It steps
// aside to torch.ops wherever more than a plain call is asked for. In the wheel only, never in the C++ library.
#include <ATen/PythonTorchFunctionTLS.h>
#include <Python.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/MemoryFormat.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/utils/object_ptr.h>
#include <torch/csrc/utils/python_symnode.h>
#include <torchcrop_fast/memory.h>
#include <torchcrop_fast/ops.h>

#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/util/SmallVector.h>

#include <algorithm>

namespace {

// pad, or pad with the signs turned: how the entries are named in errors, and what happens to each.
enum class Entry { kPad, kCrop };

constexpr std::string_view kConstant = "constant";

const char* function_name(Entry entry) { return entry == Entry::kPad ? "pad" : "crop"; }
const char* argument_name(Entry entry) { return entry == Entry::kPad ? "pad" : "cropping"; }
std::string_view type_name(PyObject* object) {
  const std::string_view name = Py_TYPE(object)->tp_name;  // for some types with their module's name before it
  return name.substr(name.rfind('.') + 1);
}

// Whether the object has a say in what torch's functions do with it: a subclass of Tensor, a proxy, a wrapper.
bool overrides(PyObject* object) {
  return object != Py_None && !THPVariable_CheckExact(object) && !PyLong_CheckExact(object) &&
         PyObject_HasAttrString(object, "__torch_function__");
}

// Whether a mode or a trace has a say in every call.
bool watched() {
  return at::impl::PythonTorchFunctionTLS::stack_len() > 0 || c10::impl::TorchDispatchModeTLS::any_modes_set() ||
         torch::jit::tracer::isTracing();
}

// Whether a trace records where the object comes from.
bool traced(PyObject* object) { return torch::jit::tracer::isTracing() && THPVariable_Check(object); }

// Reads a list or tuple of ints into entries, signs turned for a crop. False where one of them is symbolic or traced.
bool read_entries(PyObject* object, Entry entry, c10::SmallVectorImpl<int64_t>& entries) {
  TORCH_CHECK_TYPE(
      PyTuple_Check(object) || PyList_Check(object), function_name(entry), ": ", argument_name(entry),
      " must be a list or tuple of ints, got ", type_name(object));
  const bool is_tuple = PyTuple_Check(object);
  // The size is asked for anew each time: an entry's __index__ may change the list.
  for (Py_ssize_t i = 0; i < (is_tuple ? PyTuple_GET_SIZE(object) : PyList_GET_SIZE(object)); ++i) {
    PyObject* const item = is_tuple ? PyTuple_GET_ITEM(object, i) : PyList_GET_ITEM(object, i);
    int overflow = 0;
    int64_t value = 0;
    if (PyLong_CheckExact(item)) {
      value = PyLong_AsLongLongAndOverflow(item, &overflow);
    } else {
      const THPObjectPtr held(Py_NewRef(item));  // whatever its __index__ does to the list
      if (torch::is_symint(item) || overrides(item) || traced(item)) {
        return false;
      }
      TORCH_CHECK_TYPE(
          PyIndex_Check(item) && !PyBool_Check(item), function_name(entry), ": ", argument_name(entry),
          " must contain ints, got ", type_name(item), " at position ", i);
      THPObjectPtr number(PyNumber_Index(item));
      if (!number) {
        throw python_error();
      }
      value = PyLong_AsLongLongAndOverflow(number.get(), &overflow);
    }
    TORCH_CHECK_TYPE(
        overflow == 0 && !(entry == Entry::kCrop && value == INT64_MIN), function_name(entry), ": ",
        argument_name(entry), " entry ", i, " does not fit int64");
    entries.push_back(entry == Entry::kCrop ? -value : value);
  }
  return true;
}

// Reads the name of a border. It lives as long as the object.
std::string_view read_mode(PyObject* object) {
  TORCH_CHECK_TYPE(PyUnicode_Check(object), "pad: mode must be a str, got ", type_name(object));
  Py_ssize_t size = 0;
  const char* const name = PyUnicode_AsUTF8AndSize(object, &size);
  if (!name) {
    throw python_error();
  }
  return {name, static_cast<size_t>(size)};
}

// Reads a Python or numpy number, or a tensor of one element. False where it is symbolic or traced.
bool read_value(PyObject* object, std::optional<at::Scalar>& value) {
  if (object == Py_None) {
    value = std::nullopt;
  } else if (PyBool_Check(object)) {
    value = at::Scalar(object == Py_True);
  } else if (PyFloat_Check(object)) {
    value = at::Scalar(PyFloat_AS_DOUBLE(object));
  } else if (PyLong_Check(object)) {
    int overflow = 0;
    const int64_t exact = PyLong_AsLongLongAndOverflow(object, &overflow);
    value = overflow == 0 ? at::Scalar(exact) : at::Scalar(PyLong_AsDouble(object));
    if (PyErr_Occurred()) {
      throw python_error();
    }
  } else if (PyComplex_Check(object)) {
    value = at::Scalar(c10::complex<double>(PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)));
  } else if (torch::is_symint(object) || torch::is_symfloat(object) || torch::is_symbool(object) || traced(object)) {
    return false;
  } else {
    const bool differentiates = THPVariable_Check(object) && THPVariable_Unpack(object).requires_grad();
    THPObjectPtr item(differentiates ? nullptr : PyObject_CallMethod(object, "item", nullptr));
    if (!item && !differentiates && !PyErr_ExceptionMatches(PyExc_Exception)) {
      throw python_error();  // an interrupt, not an answer
    }
    PyErr_Clear();
    TORCH_CHECK_TYPE(
        item && (PyFloat_Check(item.get()) || PyLong_Check(item.get()) || PyComplex_Check(item.get())),
        "pad: value must be a number, got ", type_name(object));
    return read_value(item.get(), value);
  }
  return true;
}

// The attribute of a module that a path of names leads to.
PyObject* find(const char* module, std::initializer_list<const char*> path) {
  THPObjectPtr found(PyImport_ImportModule(module));
  for (const char* name : path) {
    found = found ? PyObject_GetAttrString(found.get(), name) : nullptr;
  }
  return found.release();
}

// Pads by sizes that a trace records: torch.ops cannot take such entries, ATen's pad can.
PyObject* trace_aten(PyObject* input, PyObject* pad, PyObject* mode, PyObject* value) {
  if (read_mode(mode) != kConstant) {
    THPObjectPtr aten(find("torch.nn.functional", {"pad"}));
    return aten ? PyObject_CallFunctionObjArgs(aten.get(), input, pad, mode, value, nullptr) : nullptr;
  }
  THPObjectPtr aten(find("torch", {"constant_pad_nd"}));
  THPObjectPtr zero(PyLong_FromLong(0));
  return aten ? PyObject_CallFunctionObjArgs(aten.get(), input, pad, value == Py_None ? zero.get() : value, nullptr)
              : nullptr;
}

// The value as Python has it.
PyObject* to_python(const std::optional<at::Scalar>& value) {
  if (!value) {
    return Py_NewRef(Py_None);
  }
  if (value->isComplex()) {
    const auto number = value->toComplexDouble();
    return PyComplex_FromDoubles(number.real(), number.imag());
  }
  if (value->isFloatingPoint()) {
    return PyFloat_FromDouble(value->toDouble());
  }
  return value->isBoolean() ? PyBool_FromLong(value->toBool()) : PyLong_FromLongLong(value->toLong());
}

// The same call for all that the fast way leaves out: through torch.ops, or in a graph through ATen's ops.
PyObject* step_aside(PyObject* input, PyObject* pad, PyObject* mode, PyObject* value, PyObject* out) {
  // Set under the GIL; an initialiser that runs Python could deadlock.
  static PyObject* is_compiling = nullptr;
  static PyObject* traced_pad = nullptr;
  static PyObject* op = nullptr;
  if (!op) {
    is_compiling = find("torch.compiler", {"is_compiling"});
    traced_pad = find("torchcrop_fast.functional", {"_traced_pad"});
    op = find("torch", {"ops", "torchcrop_fast", "pad"});
  }
  THPObjectPtr compiling(op ? PyObject_CallNoArgs(is_compiling) : nullptr);
  if (!compiling) {
    return nullptr;
  }
  if (compiling.get() == Py_True) {  // an export that runs Python as it is
    return PyObject_CallFunctionObjArgs(traced_pad, input, pad, mode, value, out, nullptr);
  }
  THPObjectPtr args(PyTuple_Pack(4, input, pad, mode, value));
  THPObjectPtr kwargs(out == Py_None ? PyDict_New() : Py_BuildValue("{sO}", "out", out));
  if (!args || !kwargs) {
    return nullptr;
  }
  // torch.ops picks the overload by what it is given: with out= it is pad.out, which returns None.
  THPObjectPtr result(PyObject_Call(op, args.get(), kwargs.get()));
  return !result || out == Py_None ? result.release() : Py_NewRef(out);
}

// Steps aside with what was read.
PyObject* step_aside(
    PyObject* input, at::IntArrayRef entries, PyObject* mode, const std::optional<at::Scalar>& fill, PyObject* out) {
  THPObjectPtr pad(PyList_New(0));
  for (const int64_t entry : entries) {
    THPObjectPtr item(PyLong_FromLongLong(entry));
    if (!pad || !item || PyList_Append(pad.get(), item.get()) < 0) {
      return nullptr;
    }
  }
  THPObjectPtr value(to_python(fill));
  return pad && value ? step_aside(input, pad.get(), mode, value.get(), out) : nullptr;
}

// Steps aside with entries or a value that are no plain numbers.
PyObject* step_aside(PyObject* input, PyObject* entries, Entry entry, PyObject* mode, PyObject* value, PyObject* out) {
  THPObjectPtr pad(PySequence_List(entries));
  bool any_traced = false;
  for (Py_ssize_t i = 0; pad && i < PyList_GET_SIZE(pad.get()); ++i) {
    PyObject* const item = PyList_GET_ITEM(pad.get(), i);
    any_traced = any_traced || traced(item);
    PyObject* const signed_item = entry == Entry::kCrop ? PyNumber_Negative(item) : Py_NewRef(item);
    if (!signed_item) {
      return nullptr;
    }
    PyList_SetItem(pad.get(), i, signed_item);
  }
  if (!pad || !any_traced) {
    return pad ? step_aside(input, pad.get(), mode, value, out) : nullptr;
  }
  TORCH_CHECK(out == Py_None, function_name(entry), ": out cannot be given in a trace that pads by traced sizes");
  return trace_aten(input, pad.get(), mode, value);
}

// Whether a call is over before another Python thread could be woken: it reads and writes little, on the CPU.
bool is_brief(const at::Tensor& input, at::IntArrayRef pad) {
  const bool crops = std::all_of(pad.begin(), pad.end(), [](int64_t entry) { return entry <= 0; });
  return crops && input.is_cpu() && input.numel() * input.element_size() <= 256 * 1024;
}

// Lets other Python threads run while it lives, unless the call is brief.
class ReleasedGil {
 public:
  ReleasedGil(const at::Tensor& input, at::IntArrayRef pad)
      : thread_(is_brief(input, pad) ? nullptr : PyEval_SaveThread()) {}
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;
  ~ReleasedGil() {
    if (thread_) {
      PyEval_RestoreThread(thread_);
    }
  }

 private:
  PyThreadState* const thread_;
};

PyObject* call(PyObject* input, PyObject* entries, Entry entry, PyObject* mode, PyObject* value, PyObject* out) {
  HANDLE_TH_ERRORS
  TORCH_CHECK_TYPE(
      THPVariable_Check(input) || overrides(input), function_name(entry), ": input must be a Tensor, got ",
      type_name(input));
  TORCH_CHECK_TYPE(
      out == Py_None || THPVariable_Check(out) || overrides(out), function_name(entry),
      ": out must be a Tensor or None, got ", type_name(out));
  const std::string_view border = read_mode(mode);
  c10::SmallVector<int64_t, 8> pad;
  std::optional<at::Scalar> fill;
  if (!read_entries(entries, entry, pad) || !read_value(value, fill)) {
    return step_aside(input, entries, entry, mode, value, out);
  }
  // A subclass or an object of another library, a mode, a trace: theirs is the say.
  if (overrides(input) || overrides(out) || watched()) {
    return step_aside(input, pad, mode, fill, out);
  }
  const at::Tensor& tensor = THPVariable_Unpack(input);
  if (out != Py_None) {
    at::Tensor result = THPVariable_Unpack(out);
    {
      const ReleasedGil no_gil(tensor, pad);
      torchcrop_fast::pad_out(result, tensor, pad, border, fill);
    }
    return Py_NewRef(out);
  }
  at::Tensor result;
  {
    const ReleasedGil no_gil(tensor, pad);
    result = torchcrop_fast::pad(tensor, pad, border, fill);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

bool takes(const char* name, Py_ssize_t expected, Py_ssize_t got) {
  if (got != expected) {
    PyErr_Format(PyExc_TypeError, "%s: takes %zd positional arguments, got %zd", name, expected, got);
  }
  return got == expected;
}

// pad(input, pad, mode, value, out)
PyObject* pad(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return takes("pad", 5, count) ? call(args[0], args[1], Entry::kPad, args[2], args[3], args[4]) : nullptr;
}

// crop(input, cropping, out)
PyObject* crop(PyObject*, PyObject* const* args, Py_ssize_t count) {
  static PyObject* const constant = PyUnicode_InternFromString(kConstant.data());
  return takes("crop", 3, count) ? call(args[0], args[1], Entry::kCrop, constant, Py_None, args[2]) : nullptr;
}

// Reads a list or tuple of plain ints. False for anything else.
bool read_plain_ints(PyObject* object, c10::SmallVectorImpl<int64_t>& ints) {
  const bool is_tuple = PyTuple_CheckExact(object);
  const Py_ssize_t size = is_tuple ? PyTuple_GET_SIZE(object) : PyList_CheckExact(object) ? PyList_GET_SIZE(object) : 0;
  for (Py_ssize_t i = 0; i < size; ++i) {
    PyObject* const item = is_tuple ? PyTuple_GET_ITEM(object, i) : PyList_GET_ITEM(object, i);
    int overflow = 0;
    ints.push_back(PyLong_CheckExact(item) ? PyLong_AsLongLongAndOverflow(item, &overflow) : 0);
    if (!PyLong_CheckExact(item) || overflow != 0) {
      return false;
    }
  }
  return size > 0;
}

// Reads a plain number. False for anything else.
bool read_plain_number(PyObject* object, at::Scalar& number) {
  int overflow = 0;
  if (PyLong_CheckExact(object)) {
    number = static_cast<int64_t>(PyLong_AsLongLongAndOverflow(object, &overflow));
  } else if (PyFloat_CheckExact(object)) {
    number = PyFloat_AS_DOUBLE(object);
  } else {
    return false;
  }
  return overflow == 0;
}

// Reads a list or tuple of plain numbers, or where one will do that one. False for anything else.
bool read_plain_numbers(PyObject* object, bool one_will_do, c10::SmallVectorImpl<double>& numbers) {
  at::Scalar number;
  if (one_will_do && read_plain_number(object, number)) {
    numbers.push_back(number.toDouble());
    return true;
  }
  const bool is_tuple = PyTuple_CheckExact(object);
  if (!is_tuple && !PyList_CheckExact(object)) {
    return false;
  }
  for (Py_ssize_t i = 0; i < (is_tuple ? PyTuple_GET_SIZE(object) : PyList_GET_SIZE(object)); ++i) {
    if (!read_plain_number(is_tuple ? PyTuple_GET_ITEM(object, i) : PyList_GET_ITEM(object, i), number)) {
      return false;
    }
    numbers.push_back(number.toDouble());
  }
  return true;
}

// Reads a plain string, which owns the text. False for anything else.
bool read_plain_text(PyObject* object, std::string_view& text) {
  Py_ssize_t length = 0;
  const char* const bytes = PyUnicode_CheckExact(object) ? PyUnicode_AsUTF8AndSize(object, &length) : nullptr;
  PyErr_Clear();  // of a string that has no bytes
  text = bytes ? std::string_view(bytes, length) : std::string_view();
  return bytes;
}

bool is_plain_tensor_or_none(PyObject* object) { return object == Py_None || THPVariable_CheckExact(object); }

std::optional<at::Tensor> optional_tensor(PyObject* object) {
  return object == Py_None ? std::nullopt : std::optional(THPVariable_Unpack(object));
}

// crop_at(input, offsets, size, flip, padding_mode, fill, out): NotImplemented unless all of them are plain
PyObject* crop_at(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("crop_at", 7, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 3> size;
  std::string_view padding_mode;
  at::Scalar fill;
  const bool plain = THPVariable_CheckExact(args[0]) && THPVariable_CheckExact(args[1]) &&
                     read_plain_ints(args[2], size) && is_plain_tensor_or_none(args[3]) &&
                     read_plain_text(args[4], padding_mode) && read_plain_number(args[5], fill) &&
                     is_plain_tensor_or_none(args[6]) && !watched();
  if (!plain) {
    return Py_NewRef(Py_NotImplemented);
  }
  const at::Tensor input = THPVariable_Unpack(args[0]), offsets = THPVariable_Unpack(args[1]);
  const auto flip = optional_tensor(args[3]), out = optional_tensor(args[6]);
  at::Tensor result;
  {
    const pybind11::gil_scoped_release no_gil;
    if (out) {
      result = *out;
      torchcrop_fast::crop_at_out(result, input, offsets, size, flip, padding_mode, fill);
    } else {
      result = torchcrop_fast::crop_at(input, offsets, size, flip, padding_mode, fill);
    }
  }
  return out ? Py_NewRef(args[6]) : THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// crop_mirror_normalize(input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill):
// NotImplemented unless all of them are plain
PyObject* crop_mirror_normalize(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("crop_mirror_normalize", 11, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 2> size;
  c10::SmallVector<double, 4> mean, std, fill;
  std::string_view layout, padding_mode;
  const bool plain = THPVariable_CheckExact(args[0]) && is_plain_tensor_or_none(args[1]) &&
                     read_plain_ints(args[2], size) && read_plain_numbers(args[3], false, mean) &&
                     read_plain_numbers(args[4], false, std) && is_plain_tensor_or_none(args[5]) &&
                     THPDtype_Check(args[6]) && read_plain_text(args[7], layout) && THPMemoryFormat_Check(args[8]) &&
                     read_plain_text(args[9], padding_mode) && read_plain_numbers(args[10], true, fill) && !watched();
  if (!plain) {
    return Py_NewRef(Py_NotImplemented);
  }
  const at::Tensor input = THPVariable_Unpack(args[0]);
  const auto offsets = optional_tensor(args[1]), flip = optional_tensor(args[5]);
  const auto dtype = reinterpret_cast<THPDtype*>(args[6])->scalar_type;
  const auto memory_format = reinterpret_cast<THPMemoryFormat*>(args[8])->memory_format;
  at::Tensor result;
  {
    const pybind11::gil_scoped_release no_gil;
    result = torchcrop_fast::crop_mirror_normalize(
        input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// memory_stats()
PyObject* memory_stats(PyObject*, PyObject*) {
  HANDLE_TH_ERRORS
  const auto stats = torchcrop_fast::memory_stats();
  return Py_BuildValue(
      "{sLsLsLsLsLsL}", "limit", stats.limit, "cached_bytes", stats.cached_bytes, "allocated_bytes",
      stats.allocated_bytes, "hits", stats.hits, "misses", stats.misses, "evictions", stats.evictions);
  END_HANDLE_TH_ERRORS
}

// empty_cache()
PyObject* empty_cache(PyObject*, PyObject*) {
  HANDLE_TH_ERRORS
  torchcrop_fast::empty_cache();
  Py_RETURN_NONE;
  END_HANDLE_TH_ERRORS
}

// set_cache_limit(bytes)
PyObject* set_cache_limit(PyObject*, PyObject* bytes) {
  HANDLE_TH_ERRORS
  TORCH_CHECK_TYPE(
      PyIndex_Check(bytes) && !PyBool_Check(bytes), "set_cache_limit: bytes must be an int, got ", type_name(bytes));
  THPObjectPtr number(PyNumber_Index(bytes));
  if (!number) {
    throw python_error();
  }
  int overflow = 0;
  const int64_t limit = PyLong_AsLongLongAndOverflow(number.get(), &overflow);
  TORCH_CHECK(overflow >= 0, "set_cache_limit: bytes must not be negative, got a number below -2^63");
  torchcrop_fast::set_cache_limit(overflow > 0 ? INT64_MAX : limit);
  Py_RETURN_NONE;
  END_HANDLE_TH_ERRORS
}

// cpu_capability()
PyObject* cpu_capability(PyObject*, PyObject*) {
  HANDLE_TH_ERRORS
  return PyUnicode_FromString(torchcrop_fast::cpu_capability_name());
  END_HANDLE_TH_ERRORS
}

PyMethodDef methods[] = {
    {"pad", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(pad)), METH_FASTCALL, nullptr},
    {"crop", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(crop)), METH_FASTCALL, nullptr},
    {"crop_at", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(crop_at)), METH_FASTCALL, nullptr},
    {"crop_mirror_normalize", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(crop_mirror_normalize)),
     METH_FASTCALL, nullptr},
    {"cpu_capability", cpu_capability, METH_NOARGS, nullptr},
    {"memory_stats", memory_stats, METH_NOARGS, nullptr},
    {"empty_cache", empty_cache, METH_NOARGS, nullptr},
    {"set_cache_limit", set_cache_limit, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&module); }
