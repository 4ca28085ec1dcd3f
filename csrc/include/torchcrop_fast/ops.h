// The public C++ functions. Each goes through torch's dispatcher: any device, autograd, vmap and the rest included.
//
// Link libtorchcrop_fast.so, or load it with dlopen before a scripted model that uses its ops is loaded.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>
#include <c10/core/SymIntArrayRef.h>

#include <optional>
#include <string_view>

#define TORCHCROP_FAST_API __attribute__((visibility("default")))

namespace torchcrop_fast {

// Pads the last pad.size() / 2 dimensions of input, as torch.nn.functional.pad does.
//
// pad:    elements to add before and after a dimension, the last dimension first: (left, right, top, bottom, ...).
//         Negative entries crop. The crop happens before the padding, but with "reflect" and "replicate" after it.
// mode:   what the border holds: "constant" (value), "reflect" (each entry less than the dimension's size),
//         "replicate" or "circular" (each entry at most what the crop leaves of the dimension).
// value:  what a constant border holds, 0 if not given. It must fit input's dtype wherever something is padded.
//         With another mode none or 0.
//
// Returns a new tensor that never shares memory with input; its strides are those that torch's pad gives.
// Throws c10::Error that says what was wrong with which argument.
TORCHCROP_FAST_API at::Tensor pad(
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode = "constant",
    const std::optional<at::Scalar>& value = std::nullopt);

// pad by entries that may be symbolic, named as torch names such functions.
TORCHCROP_FAST_API at::Tensor pad_symint(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode = "constant",
    const std::optional<at::Scalar>& value = std::nullopt);

// pad written to out, which it returns. out has input's dtype and device and shares no memory with it; its strides are
// kept. It is resized if its shape is another, with a warning unless it was empty. Autograd doesn't support it.
TORCHCROP_FAST_API at::Tensor& pad_out(
    at::Tensor& out,
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode = "constant",
    const std::optional<at::Scalar>& value = std::nullopt);

// pad with the signs turned: takes cropping[0] and cropping[1] elements off the ends of the last dimension, and so on.
TORCHCROP_FAST_API at::Tensor crop(const at::Tensor& input, at::IntArrayRef cropping);

// Crops every image of a batch at its own place.
//
// input:    (N, ..., spatial), the last size.size() dimensions spatial.
// offsets:  int64, (N, D) or (N, K, D) for K crops an image: the input index of each window's first element, in the
//           order of the dimensions: (y, x). Any value: around the input lies the border.
// size:     of the windows, D positive entries.
// flip:     bool, offsets' shape without its last dimension (mirrors the last spatial one) or its full shape.
// padding_mode: "constant" (fill), "replicate", "reflect", "symmetric" or "circular".
// fill:     what a constant border holds: a number that input's dtype can hold; integer dtypes truncate it.
//
// Returns a new tensor (N, ..., size) or (N, K, ..., size) in input's memory format; its gradient with respect to input
// is exact, also where windows overlap. Throws as pad does.
TORCHCROP_FAST_API at::Tensor crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip = std::nullopt,
    std::string_view padding_mode = "constant",
    const at::Scalar& fill = 0);

// crop_at written to out, which it returns, as with pad_out; out shares no memory with offsets or flip either.
TORCHCROP_FAST_API at::Tensor& crop_at_out(
    at::Tensor& out,
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip = std::nullopt,
    std::string_view padding_mode = "constant",
    const at::Scalar& fill = 0);

// Crops every image at its own place, mirrors it and normalizes it to (x - mean) / std, in one pass over memory.
//
// input:    (N, C, H, W), or (N, H, W, C) with layout "HWC"; uint8, which is divided by 255 first, float16, bfloat16 or
//           float32.
// offsets:  as for crop_at; none is the center, rounded as torchvision rounds it.
// size:     of the windows, (h, w), positive.
// mean:     a number for each channel.
// std:      a number for each channel, not 0.
// flip:     as for crop_at.
// dtype:    of the result: float32, which is the default, float16 or bfloat16.
// layout:   of input: "CHW" or "HWC".
// memory_format: of the result: contiguous, which is the default, or channels_last.
// padding_mode: as for crop_at.
// fill:     a number, or one for each channel, in units of input; it is normalized like a pixel.
//
// Returns (N, C, h, w), or (N, K, C, h, w) for K crops an image, whatever the layout. Differentiable with respect to
// inputs of a float dtype. Throws as pad does.
TORCHCROP_FAST_API at::Tensor crop_mirror_normalize(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip = std::nullopt,
    std::optional<at::ScalarType> dtype = std::nullopt,
    std::string_view layout = "CHW",
    std::optional<at::MemoryFormat> memory_format = std::nullopt,
    std::string_view padding_mode = "constant",
    at::ArrayRef<double> fill = 0.);

// crop_mirror_normalize written to out, which it returns. out has dtype and input's device and shares no memory with
// input, offsets or flip; otherwise as with pad_out.
TORCHCROP_FAST_API at::Tensor& crop_mirror_normalize_out(
    at::Tensor& out,
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip = std::nullopt,
    std::optional<at::ScalarType> dtype = std::nullopt,
    std::string_view layout = "CHW",
    std::optional<at::MemoryFormat> memory_format = std::nullopt,
    std::string_view padding_mode = "constant",
    at::ArrayRef<double> fill = 0.);

// The vector instructions that the CPU's kernels use: "default" or "avx2". The best that the CPU has, or what
// the environment variable TORCHCROP_FAST_CPU_CAPABILITY names.
TORCHCROP_FAST_API const char* cpu_capability_name();

}  // namespace torchcrop_fast
