// From tensors and checked arguments to windows: strides and starts, the dimensions in the order of the memory written.
#include "geometry.h"

#include <ATen/ops/view_as_real.h>

#include <numeric>

namespace torchcrop_fast {
namespace {

// One dimension of a pad: a window of this start on the elements [first, first + size) of the input.
struct Padded {
  int64_t first;
  int64_t size;
  int64_t start;
};

// Of dimension d of `dims`, which has in_size elements.
Padded padded_dim(at::IntArrayRef pad, Border border, int64_t dims, int64_t d, int64_t in_size) {
  const auto entry = static_cast<size_t>(2 * (dims - 1 - d));
  if (d >= dims || entry >= pad.size()) {
    return {0, in_size, 0};
  }
  const int64_t before = pad[entry], after = pad[entry + 1];
  if (border != Border::kCircular) {
    return {0, in_size, -std::max(before, -INT64_MAX)};
  }
  const int64_t first = std::max<int64_t>(-before, 0);  // a circular border wraps what the crop leaves
  return {first, in_size - first - std::max<int64_t>(-after, 0), std::min<int64_t>(-before, 0)};
}

// The dimensions by stride, the largest first; those of equal strides as they are.
c10::DimVector outermost_first(at::IntArrayRef strides) {
  c10::DimVector order(strides.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return strides[a] > strides[b]; });
  return order;
}

// A dimension of one element may have any stride, which means nothing: no more than a dense tensor's, so that no
// multiple of it leaves int64.
int64_t stride_of(const at::Tensor& tensor, int64_t d) {
  const int64_t stride = tensor.strides()[d];
  return tensor.sizes()[d] == 1 ? std::min(stride, tensor.numel()) : stride;
}

char* data_of(const at::Tensor& tensor) { return const_cast<char*>(static_cast<const char*>(tensor.const_data_ptr())); }

// In whose memory's order the dimensions of windows are, or as they are given.
enum class Order { kOfImages, kOfWindows, kGiven };

// images:  (N, ..., spatial)
// windows: (N, ..., size), or (N, K, ..., size) where `several`
// tail:    how many last dimensions of images and windows come after the spatial ones
Windows windows_on(
    const at::Tensor& images,
    const at::Tensor& windows,
    bool several,
    int64_t spatial_dims,
    Order order,
    int64_t tail) {
  Windows all;
  all.window.in = data_of(images);
  all.window.out = data_of(windows);
  all.window.element_size = static_cast<int>(images.element_size());
  all.window.dims = 0;
  std::fill(std::begin(all.window.fill), std::end(all.window.fill), 0);
  all.images = images.size(0);
  all.windows_an_image = several ? windows.size(1) : 1;
  all.in_image_stride = stride_of(images, 0);
  all.out_image_stride = stride_of(windows, 0);
  all.out_window_stride = several ? stride_of(windows, 1) : 0;
  const int64_t first_spatial = images.dim() - tail - spatial_dims;
  const auto strides = (order == Order::kOfImages ? images : windows).strides();
  const auto dims = strides.slice(order == Order::kOfWindows && several ? 2 : 1);
  const bool in_order = order == Order::kGiven || std::is_sorted(dims.rbegin(), dims.rend());
  const auto sorted = in_order ? c10::DimVector() : outermost_first(dims);
  for (int64_t i = 0; i < images.dim() - 1; ++i) {
    const int64_t d = 1 + (in_order ? i : sorted[i]);
    const int64_t window_d = d + (several ? 1 : 0);
    const bool spatial = first_spatial <= d && d < first_spatial + spatial_dims;
    if (!spatial && images.size(d) == 1 && order != Order::kGiven) {  // it shows nothing else, and there may be many
      continue;
    }
    TORCH_CHECK(all.window.dims < kMaxDims, "crop_at: at most ", kMaxDims, " dimensions larger than 1 are supported");
    all.spatial[all.window.dims] = spatial ? static_cast<int>(d - first_spatial) : -1;
    all.window.dim[all.window.dims++] = {
        windows.size(window_d), 0, images.size(d), stride_of(images, d), stride_of(windows, window_d)};
  }
  return all;
}

// offsets: (N, K, D), (N, D) or none; flip: the same shape or that without its last dimension, or none.
Places places_of(
    const std::optional<at::Tensor>& offsets, const std::optional<at::Tensor>& flip, int64_t spatial_dims) {
  const int64_t dims = offsets ? offsets->dim() : 2;
  const auto set_strides = [&](int64_t (&strides)[3], const at::Tensor& tensor) {
    strides[0] = tensor.stride(0);
    strides[1] = dims == 3 ? tensor.stride(1) : 0;
    strides[2] = tensor.dim() == dims ? tensor.stride(-1) : 0;
  };
  Places places;
  places.spatial_dims = static_cast<int>(spatial_dims);
  if (offsets) {
    places.starts = offsets->const_data_ptr<int64_t>();
    set_strides(places.start_strides, *offsets);
  }
  if (flip) {
    places.flips = flip->const_data_ptr<bool>();
    places.first_flipped = flip->dim() == dims ? 0 : places.spatial_dims - 1;
    set_strides(places.flip_strides, *flip);
  }
  return places;
}

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

}  // namespace

