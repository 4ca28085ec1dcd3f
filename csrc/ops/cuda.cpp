// CUDA: every op as one launch on the current stream, which waits for nothing.
#include <ATen/core/Tensor.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Scalar.h>
#include <torch/library.h>

#if !defined(TORCHCROP_FAST_EMULATED)
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include <algorithm>
#include <vector>

#include "../kernels/adjoint_cuda.h"
#include "../kernels/normalize_cuda.h"
#include "../kernels/window_cuda.h"
#include "check.h"
#include "geometry.h"
#include "kernel_arguments.h"
#include "placed_windows.h"

namespace torchcrop_fast {
namespace {

#if defined(TORCHCROP_FAST_EMULATED)  // tests run all this on CPU tensors, with the emulated kernels
struct DeviceGuard {
  explicit DeviceGuard(const at::Device&) {}
};
Stream current_stream() { return nullptr; }
void check_launch(LaunchError) {}
#else
using DeviceGuard = c10::cuda::CUDAGuard;
Stream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
void check_launch(LaunchError error) { C10_CUDA_CHECK(static_cast<cudaError_t>(error)); }
#endif

void check_dims(const char* op, int dims) {
  TORCH_CHECK(
      dims <= kMaxCudaDims, op, ": takes at most ", kMaxCudaDims, " dimensions of more than one element on a GPU, got ",
      dims);
}

// A window that has no places.
Windows alone(const Window& window) {
  Windows windows;
  windows.window = window;
  std::fill(std::begin(windows.spatial), std::end(windows.spatial), -1);
  return windows;
}

void copy(const char* op, const Windows& windows) {
  check_dims(op, windows.window.dims);
  check_launch(copy_windows_cuda(windows, current_stream()));
}

void pad_into(
    const at::Tensor& input,
    at::IntArrayRef pad,
    Border border,
    const std::array<unsigned char, 16>& fill,
    const at::Tensor& out) {
  if (out.numel() == 0) {
    return;
  }
  copy("pad", alone(pad_window(input, pad, border, fill, out)));
}

at::Tensor pad_cuda(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const DeviceGuard guard(input.device());
  const auto entries = concrete(pad);
  const Border border = check_mode(mode);
  const auto sizes = check_pad<int64_t>(input.sizes(), entries, border, input.element_size());
  const auto fill = check_fill<int64_t>(entries, border, value, input.scalar_type());
  const auto out = empty_padded(input, entries, sizes, border);
  pad_into(input, entries, border, fill, out);
  return out;
}

void pad_out_cuda(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const DeviceGuard guard(input.device());
  const auto entries = concrete(pad);
  const Border border = check_mode(mode);
  const auto sizes = check_pad<int64_t>(input.sizes(), entries, border, input.element_size());
  const auto fill = check_fill<int64_t>(entries, border, value, input.scalar_type());
  check_out("pad", input, out);
  check_out_memory("pad", input, out);
  if (at::native::resize_output(out, sizes)) {
    check_out_memory("pad", input, out);
  }
  pad_into(input, entries, border, fill, out);
}

// Adds up all that pad shows of each element.
at::Tensor pad_adjoint_cuda(
    const at::Tensor& grad, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode) {
  const DeviceGuard guard(grad.device());
  const auto entries = concrete(pad);
  const auto sizes = concrete(input_size);
  const Border border = check_mode(mode);
  check_pad_adjoint<int64_t>(grad, entries, sizes, border);
  const at::Tensor out = new_images(grad, input_size, /*several=*/false);
  if (out.numel() == 0) {
    return out;
  }
  const bool crops = std::any_of(entries.begin(), entries.end(), [](int64_t entry) { return entry < 0; });
  if (grad.numel() == 0 || (crops && border == Border::kCircular)) {
    out.zero_();
  }
  if (grad.numel() == 0) {
    return out;
  }
  const at::Tensor to = as_real(out);
  const Windows windows =
      alone(pad_adjoint_window(to, entries, border, as_real(grad), /*tail=*/out.is_complex() ? 1 : 0));
  check_dims("pad", windows.window.dims);
  check_launch(add_windows_cuda(windows, real_type("pad", to.scalar_type()), current_stream()));
  return out;
}

void crop_at_into(
    const at::Tensor& input,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const std::array<unsigned char, 16>& fill,
    const at::Tensor& out) {
  if (out.numel() == 0) {
    return;
  }
  out.mutable_data_ptr();  // a lazy clone gets memory of its own here
  const Border border = check_border("crop_at", padding_mode);
  const PlacedWindows windows(input, out, offsets, flip, border, PlacedWindows::Order::kOfWindows);
  copy("crop_at", windows.all_onto_windows(fill));
}

at::Tensor crop_at_cuda(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  const DeviceGuard guard(input.device());
  const auto sizes = check_crop_at<c10::SymInt>(input, offsets, size, flip, padding_mode);
  const auto bytes = check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  const auto out = new_windows(input, sizes, offsets.dim() == 3);
  crop_at_into(input, offsets, flip, padding_mode, bytes, out);
  return out;
}

void crop_at_out_cuda(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  const DeviceGuard guard(input.device());
  const auto sizes = check_crop_at<c10::SymInt>(input, offsets, size, flip, padding_mode);
  const auto bytes = check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  check_crop_at_out(input, offsets, flip, out);
  if (at::native::resize_output_symint(out, sizes)) {
    check_crop_at_out(input, offsets, flip, out);
  }
  crop_at_into(input, offsets, flip, padding_mode, bytes, out);
}

at::Tensor crop_at_adjoint_cuda(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const DeviceGuard guard(grad.device());
  check_crop_at_adjoint<c10::SymInt>(grad, offsets, input_size, flip, padding_mode);
  const Border border = check_border("crop_at", padding_mode);
  const bool several = offsets.dim() == 3;
  const at::Tensor out = new_images(grad, input_size, several);
  if (out.numel() == 0) {
    return out;
  }
  if (grad.numel() == 0) {  // no window at all
    return out.zero_();
  }
  if (border == Border::kConstant && !several) {
    const PlacedWindows windows(out, grad, offsets, flip, border, PlacedWindows::Order::kOfImages);
    copy("crop_at", windows.all_onto_images());
    return out;
  }
  const at::Tensor to = as_real(out), from = as_real(grad);
  const PlacedWindows windows(
      to, from, offsets, flip, border, PlacedWindows::Order::kOfImages, /*tail=*/out.is_complex() ? 1 : 0);
  const Windows all = windows.all_onto_windows({});
  check_dims("crop_at", all.window.dims);
  check_launch(add_windows_cuda(all, real_type("crop_at", to.scalar_type()), current_stream()));
  return out;
}

// out is dense, in the memory format that the arguments name.
void normalize_into(const at::Tensor& input, const NormalizeArguments<int64_t>& by, const at::Tensor& out) {
  if (out.numel() == 0) {
    return;
  }
  out.mutable_data_ptr();  // a lazy clone gets memory of its own here
  const at::Tensor images = channels_first(input, by.layout);
  constexpr int64_t kMost = int64_t{1} << 30;
  const int64_t channels = images.size(1);
  const int64_t longest = std::max({images.size(2), images.size(3), by.size[0], by.size[1]});
  TORCH_CHECK(
      longest < kMost / channels, "crop_mirror_normalize: a row or a column must have less than ", kMost,
      " elements on a GPU, got ", longest, " pixels of ", channels, " channels");
  auto centre = centre_of(images, by.size);
  const at::Tensor offsets =
      by.offsets ? *by.offsets : at::from_blob(centre.data(), {images.size(0), 2}, {0, 1}, at::kLong);
  const Border border = check_border("crop_mirror_normalize", by.padding_mode);
  const PlacedWindows placed(images, out, offsets, by.flip, border, PlacedWindows::Order::kAsGiven);
  const Coefficients coefficients = coefficients_of(by, images);
  NormalizedWindows windows{placed.all_onto_windows({}), pixel_type(input.scalar_type()), pixel_type(out.scalar_type()),
                            coefficients.scale.data(),   coefficients.bias.data(),        coefficients.fill.data()};
  if (!by.offsets) {  // the kernel gets the centre from here, not from memory that it cannot read
    windows.windows.places.starts = nullptr;
    for (const int d : {0, 1}) {
      WindowDim& dim = windows.windows.window.dim[1 + d];
      dim.start = near_start(border, centre[d], dim.size, dim.in_size);
    }
  }
  check_launch(normalize_windows_cuda(windows, current_stream()));
}

at::Tensor crop_mirror_normalize_cuda(
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
  const DeviceGuard guard(input.device());
  const auto window_size = concrete(size);
  const NormalizeArguments<int64_t> by{offsets, window_size, mean,          std,          flip,
                                       dtype,   layout,      memory_format, padding_mode, fill};
  const auto sizes = check_crop_mirror_normalize(input, by);
  const auto out = new_in_format(c10::fromIntArrayRefSlow(sizes), input.options().dtype(dtype), memory_format);
  normalize_into(input, by, out);
  return out;
}

void crop_mirror_normalize_out_cuda(
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
  const DeviceGuard guard(input.device());
  const auto window_size = concrete(size);
  const NormalizeArguments<int64_t> by{offsets, window_size, mean,          std,          flip,
                                       dtype,   layout,      memory_format, padding_mode, fill};
  const auto sizes = check_crop_mirror_normalize(input, by);
  check_crop_mirror_normalize_out(input, by, out);
  if (at::native::resize_output(out, sizes)) {
    check_crop_mirror_normalize_out(input, by, out);
  }
  const auto dense = new_in_format(c10::fromIntArrayRefSlow(sizes), out.options().device(at::kMeta), memory_format);
  if (out.strides() == dense.strides()) {
    normalize_into(input, by, out);
    return;
  }
  const auto result = new_in_format(c10::fromIntArrayRefSlow(sizes), out.options(), memory_format);
  normalize_into(input, by, result);
  out.copy_(result);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CUDA, m) {
  m.impl("pad", torchcrop_fast::pad_cuda);
  m.impl("pad.out", torchcrop_fast::pad_out_cuda);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_cuda);
  m.impl("crop_at", torchcrop_fast::crop_at_cuda);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_cuda);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_cuda);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_cuda);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_cuda);
}
