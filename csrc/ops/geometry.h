// From tensors and checked arguments to the windows that a kernel copies, adds up or normalizes.
#pragma once

#include <array>
#include <vector>

#include "../kernels/windows.h"
#include "check.h"

namespace torchcrop_fast {

// Start of a centered window, rounded as torchvision does; negative if the input is smaller.
int64_t center_start(int64_t elements, int64_t size);

// The image as (N, C, H, W).
at::Tensor channels_first(const at::Tensor& input, std::string_view layout);

// A complex tensor as a real one with a dimension more, of 2; any other as it is.
at::Tensor as_real(const at::Tensor& tensor);

// The window that writes what pad makes of input to out, its dimensions in the order of out's memory.
Window window_of(
    const at::Tensor& input, const Pad<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out);

// The windows that write what an op makes of its input to out, which has an element at least.
Windows windows_of(
    const at::Tensor& input, const CropAt<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out);
// A window of each grad on zeros, the size of the image: where the border is constant and no image has several crops.
Windows windows_of(
    const at::Tensor& grad, const CropAtAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out);

// The windows whose gradients, read in window.out, add up to an input's gradient, written in window.in. No element is a
// complex number: as_real(). Elements of the input that a circular border lets no window show are not written.
Windows added_windows_of(
    const at::Tensor& grad, const PadAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out);
Windows added_windows_of(
    const at::Tensor& grad, const CropAtAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out);

// The type of the gradients that are added up, which check_adds_up() accepts.
Real real_type(at::ScalarType dtype);

// What crop_mirror_normalize shows, and what it does to it on the way. Owns the numbers that windows refers to.
struct Normalization {
  // out is contiguous in the op's memory format, and has an element at least.
  Normalization(
      const at::Tensor& input,
      const CropMirrorNormalize<int64_t>& op,
      const Checked<int64_t>& checked,
      const at::Tensor& out);
  Normalization(const Normalization&) = delete;
  Normalization& operator=(const Normalization&) = delete;

  NormalizedWindows windows;

 private:
  std::vector<float> numbers_;  // (3, C): scale, bias, fill
};

}  // namespace torchcrop_fast