int64_t center_start(int64_t elements, int64_t size) {
  const int64_t surplus = elements - size;
  const int64_t half = surplus / 2;  // of fewer elements less than 0, and the odd element goes to the end
  const int64_t odd = surplus > 0 ? surplus % 2 : 0;
  return half + odd * (half % 2);
}

at::Tensor channels_first(const at::Tensor& input, std::string_view layout) {
  return layout == "HWC" ? input.permute({0, 3, 1, 2}) : input;
}

at::Tensor as_real(const at::Tensor& tensor) { return tensor.is_complex() ? at::view_as_real(tensor) : tensor; }

Window window_of(
    const at::Tensor& input, const Pad<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out) {
  Window window;
  window.border = any_positive(op.pad) ? checked.border : Border::kConstant;  // nothing padded: any border will do
  window.in = static_cast<const char*>(input.const_data_ptr());
  window.out = static_cast<char*>(out.mutable_data_ptr());
  window.element_size = static_cast<int>(input.element_size());
  window.dims = 0;
  std::copy(checked.fill.begin(), checked.fill.end(), window.fill);
  const auto sizes = out.sizes(), strides = out.strides();
  const bool in_order = std::is_sorted(strides.rbegin(), strides.rend());
  const auto order = in_order ? c10::DimVector() : outermost_first(strides);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const size_t d = in_order ? i : static_cast<size_t>(order[i]);
    const Padded padded = padded_dim(op.pad, window.border, input.dim(), static_cast<int64_t>(d), input.sizes()[d]);
    const int64_t start = near_start(window.border, padded.start, sizes[d], padded.size);
    const int64_t in_stride = stride_of(input, static_cast<int64_t>(d));
    window.in += padded.first * in_stride * window.element_size;
    append_dim(window, {sizes[d], start, padded.size, in_stride, stride_of(out, static_cast<int64_t>(d))});
  }
  return window;
}

Windows windows_of(
    const at::Tensor& input, const CropAt<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out) {
  const auto dims = static_cast<int64_t>(op.size.size());
  Windows windows = windows_on(input, out, op.offsets.dim() == 3, dims, Order::kOfWindows, /*tail=*/0);
  windows.window.border = checked.border;
  std::copy(checked.fill.begin(), checked.fill.end(), windows.window.fill);
  windows.places = places_of(op.offsets, op.flip, dims);
  return windows;
}

Windows windows_of(
    const at::Tensor& grad, const CropAtAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out) {
  const auto dims = static_cast<int64_t>(op.size.size());
  Windows windows = windows_on(out, grad, /*several=*/false, dims, Order::kOfImages, /*tail=*/0);
  windows.window.border = checked.border;
  windows.places = places_of(op.offsets, op.flip, dims);
  windows.window.in = data_of(grad);
  windows.window.out = data_of(out);
  for (int d = 0; d < windows.window.dims; ++d) {
    WindowDim& dim = windows.window.dim[d];
    dim = {dim.in_size, 0, dim.size, dim.out_stride, dim.in_stride};
  }
  std::swap(windows.in_image_stride, windows.out_image_stride);
  windows.windows_to_images = true;
  return windows;
}

