// Functionalize: graphs have no writes, so an op that writes to out becomes the op that doesn't, and a copy. torch
// would do the like by itself, but for ops with an argument called mode it fails.
#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/copy.h>
#include <torch/library.h>
#include <torchcrop_fast/ops.h>

#include "check.h"
#include "handles.h"

namespace torchcrop_fast {
namespace {

namespace functionalization = at::functionalization::impl;

// The tensor that a functional wrapper stands for, up to date.
at::Tensor unwrap(const at::Tensor& tensor) {
  if (!functionalization::isFunctionalTensor(tensor)) {
    return tensor;
  }
  functionalization::sync(tensor);
  return functionalization::from_functional_tensor(tensor);
}

std::optional<at::Tensor> unwrap(const std::optional<at::Tensor>& tensor) {
  return tensor ? std::optional(unwrap(*tensor)) : std::nullopt;
}

// Writes to out what run() makes, if check() lets it.
template <class Check, class Run>
void write(const char* op, at::Tensor& out, const Check& check, const Run& run) {
  TORCH_CHECK(
      functionalization::isFunctionalTensor(out), op,
      ": out must be an argument of what is functionalized, or be made in it");
  check();
  const at::Tensor old = unwrap(out);
  at::Tensor written;
  {
    const at::AutoDispatchSkipFunctionalize guard;
    const at::Tensor made = run();
    TORCH_CHECK(
        made.sym_sizes() == old.sym_sizes(), op, ": out must have sizes ", made.sym_sizes(),
        " where it cannot be resized, as in a graph, got ", old.sym_sizes());
    written = at::copy(old, made);
  }
  functionalization::replace_(out, written);
  functionalization::commit_update(out);
  functionalization::sync(out);
}

void pad_out_functionalize(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  write(
      "pad", out, [&] { check_out("pad", input, out); },
      [&] { return torchcrop_fast::pad_symint(unwrap(input), pad, mode, value); });
}

void crop_at_out_functionalize(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  write(
      "crop_at", out, [&] { check_out("crop_at", input, out); },
      [&] { return crop_at_handle().call(unwrap(input), unwrap(offsets), size, unwrap(flip), padding_mode, fill); });
}

void crop_mirror_normalize_out_functionalize(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    c10::SymIntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill,
    at::Tensor& out) {
  write(
      "crop_mirror_normalize", out, [&] { check_crop_mirror_normalize_out_type(input, dtype, out); },
      [&] {
        return crop_mirror_normalize_handle().call(
            unwrap(input), unwrap(offsets), size, mean, std, unwrap(flip), dtype, layout, memory_format, padding_mode,
            fill);
      });
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Functionalize, m) {
  m.impl("pad.out", torchcrop_fast::pad_out_functionalize);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_functionalize);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_functionalize);
}
