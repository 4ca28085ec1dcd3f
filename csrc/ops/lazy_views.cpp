// Conjugate and Negative: out may be a view that turns what is written to it. torch's fallback for these keys expects
// an op to return what it writes to, which ours may not.
#include <ATen/native/Resize.h>
#include <torch/library.h>
#include <torchcrop_fast/ops.h>

#include "check.h"
#include "handles.h"

namespace torchcrop_fast {
namespace {

void pad_out_lazy_views(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  check_out("pad", input, out);
  check_out_memory("pad", input, out);
  const at::Tensor resolved = input.resolve_conj().resolve_neg();
  if (!out.is_conj() && !out.is_neg()) {
    pad_out_handle().call(resolved, pad, mode, value, out);
    return;
  }
  const at::Tensor padded = torchcrop_fast::pad_symint(resolved, pad, mode, value);
  at::native::resize_output_symint(out, padded.sym_sizes());
  out.copy_(padded);
}

void crop_at_out_lazy_views(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  check_crop_at_out(input, offsets, flip, out);
  const at::Tensor resolved = input.resolve_conj().resolve_neg();
  const at::Tensor places = offsets.resolve_neg();
  if (!out.is_conj() && !out.is_neg()) {
    crop_at_out_handle().call(resolved, places, size, flip, padding_mode, fill, out);
    return;
  }
  const at::Tensor cropped = crop_at_handle().call(resolved, places, size, flip, padding_mode, fill);
  at::native::resize_output_symint(out, cropped.sym_sizes());
  out.copy_(cropped);
}

void crop_mirror_normalize_out_lazy_views(
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
  check_crop_mirror_normalize_out<c10::SymInt>(
      input, {offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill}, out);
  const at::Tensor resolved = input.resolve_neg();
  const at::Tensor result = crop_mirror_normalize_handle().call(
      resolved, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill);
  at::native::resize_output_symint(out, result.sym_sizes());
  out.copy_(result);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Conjugate, m) {
  m.impl("pad.out", torchcrop_fast::pad_out_lazy_views);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_lazy_views);
}

TORCH_LIBRARY_IMPL(torchcrop_fast, Negative, m) {
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_lazy_views);
  m.impl("pad.out", torchcrop_fast::pad_out_lazy_views);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_lazy_views);
}
