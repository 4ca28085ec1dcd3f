// The fast Python entry: what torch.ops does, at less than half its cost for small tensors. It answers calls whose
// arguments are plain, and returns NotImplemented for all others, which are Python's. In the wheel only, never in the
// C++ library.
#include <ATen/PythonTorchFunctionTLS.h>
#include <Python.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/MemoryFormat.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/utils/object_ptr.h>
#include <torchcrop_fast/memory.h>
#include <torchcrop_fast/ops.h>
#include <torchcrop_fast/override.h>

#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/util/SmallVector.h>

#include <algorithm>

namespace {

std::string_view type_name(PyObject* object) {
  const std::string_view name = Py_TYPE(object)->tp_name;  // for some types with their module's name before it
  return name.substr(name.rfind('.') + 1);
}

// Whether a mode or a trace has a say in every call.
bool mode_active() {
  return at::impl::PythonTorchFunctionTLS::stack_len() > 0 || c10::impl::TorchDispatchModeTLS::any_modes_set() ||
         torch::jit::tracer::isTracing();
}

// The read_* read a plain object; they return false for any other, and where that is an error, Python says so.

bool is_tensor(PyObject* object) { return THPVariable_CheckExact(object); }
bool is_tensor_or_none(PyObject* object) { return object == Py_None || is_tensor(object); }
std::optional<at::Tensor> optional_tensor(PyObject* object) {
  return object == Py_None ? std::nullopt : std::optional(THPVariable_Unpack(object));
}

// The items of a list or tuple; read(item) must not run Python.
template <class Read>
bool read_items(PyObject* object, const Read& read) {
  const bool is_tuple = PyTuple_Check(object);
  if (!is_tuple && !PyList_Check(object)) {
    return false;
  }
  const Py_ssize_t size = is_tuple ? PyTuple_GET_SIZE(object) : PyList_GET_SIZE(object);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!read(is_tuple ? PyTuple_GET_ITEM(object, i) : PyList_GET_ITEM(object, i))) {
      return false;
    }
  }
  return true;
}

bool read_int(PyObject* object, int64_t& number) {
  int overflow = 0;
  number = PyLong_CheckExact(object) ? PyLong_AsLongLongAndOverflow(object, &overflow) : 0;
  return PyLong_CheckExact(object) && overflow == 0;
}

bool read_ints(PyObject* object, c10::SmallVectorImpl<int64_t>& ints) {
  return read_items(object, [&](PyObject* item) {
    int64_t number = 0;
    const bool is_plain = read_int(item, number);
    ints.push_back(number);
    return is_plain;
  });
}

bool read_scalar(PyObject* object, at::Scalar& number) {
  if (PyFloat_Check(object)) {
    number = PyFloat_AS_DOUBLE(object);
    return true;
  }
  if (PyBool_Check(object)) {
    number = object == Py_True;
    return true;
  }
  if (PyComplex_Check(object)) {
    number = c10::complex<double>(PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object));
    return true;
  }
  int64_t exact = 0;
  const bool is_plain = read_int(object, exact);
  number = exact;
  return is_plain;
}

// The numbers of a list or tuple or, where one will do, that one.
bool read_doubles(PyObject* object, bool one_will_do, c10::SmallVectorImpl<double>& numbers) {
  const auto read = [&](PyObject* item) {
    at::Scalar number;
    const bool is_plain = (PyFloat_Check(item) || PyLong_CheckExact(item)) && read_scalar(item, number);
    numbers.push_back(number.toDouble());
    return is_plain;
  };
  return one_will_do && (PyFloat_Check(object) || PyLong_CheckExact(object)) ? read(object) : read_items(object, read);
}

// The string owns the text.
bool read_text(PyObject* object, std::string_view& text) {
  Py_ssize_t length = 0;
  const char* const bytes = PyUnicode_CheckExact(object) ? PyUnicode_AsUTF8AndSize(object, &length) : nullptr;
  if (!bytes) {
    PyErr_Clear();  // of a string that has no bytes
    return false;
  }
  text = {bytes, static_cast<size_t>(length)};
  return true;
}

