// The ops as the dispatcher knows them, typed.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

namespace torchcrop_fast {

template <class Signature>
c10::TypedOperatorHandle<Signature> handle(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

inline const auto& pad_handle() {
  static const auto op =
      handle<at::Tensor(const at::Tensor&, c10::SymIntArrayRef, std::string_view, const std::optional<at::Scalar>&)>(
          "torchcrop_fast::pad", "");
  return op;
}

inline const auto& pad_out_handle() {
  static const auto op = handle<void(
      const at::Tensor&, c10::SymIntArrayRef, std::string_view, const std::optional<at::Scalar>&, at::Tensor&)>(
      "torchcrop_fast::pad", "out");
  return op;
}

inline const auto& pad_adjoint_handle() {
  static const auto op =
      handle<at::Tensor(const at::Tensor&, c10::SymIntArrayRef, c10::SymIntArrayRef, std::string_view)>(
          "torchcrop_fast::_pad_adjoint", "");
  return op;
}

inline const auto& crop_at_handle() {
  static const auto op = handle<at::Tensor(
      const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, const std::optional<at::Tensor>&, std::string_view,
      const at::Scalar&)>("torchcrop_fast::crop_at", "");
  return op;
}

inline const auto& crop_at_out_handle() {
  static const auto op = handle<void(
      const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, const std::optional<at::Tensor>&, std::string_view,
      const at::Scalar&, at::Tensor&)>("torchcrop_fast::crop_at", "out");
  return op;
}

inline const auto& crop_mirror_normalize_handle() {
  static const auto op = handle<at::Tensor(
      const at::Tensor&, const std::optional<at::Tensor>&, c10::SymIntArrayRef, at::ArrayRef<double>,
      at::ArrayRef<double>, const std::optional<at::Tensor>&, at::ScalarType, std::string_view, at::MemoryFormat,
      std::string_view, at::ArrayRef<double>)>("torchcrop_fast::crop_mirror_normalize", "");
  return op;
}

inline const auto& crop_mirror_normalize_out_handle() {
  static const auto op = handle<void(
      const at::Tensor&, const std::optional<at::Tensor>&, c10::SymIntArrayRef, at::ArrayRef<double>,
      at::ArrayRef<double>, const std::optional<at::Tensor>&, at::ScalarType, std::string_view, at::MemoryFormat,
      std::string_view, at::ArrayRef<double>, at::Tensor&)>("torchcrop_fast::crop_mirror_normalize", "out");
  return op;
}

inline const auto& crop_at_adjoint_handle() {
  static const auto op = handle<at::Tensor(
      const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, const std::optional<at::Tensor>&, std::string_view)>(
      "torchcrop_fast::_crop_at_adjoint", "");
  return op;
}

}  // namespace torchcrop_fast