Windows added_windows_of(
    const at::Tensor& grad, const PadAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out) {
  const at::Tensor to = as_real(out), from = as_real(grad);
  Windows windows;
  std::fill(std::begin(windows.spatial), std::end(windows.spatial), -1);
  Window& window = windows.window;
  window.in = data_of(to);
  window.out = data_of(from);
  window.element_size = static_cast<int>(to.element_size());
  window.border = checked.border;
  window.dims = 0;
  for (const int64_t d : outermost_first(to.strides())) {
    const Padded padded = padded_dim(op.pad, checked.border, out.dim(), d, to.size(d));
    window.in += padded.first * stride_of(to, d) * window.element_size;
    if (padded.size > 1 || from.size(d) > 1) {  // the others mean nothing, and may be many
      TORCH_CHECK(window.dims < kMaxDims, "pad: at most ", kMaxDims, " dimensions larger than 1 are supported");
      const int64_t start = near_start(checked.border, padded.start, from.size(d), padded.size);
      window.dim[window.dims++] = {from.size(d), start, padded.size, stride_of(to, d), stride_of(from, d)};
    }
  }
  if (window.dims == 0) {
    window.dim[window.dims++] = {1, 0, 1, 0, 0};
  }
  return windows;
}

Windows added_windows_of(
    const at::Tensor& grad, const CropAtAdjoint<int64_t>& op, const Checked<int64_t>& checked, const at::Tensor& out) {
  const auto dims = static_cast<int64_t>(op.size.size());
  const int64_t tail = out.is_complex() ? 1 : 0;
  Windows windows = windows_on(as_real(out), as_real(grad), op.offsets.dim() == 3, dims, Order::kOfImages, tail);
  windows.window.border = checked.border;
  windows.places = places_of(op.offsets, op.flip, dims);
  return windows;
}

Real real_type(at::ScalarType dtype) {
  switch (c10::toRealValueType(dtype)) {
    case at::kHalf:
      return Real::kHalf;
    case at::kBFloat16:
      return Real::kBFloat16;
    case at::kFloat:
      return Real::kFloat;
    default:
      return Real::kDouble;
  }
}

Normalization::Normalization(
    const at::Tensor& input,
    const CropMirrorNormalize<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out) {
  const at::Tensor images = channels_first(input, op.layout);
  windows.windows = windows_on(images, out, out.dim() == 5, /*spatial_dims=*/2, Order::kGiven, /*tail=*/0);
  windows.windows.window.border = checked.border;
  windows.windows.places = places_of(op.offsets, op.flip, 2);
  for (const int d : {1, 2}) {  // the center, which needs no memory that another device could not read
    WindowDim& dim = windows.windows.window.dim[d];
    dim.start = near_start(checked.border, center_start(dim.in_size, dim.size), dim.size, dim.in_size);
  }
  windows.in_type = pixel_type(input.scalar_type());
  windows.out_type = pixel_type(out.scalar_type());
  const auto channels = static_cast<size_t>(images.size(1));
  const double unit = unit_of(input.scalar_type());
  numbers_.resize(3 * channels);
  for (size_t c = 0; c < channels; ++c) {
    const double fill = op.fill.size() == 1 ? op.fill[0] : op.fill[c];
    const Affine affine = affine_of(input.scalar_type(), op.mean[c], op.std[c]);
    numbers_[c] = affine.scale;
    numbers_[channels + c] = affine.bias;
    numbers_[2 * channels + c] = static_cast<float>((fill / unit - op.mean[c]) / op.std[c]);
  }
  windows.scale = numbers_.data();
  windows.bias = windows.scale + channels;
  windows.fill = windows.bias + channels;
}

}  // namespace torchcrop_fast