// Whether a call is over before another Python thread could be woken: it reads and writes little, on the CPU.
bool finishes_quickly(const at::Tensor& input, at::IntArrayRef pad) {
  const bool crops = std::all_of(pad.begin(), pad.end(), [](int64_t entry) { return entry <= 0; });
  return crops && input.is_cpu() && input.numel() * input.element_size() <= 256 * 1024;
}

// Lets other Python threads run while it lives, unless the call finishes quickly.
class ReleasedGil {
 public:
  explicit ReleasedGil(bool finishes_quickly) : thread_(finishes_quickly ? nullptr : PyEval_SaveThread()) {}
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

// What make() makes, or write(out) writes to out where there is one.
template <class Make, class Write>
PyObject* result_of(PyObject* out, bool finishes_quickly, const Make& make, const Write& write) {
  at::Tensor result = out == Py_None ? at::Tensor() : THPVariable_Unpack(out);
  {
    const ReleasedGil no_gil(finishes_quickly);
    if (out == Py_None) {
      result = make();
    } else {
      write(result);
    }
  }
  return out == Py_None ? THPVariable_Wrap(std::move(result)) : Py_NewRef(out);
}

bool takes(const char* name, Py_ssize_t expected, Py_ssize_t got) {
  if (got != expected) {
    PyErr_Format(PyExc_TypeError, "%s: takes %zd positional arguments, got %zd", name, expected, got);
  }
  return got == expected;
}

PyObject* pad_by(
    PyObject* input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    PyObject* out) {
  const at::Tensor& tensor = THPVariable_Unpack(input);
  return result_of(
      out, finishes_quickly(tensor, pad), [&] { return torchcrop_fast::pad(tensor, pad, mode, value); },
      [&](at::Tensor& to) { torchcrop_fast::pad_out(to, tensor, pad, mode, value); });
}

// pad(input, pad, mode, value, out)
PyObject* pad(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("pad", 5, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 8> entries;
  std::string_view mode;
  std::optional<at::Scalar> value;
  const bool plain = is_tensor(args[0]) && read_ints(args[1], entries) && read_text(args[2], mode) &&
                     (args[3] == Py_None || read_scalar(args[3], value.emplace())) && is_tensor_or_none(args[4]) &&
                     !mode_active();
  if (!plain) {
    return Py_NewRef(Py_NotImplemented);
  }
  return pad_by(args[0], entries, mode, value, args[4]);
  END_HANDLE_TH_ERRORS
}

// crop(input, cropping, out)
PyObject* crop(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("crop", 3, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 8> entries;
  const bool plain = is_tensor(args[0]) && read_ints(args[1], entries) && is_tensor_or_none(args[2]) && !mode_active();
  if (!plain || std::find(entries.begin(), entries.end(), INT64_MIN) != entries.end()) {
    return Py_NewRef(Py_NotImplemented);
  }
  std::transform(entries.begin(), entries.end(), entries.begin(), std::negate<>());
  return pad_by(args[0], entries, "constant", std::nullopt, args[2]);
  END_HANDLE_TH_ERRORS
}

// crop_at(input, offsets, size, flip, padding_mode, fill, out)
PyObject* crop_at(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("crop_at", 7, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 3> size;
  std::string_view padding_mode;
  at::Scalar fill;
  const bool plain = is_tensor(args[0]) && is_tensor(args[1]) && read_ints(args[2], size) &&
                     is_tensor_or_none(args[3]) && read_text(args[4], padding_mode) && read_scalar(args[5], fill) &&
                     is_tensor_or_none(args[6]) && !mode_active();
  if (!plain) {
    return Py_NewRef(Py_NotImplemented);
  }
  const at::Tensor &input = THPVariable_Unpack(args[0]), &offsets = THPVariable_Unpack(args[1]);
  const auto flip = optional_tensor(args[3]);
  return result_of(
      args[6], /*finishes_quickly=*/false,
      [&] { return torchcrop_fast::crop_at(input, offsets, size, flip, padding_mode, fill); },
      [&](at::Tensor& to) { torchcrop_fast::crop_at_out(to, input, offsets, size, flip, padding_mode, fill); });
  END_HANDLE_TH_ERRORS
}

// crop_mirror_normalize(input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill, out)
PyObject* crop_mirror_normalize(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!takes("crop_mirror_normalize", 12, count)) {
    return nullptr;
  }
  HANDLE_TH_ERRORS
  c10::SmallVector<int64_t, 2> size;
  c10::SmallVector<double, 4> mean, std, fill;
  std::string_view layout, padding_mode;
  const bool plain = is_tensor(args[0]) && is_tensor_or_none(args[1]) && read_ints(args[2], size) &&
                     read_doubles(args[3], false, mean) && read_doubles(args[4], false, std) &&
                     is_tensor_or_none(args[5]) && (args[6] == Py_None || THPDtype_Check(args[6])) &&
                     read_text(args[7], layout) && (args[8] == Py_None || THPMemoryFormat_Check(args[8])) &&
                     read_text(args[9], padding_mode) && read_doubles(args[10], true, fill) &&
                     is_tensor_or_none(args[11]) && !mode_active();
  if (!plain) {
    return Py_NewRef(Py_NotImplemented);
  }
  const at::Tensor& input = THPVariable_Unpack(args[0]);
  const auto offsets = optional_tensor(args[1]), flip = optional_tensor(args[5]);
  std::optional<at::ScalarType> dtype;
  if (args[6] != Py_None) {
    dtype = reinterpret_cast<THPDtype*>(args[6])->scalar_type;
  }
  std::optional<at::MemoryFormat> format;
  if (args[8] != Py_None) {
    format = reinterpret_cast<THPMemoryFormat*>(args[8])->memory_format;
  }
  return result_of(
      args[11], /*finishes_quickly=*/false,
      [&] {
        return torchcrop_fast::crop_mirror_normalize(
            input, offsets, size, mean, std, flip, dtype, layout, format, padding_mode, fill);
      },
      [&](at::Tensor& to) {
        torchcrop_fast::crop_mirror_normalize_out(
            to, input, offsets, size, mean, std, flip, dtype, layout, format, padding_mode, fill);
      });
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

constexpr char kOverride[] = "torchcrop_fast.PadOverride";  // the capsule's name

// override_torch_pad(): a capsule, for remove_override()
PyObject* override_torch_pad(PyObject*, PyObject*) {
  HANDLE_TH_ERRORS
  auto override = std::make_unique<torchcrop_fast::PadOverride>(torchcrop_fast::override_torch_pad());
  PyObject* const capsule = PyCapsule_New(override.get(), kOverride, [](PyObject* object) {
    delete static_cast<torchcrop_fast::PadOverride*>(PyCapsule_GetPointer(object, kOverride));
  });
  if (capsule) {
    override.release();
  }
  return capsule;
  END_HANDLE_TH_ERRORS
}

// remove_override(capsule)
PyObject* remove_override(PyObject*, PyObject* capsule) {
  const auto* const override = static_cast<torchcrop_fast::PadOverride*>(PyCapsule_GetPointer(capsule, kOverride));
  if (!override) {
    return nullptr;
  }
  override->remove();
  Py_RETURN_NONE;
}

// torch_pad_overridden()
PyObject* torch_pad_overridden(PyObject*, PyObject*) { return PyBool_FromLong(torchcrop_fast::torch_pad_overridden()); }

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
    {"override_torch_pad", override_torch_pad, METH_NOARGS, nullptr},
    {"remove_override", remove_override, METH_O, nullptr},
    {"torch_pad_overridden", torch_pad_overridden, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&module); }
