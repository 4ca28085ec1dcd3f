// Turns torch's arguments into those of kernels.
#include "kernel_arguments.h"

#include <ATen/ops/view_as_real.h>

#include "geometry.h"

namespace torchcrop_fast {

c10::DimVector concrete(c10::SymIntArrayRef numbers) {
  c10::DimVector values;
  for (const c10::SymInt& number : numbers) {
    values.push_back(number.guard_int(__FILE__, __LINE__));
  }
  return values;
}

Real real_type(const char* op, at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return Real::kHalf;
    case at::kBFloat16:
      return Real::kBFloat16;
    case at::kFloat:
      return Real::kFloat;
    case at::kDouble:
      return Real::kDouble;
    default:
      TORCH_CHECK(
          false, op, ": its gradient must be of a real or complex dtype of 2 bytes and more, got ",
          c10::getDtypeNames(dtype).first);
  }
}

at::Tensor as_real(const at::Tensor& tensor) { return tensor.is_complex() ? at::view_as_real(tensor) : tensor; }

PixelType pixel_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kByte:
      return PixelType::kUint8;
    case at::kHalf:
      return PixelType::kHalf;
    case at::kBFloat16:
      return PixelType::kBFloat16;
    default:
      return PixelType::kFloat;
  }
}

Coefficients coefficients_of(const NormalizeArguments<int64_t>& by, const at::Tensor& images) {
  const double unit = images.scalar_type() == at::kByte ? 255 : 1;
  Coefficients coefficients;
  for (size_t c = 0; c < static_cast<size_t>(images.size(1)); ++c) {
    const double outside = by.fill.size() == 1 ? by.fill[0] : by.fill[c];
    coefficients.scale.push_back(static_cast<float>(1 / (unit * by.std[c])));
    coefficients.bias.push_back(static_cast<float>(-by.mean[c] / by.std[c]));
    coefficients.fill.push_back(static_cast<float>((outside / unit - by.mean[c]) / by.std[c]));
  }
  return coefficients;
}

at::Tensor channels_first(const at::Tensor& input, std::string_view layout) {
  return layout == "HWC" ? input.permute({0, 3, 1, 2}) : input;
}

std::array<int64_t, 2> centre_of(const at::Tensor& images, at::IntArrayRef size) {
  return {centre_start(images.size(2), size[0]), centre_start(images.size(3), size[1])};
}

}  // namespace torchcrop_fast
