// Every backend without a kernel of its own: our checks, then ATen's ops.
#include <ATen/ATen.h>
#include <ATen/native/Resize.h>
#include <torch/library.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <vector>

#include "check.h"
#include "geometry.h"
#include "handles.h"
#include "kernel_arguments.h"

namespace torchcrop_fast {
namespace {

// Where a border that repeats elements shows indexes of any value: in [0, size).
at::Tensor repeated(Border border, const at::Tensor& index, int64_t size) {
  const int64_t period = border_period(border, size);
  if (period == 0) {
    return index.clamp(0, size - 1);
  }
  const at::Tensor at = index.remainder(period);
  return at::where(at.lt(size), at, (border == Border::kReflect ? period : period - 1) - at);
}

// The border of a pad, after all checks.
Border check(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const Border border = check_mode(mode);
  check_pad<c10::SymInt>(input.sym_sizes(), pad, border, input.element_size());
  check_fill<c10::SymInt>(pad, border, value, input.scalar_type());
  return border;
}

// For at::index and at::index_put: which elements of an input of these sizes a pad shows. Where all, there is none.
c10::List<std::optional<at::Tensor>> padded_indexes(
    at::IntArrayRef sizes, at::IntArrayRef pad, Border border, at::Device device) {
  c10::List<std::optional<at::Tensor>> list;
  list.resize(sizes.size());
  for (size_t i = 0; i < pad.size(); i += 2) {
    const size_t d = sizes.size() - 1 - i / 2;
    const bool wraps = border == Border::kCircular;  // what the crop leaves
    const int64_t first = wraps ? std::max<int64_t>(-pad[i], 0) : 0;
    const int64_t size = sizes[d] - first - (wraps ? std::max<int64_t>(-pad[i + 1], 0) : 0);
    const int64_t padded = sizes[d] + pad[i] + pad[i + 1];
    const int64_t start = size > 0 ? near_start(border, -std::max(pad[i], -INT64_MAX) - first, padded, size) : 0;
    const at::Tensor index = at::arange(start, start + padded, device);
    std::vector<int64_t> shape(i / 2 + 1, 1);  // they broadcast
    shape[0] = index.numel();
    list[d] = (index.numel() > 0 ? repeated(border, index, size) + first : index).reshape(shape);
  }
  return list;
}

// Whether ATen's pad has a kernel for it.
bool aten_repeats(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes, Border border) {
  const auto entries = static_cast<int64_t>(pad.size());
  const int64_t dims = input.dim() - entries / 2;  // in front of those that are padded
  const auto dtype = input.scalar_type();
  const bool has_dtype = dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf || dtype == at::kBFloat16 ||
                         dtype == at::kComplexFloat || dtype == at::kComplexDouble;
  return entries >= 2 && entries <= 6 && (dims == 1 || dims == 2) && input.numel() > 0 &&
         c10::multiply_integers(sizes) > 0 && (has_dtype || border == Border::kCircular);
}

at::Tensor repeat_fallback(const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, Border border) {
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, border, input.element_size());
  const auto format = padded_format(input, pad.size(), border);
  const auto dense = at::empty(sizes, input.options().device(at::kMeta), format);
  at::Tensor padded;
  if (aten_repeats(input, pad, sizes, border)) {
    padded = at::pad(input, pad, mode);
  } else {
    padded = pad.empty() ? input : at::index(input, padded_indexes(input.sizes(), pad, border, input.device()));
  }
  if (padded.strides() == dense.strides() && !padded.is_same(input)) {
    return padded;
  }
  return at::empty(sizes, input.options(), format).copy_(padded);
}

at::Tensor pad_fallback(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const Border border = check(input, pad, mode, value);
  if (border != Border::kConstant) {
    return repeat_fallback(input, C10_AS_INTARRAYREF_SLOW(pad), mode, border);
  }
  return at::constant_pad_nd_symint(input, pad, value.value_or(0));
}

void pad_out_fallback(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const Border border = check(input, pad, mode, value);
  check_out("pad", input, out);
  check_out_memory("pad", input, out);
  if (border == Border::kConstant) {
    at::constant_pad_nd_symint_out(out, input, pad, value.value_or(0));
    return;
  }
  const at::Tensor padded = repeat_fallback(input, C10_AS_INTARRAYREF_SLOW(pad), mode, border);
  at::native::resize_output(out, padded.sizes());
  out.copy_(padded);
}

at::Tensor pad_adjoint_fallback(
    const at::Tensor& grad, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode) {
  const Border border = check_mode(mode);
  check_pad_adjoint<c10::SymInt>(grad, pad, input_size, border);
  const auto entries = C10_AS_INTARRAYREF_SLOW(pad);
  const auto sizes = C10_AS_INTARRAYREF_SLOW(input_size);
  const at::Tensor out = new_images(grad, input_size, /*several=*/false).zero_();
  if (border == Border::kConstant) {
    std::vector<int64_t> back;
    std::transform(entries.begin(), entries.end(), std::back_inserter(back), std::negate<>());
    return out.copy_(at::constant_pad_nd(grad, back));
  }
  if (grad.numel() == 0 || entries.empty()) {
    return grad.numel() == 0 ? out : out.copy_(grad);
  }
  return at::index_put(out, padded_indexes(sizes, entries, border, grad.device()), grad, /*accumulate=*/true);
}

// Which elements of their images windows see, for at::index and at::index_put.
struct Seen {
  at::Tensor images;               // (N, K, 1, ...): which image
  std::vector<at::Tensor> places;  // for each spatial dimension its indexes, (N, K, 1, ..., size, ..., 1)
  at::Tensor inside;               // whether they see the image at all, (N, K, size); not defined where all do
};

Seen look(
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    Border border,
    at::IntArrayRef image_size,
    at::IntArrayRef size) {
  const auto dims = static_cast<int64_t>(size.size());
  const at::Tensor starts = offsets.dim() == 3 ? offsets : offsets.unsqueeze(1);
  at::Tensor flips;
  if (flip && flip->dim() == offsets.dim()) {
    flips = offsets.dim() == 3 ? *flip : flip->unsqueeze(1);
  } else if (flip) {
    flips = (offsets.dim() == 3 ? *flip : flip->unsqueeze(1)).unsqueeze(-1);
  }
  const auto spread = [&](const at::Tensor& tensor, int64_t d) {  // (N, K, ...) to (N, K, 1, ..., ..., 1)
    c10::DimVector shape(dims + 2, 1);
    std::copy(tensor.sizes().begin(), tensor.sizes().begin() + 2, shape.begin());
    if (tensor.dim() == 3) {
      shape[d + 2] = tensor.size(2);
    }
    return tensor.reshape(shape);
  };
  Seen seen;
  const at::Tensor images = at::arange(starts.size(0), offsets.options());
  seen.images = spread(images.unsqueeze(1), 0);
  for (int64_t d = 0; d < dims; ++d) {
    const int64_t in_size = image_size[d];
    const int64_t period = border_period(border, in_size);
    at::Tensor start = starts.select(-1, d).unsqueeze(-1);
    start = period > 0 ? start.fmod(period) : start.clamp(-size[d], in_size);
    at::Tensor place = at::arange(size[d], offsets.options());
    if (flips.defined() && (flips.size(-1) == dims ? true : d == dims - 1)) {
      const at::Tensor mirrored = flips.select(-1, flips.size(-1) == dims ? d : 0).unsqueeze(-1);
      place = at::where(mirrored, size[d] - 1 - place, place);
    }
    at::Tensor index = start + place;
    if (border == Border::kConstant) {
      const at::Tensor inside = spread(index.ge(0).logical_and(index.lt(in_size)), d);
      seen.inside = seen.inside.defined() ? seen.inside.logical_and(inside) : inside;
    }
    seen.places.push_back(spread(repeated(border, index, in_size), d));
  }
  return seen;
}

// What at::index needs for a tensor of so many dimensions: none for those between batch and spatial.
c10::List<std::optional<at::Tensor>> indexes(const Seen& seen, int64_t dims) {
  c10::List<std::optional<at::Tensor>> list;
  list.push_back(seen.images);
  for (int64_t d = 1; d < dims - static_cast<int64_t>(seen.places.size()); ++d) {
    list.push_back(std::nullopt);
  }
  for (const at::Tensor& place : seen.places) {
    list.push_back(place);
  }
  return list;
}

// The dimensions after the first two, (N, K), with so many of them moved from the front of them to the end. at::index
// puts the indexed ones first: (N, K, size, ...) becomes (N, K, ..., size), or the other way round.
at::Tensor move_to_end(const at::Tensor& tensor, int64_t dims) {
  std::vector<int64_t> order(tensor.dim());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin() + 2, order.begin() + 2 + dims, order.end());
  return tensor.permute(order);
}

