// What kernels take of torch's arguments.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/DimVector.h>

#include <array>
#include <vector>

#include "../kernels/pixel.h"
#include "check.h"

namespace torchcrop_fast {

// The values of what is not symbolic, or no longer.
c10::DimVector concrete(c10::SymIntArrayRef numbers);

// The type of a gradient that op adds up. Throws where it is none.
Real real_type(const char* op, at::ScalarType dtype);

// A complex tensor as real ones, with a dimension more.
at::Tensor as_real(const at::Tensor& tensor);

// The type of an image that check_crop_mirror_normalize accepts.
PixelType pixel_type(at::ScalarType dtype);

// crop_mirror_normalize's arguments for images of some channels: out = in * scale + bias, or fill.
struct Coefficients {
  std::vector<float> scale;  // (channels), as are the others
  std::vector<float> bias;
  std::vector<float> fill;
};
Coefficients coefficients_of(const NormalizeArguments<int64_t>& by, const at::Tensor& images);

// The images as (N, C, H, W).
at::Tensor channels_first(const at::Tensor& input, std::string_view layout);

// Where centred windows of images (N, C, H, W) begin: (y, x).
std::array<int64_t, 2> centre_of(const at::Tensor& images, at::IntArrayRef size);

}  // namespace torchcrop_fast
