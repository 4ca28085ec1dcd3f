// Meta: shapes, strides and errors without data, symbolic sizes included. (pad has no kernel here: ATen's, which
// fallback.cpp calls, knows.)
#include <ATen/native/Resize.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "check.h"
#include "geometry.h"

namespace torchcrop_fast {
namespace {

at::Tensor crop_at_meta(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  const auto sizes = check_crop_at<c10::SymInt>(input, offsets, size, flip, padding_mode);
  check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  return new_windows(input, sizes, offsets.dim() == 3);
}

void crop_at_out_meta(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  const auto sizes = check_crop_at<c10::SymInt>(input, offsets, size, flip, padding_mode);
  check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  check_out("crop_at", input, out);
  at::native::resize_output_symint(out, sizes);
}

at::Tensor crop_at_adjoint_meta(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  check_crop_at_adjoint<c10::SymInt>(grad, offsets, input_size, flip, padding_mode);
  return at::empty_symint(input_size, grad.options(), images_format(grad, offsets.dim() == 3));
}

at::Tensor crop_mirror_normalize_meta(
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
    at::ArrayRef<double> fill) {
  const NormalizeArguments<c10::SymInt> by{offsets, size,   mean,          std,          flip,
                                           dtype,   layout, memory_format, padding_mode, fill};
  return new_in_format(check_crop_mirror_normalize(input, by), input.options().dtype(dtype), memory_format);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Meta, m) {
  m.impl("crop_at", torchcrop_fast::crop_at_meta);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_meta);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_meta);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_meta);
}