at::Tensor crop_at_fallback(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  const auto windows = C10_AS_INTARRAYREF_SLOW(size);
  const auto sizes = check_crop_at<int64_t>(input, offsets, windows, flip, padding_mode);
  check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  const auto dims = static_cast<int64_t>(windows.size());
  const bool several = offsets.dim() == 3;
  const auto image_size = input.sizes().slice(input.dim() - dims);
  const at::Tensor result = new_windows(input, c10::fromIntArrayRefSlow(sizes), several);
  const Border border = check_border("crop_at", padding_mode);
  if (input.numel() == 0) {  // nothing to look at
    return border == Border::kConstant ? result.fill_(fill) : result;
  }
  const Seen seen = look(offsets, flip, border, image_size, windows);
  at::Tensor out = move_to_end(at::index(input, indexes(seen, input.dim())), dims);
  if (seen.inside.defined()) {
    at::Tensor inside = seen.inside;
    for (int64_t d = 1; d < input.dim() - dims; ++d) {
      inside = inside.unsqueeze(2);
    }
    out = at::where(inside, out, at::scalar_tensor(fill, input.options()));
  }
  return result.copy_(several ? out : out.squeeze(1));
}

void crop_at_out_fallback(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  check_crop_at_out(input, offsets, flip, out);
  const at::Tensor cropped = crop_at_fallback(input, offsets, size, flip, padding_mode, fill);
  at::native::resize_output(out, cropped.sizes());
  out.copy_(cropped);
}

