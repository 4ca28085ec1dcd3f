// Meta: shapes, strides and errors without data, symbolic sizes included.
#include <ATen/native/Resize.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "check.h"
#include "geometry.h"

namespace torchcrop_fast {
namespace {

at::Tensor pad_meta(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const Border border = check_mode(mode);
  const auto sizes = check_pad<c10::SymInt>(input.sym_sizes(), pad, border, input.element_size());
  check_fill<c10::SymInt>(pad, border, value, input.scalar_type());
  if (border == Border::kConstant) {  // ATen knows the strides
    return at::constant_pad_nd_symint(input, pad, value.value_or(0));
  }
  return at::empty_symint(sizes, input.options(), padded_format(input, pad.size(), border));
}

void pad_out_meta(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const Border border = check_mode(mode);
  const auto sizes = check_pad<c10::SymInt>(input.sym_sizes(), pad, border, input.element_size());
  check_fill<c10::SymInt>(pad, border, value, input.scalar_type());
  check_out("pad", input, out);
  at::native::resize_output_symint(out, sizes);
}

at::Tensor pad_adjoint_meta(
    const at::Tensor& grad, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode) {
  check_pad_adjoint<c10::SymInt>(grad, pad, input_size, check_mode(mode));
  return at::empty_symint(input_size, grad.options(), images_format(grad, /*several=*/false));
}

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
  m.impl("pad", torchcrop_fast::pad_meta);
  m.impl("pad.out", torchcrop_fast::pad_out_meta);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_meta);
  m.impl("crop_at", torchcrop_fast::crop_at_meta);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_meta);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_meta);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_meta);
}