at::Tensor crop_at_adjoint_fallback(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const auto sizes = C10_AS_INTARRAYREF_SLOW(input_size);
  const auto windows = check_crop_at_adjoint<int64_t>(grad, offsets, sizes, flip, padding_mode);
  const auto dims = static_cast<int64_t>(windows.size());
  const bool several = offsets.dim() == 3;
  const at::Tensor out = new_images(grad, input_size, several).zero_();
  if (out.numel() == 0 || grad.numel() == 0) {
    return out;
  }
  const Border border = check_border("crop_at", padding_mode);
  const Seen seen = look(offsets, flip, border, sizes.slice(sizes.size() - dims), windows);
  at::Tensor values = several ? grad : grad.unsqueeze(1);
  values = move_to_end(values, values.dim() - 2 - dims);
  if (seen.inside.defined()) {
    at::Tensor inside = seen.inside;
    while (inside.dim() < values.dim()) {
      inside = inside.unsqueeze(-1);
    }
    values = at::where(inside, values, at::zeros({}, grad.options()));
  }
  return at::index_put(out, indexes(seen, out.dim()), values, /*accumulate=*/true);
}

at::Tensor crop_mirror_normalize_fallback(
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
  const auto window_size = C10_AS_INTARRAYREF_SLOW(size);
  const NormalizeArguments<int64_t> by{offsets, window_size, mean,          std,          flip,
                                       dtype,   layout,      memory_format, padding_mode, fill};
  const auto sizes = check_crop_mirror_normalize(input, by);
  const at::Tensor images = channels_first(input, layout);
  const at::Tensor places = offsets ? *offsets : centre_offsets(images, window_size, images.device());
  const double unit = input.scalar_type() == at::kByte ? 255 : 1;
  const auto normalized = [&](const at::Tensor& pixels) {
    return (pixels.to(at::kFloat) / unit - one_a_channel(mean, input.device())) / one_a_channel(std, input.device());
  };
  at::Tensor out = normalized(crop_at_handle().call(images, places, size, flip, padding_mode, 0));
  if (padding_mode == "constant") {
    const at::Tensor all = at::ones_like(images.slice(1, 0, 1), images.options().dtype(at::kBool));
    const at::Tensor inside = crop_at_handle().call(all, places, size, flip, padding_mode, false);
    out = at::where(inside, out, normalized(one_a_channel(fill, input.device())));
  }
  return new_in_format(c10::fromIntArrayRefSlow(sizes), input.options().dtype(dtype), memory_format).copy_(out);
}

void crop_mirror_normalize_out_fallback(
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
  const at::Tensor result = crop_mirror_normalize_handle().call(
      input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill);
  at::native::resize_output_symint(out, result.sym_sizes());
  out.copy_(result);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CompositeExplicitAutograd, m) {
  m.impl("pad", torchcrop_fast::pad_fallback);
  m.impl("pad.out", torchcrop_fast::pad_out_fallback);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_fallback);
  m.impl("crop_at", torchcrop_fast::crop_at_fallback);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_fallback);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_fallback);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_fallback);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_fallback);
}
