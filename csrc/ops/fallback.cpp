// Every backend without kernels of ours: our checks, then ATen's ops. And the adjoint that every backend has in them.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <functional>
#include <iterator>
#include <numeric>

#include "direct.h"
#include "geometry.h"
#include "layout.h"

namespace torchcrop_fast {
namespace {

// The result's tensor, uninitialized.
template <class Op>
at::Tensor empty_result(const at::Tensor& input, const Op& op, const Checked<int64_t>& checked) {
  return at::empty_strided(checked.sizes, strides_of(input, op, checked), input.options().dtype(dtype_of(input, op)));
}

// The offsets (N, 2) of the center of N images: in ops that a graph can hold, and that need no copy to a device.
at::Tensor center_offsets(int64_t images, at::IntArrayRef image_size, at::IntArrayRef size, const at::Device& device) {
  std::vector<at::Tensor> starts;
  for (const size_t d : {0, 1}) {
    const int64_t start = center_start(image_size[d], size[d]);
    starts.push_back(at::full({images}, start, at::TensorOptions(device).dtype(at::kLong)));
  }
  return at::stack(starts, 1);
}

// A number for each channel, (C, 1, 1), in float32: in such ops, too. Of the kind of `like`, since a DTensor takes no
// plain tensor beside it.
at::Tensor one_a_channel(at::ArrayRef<double> numbers, const at::Tensor& like) {
  std::vector<at::Tensor> channels;
  for (const double number : numbers) {
    channels.push_back(like.new_full({1, 1, 1}, number, at::kFloat));
  }
  return channels.empty() ? like.new_full({0, 1, 1}, 0, at::kFloat) : at::cat(channels);
}

// Where a border that repeats elements shows indexes of any value: in [0, size).
at::Tensor repeated(Border border, const at::Tensor& index, int64_t size) {
  const int64_t period = border_period(border, size);
  if (period == 0) {
    return index.clamp(0, size - 1);
  }
  const at::Tensor at = index.remainder(period);
  return at::where(at.lt(size), at, (border == Border::kReflect ? period : period - 1) - at);
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
  return entries >= 2 && entries <= 6 && (dims == 1 || dims == 2) && input.numel() > 0 &&
         c10::multiply_integers(sizes) > 0 && (torch_repeats(input.scalar_type()) || border == Border::kCircular);
}

at::Tensor fall_back(const at::Tensor& input, const Pad<int64_t>& op) {
  const auto checked = check(input, op);
  if (checked.border == Border::kConstant) {
    return at::constant_pad_nd(input, op.pad, op.value.value_or(0));
  }
  const auto strides = strides_of(input, op, checked);
  at::Tensor padded = input;
  if (aten_repeats(input, op.pad, checked.sizes, checked.border)) {
    padded = at::pad(input, op.pad, op.mode);
  } else if (!op.pad.empty()) {
    padded = at::index(input, padded_indexes(input.sizes(), op.pad, checked.border, input.device()));
  }
  const bool is_result = padded.strides() == at::IntArrayRef(strides) && !padded.is_same(input);
  return is_result ? padded : empty_result(input, op, checked).copy_(padded);
}

at::Tensor fall_back(const at::Tensor& grad, const PadAdjoint<int64_t>& op) {
  const auto checked = check(grad, op);
  const at::Tensor out = empty_result(grad, op, checked).zero_();
  if (checked.border == Border::kConstant) {
    std::vector<int64_t> back;
    std::transform(op.pad.begin(), op.pad.end(), std::back_inserter(back), std::negate<>());
    return out.copy_(at::constant_pad_nd(grad, back));
  }
  if (grad.numel() == 0 || op.pad.empty()) {
    return grad.numel() == 0 ? out : out.copy_(grad);
  }
  const auto indexes = padded_indexes(checked.sizes, op.pad, checked.border, grad.device());
  return at::index_put(out, indexes, grad, /*accumulate=*/true);
}

// Which elements of their images windows show, for at::index and at::index_put.
struct GatherIndices {
  at::Tensor images;               // (N, K, 1, ...): which image
  std::vector<at::Tensor> places;  // for each spatial dimension its indexes, (N, K, 1, ..., size, ..., 1)
  at::Tensor inside;               // whether they show the image at all, (N, K, size); not defined where all do
};

GatherIndices gather_indices(
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
    std::vector<int64_t> shape(dims + 2, 1);
    std::copy(tensor.sizes().begin(), tensor.sizes().begin() + 2, shape.begin());
    if (tensor.dim() == 3) {
      shape[d + 2] = tensor.size(2);
    }
    return tensor.reshape(shape);
  };
  GatherIndices gather;
  const at::Tensor images = at::arange(starts.size(0), offsets.options());
  gather.images = spread(images.unsqueeze(1), 0);
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
      gather.inside = gather.inside.defined() ? gather.inside.logical_and(inside) : inside;
    }
    gather.places.push_back(spread(repeated(border, index, in_size), d));
  }
  return gather;
}

// What at::index needs for a tensor of `dims` dimensions: none for those between batch and spatial.
c10::List<std::optional<at::Tensor>> indexes(const GatherIndices& gather, int64_t dims) {
  c10::List<std::optional<at::Tensor>> list;
  list.push_back(gather.images);
  for (int64_t d = 1; d < dims - static_cast<int64_t>(gather.places.size()); ++d) {
    list.push_back(std::nullopt);
  }
  for (const at::Tensor& place : gather.places) {
    list.push_back(place);
  }
  return list;
}

// The dimensions after the first two, (N, K), with the first `dims` of them moved to the end. at::index
// puts the indexed ones first: (N, K, size, ...) becomes (N, K, ..., size), or the other way round.
at::Tensor move_to_end(const at::Tensor& tensor, int64_t dims) {
  std::vector<int64_t> order(tensor.dim());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin() + 2, order.begin() + 2 + dims, order.end());
  return tensor.permute(order);
}

at::Tensor fall_back(const at::Tensor& input, const CropAt<int64_t>& op) {
  const auto checked = check(input, op);
  const auto dims = static_cast<int64_t>(op.size.size());
  const at::Tensor result = empty_result(input, op, checked);
  if (input.numel() == 0) {  // nothing to show
    return checked.border == Border::kConstant ? result.fill_(op.fill) : result;
  }
  const auto image_size = last_sizes<int64_t>(input, op.size.size());
  const GatherIndices gather = gather_indices(op.offsets, op.flip, checked.border, image_size, op.size);
  at::Tensor out = move_to_end(at::index(input, indexes(gather, input.dim())), dims);
  if (gather.inside.defined()) {
    at::Tensor inside = gather.inside;
    for (int64_t d = 1; d < input.dim() - dims; ++d) {
      inside = inside.unsqueeze(2);
    }
    out = at::where(inside, out, at::scalar_tensor(op.fill, input.options()));
  }
  return result.copy_(op.offsets.dim() == 3 ? out : out.squeeze(1));
}

at::Tensor fall_back(const at::Tensor& grad, const CropAtAdjoint<int64_t>& op) {
  const auto checked = check(grad, op);
  const auto dims = static_cast<int64_t>(op.size.size());
  const at::Tensor out = empty_result(grad, op, checked).zero_();
  if (out.numel() == 0 || grad.numel() == 0) {
    return out;
  }
  const auto window_size = last_sizes<int64_t>(grad, op.size.size());
  const GatherIndices gather = gather_indices(op.offsets, op.flip, checked.border, op.size, window_size);
  at::Tensor values = op.offsets.dim() == 3 ? grad : grad.unsqueeze(1);
  values = move_to_end(values, values.dim() - 2 - dims);
  if (gather.inside.defined()) {
    at::Tensor inside = gather.inside;
    while (inside.dim() < values.dim()) {
      inside = inside.unsqueeze(-1);
    }
    values = at::where(inside, values, at::zeros({}, grad.options()));
  }
  return at::index_put(out, indexes(gather, out.dim()), values, /*accumulate=*/true);
}

at::Tensor fall_back(const at::Tensor& input, const CropMirrorNormalize<int64_t>& op) {
  const auto checked = check(input, op);
  const at::Device device = input.device();
  const at::Tensor images = channels_first(input, op.layout);
  const at::Tensor offsets =
      op.offsets ? *op.offsets : center_offsets(images.size(0), images.sizes().slice(2), op.size, device);
  const auto cropped = [&](const at::Tensor& tensor, const at::Scalar& fill) {
    return run(tensor, CropAt<int64_t>{offsets, op.size, op.flip, op.padding_mode, fill});
  };
  const double unit = unit_of(input.scalar_type());
  const auto normalized = [&](const at::Tensor& pixels) {
    return (pixels.to(at::kFloat) / unit - one_a_channel(op.mean, input)) / one_a_channel(op.std, input);
  };
  at::Tensor out = normalized(cropped(images, 0));
  if (checked.border == Border::kConstant) {
    const at::Tensor all = at::ones_like(images.slice(1, 0, 1), images.options().dtype(at::kBool));
    out = at::where(cropped(all, false), out, normalized(one_a_channel(op.fill, input)));
  }
  return empty_result(input, op, checked).copy_(out);
}

// What windows show, divided by std, adds up where they show it.
at::Tensor compose(const at::Tensor& grad, const CropMirrorNormalizeAdjoint<c10::SymInt>& op) {
  TORCH_CHECK(
      op.size.size() == 2 && (grad.dim() == 5 || grad.dim() == 4), op.kName,
      ": size must have 2 entries and grad 4 or 5 dims, got ", op.size.size(), " and ", grad.dim());
  const at::Tensor offsets =
      op.offsets ? *op.offsets
                 : center_offsets(grad.size(0), as_ints(op.size), {grad.size(2), grad.size(3)}, grad.device());
  const at::Tensor scaled = grad.to(at::kFloat) / one_a_channel(op.std, grad);
  const at::Tensor sum = run(scaled, CropAtAdjoint<c10::SymInt>{offsets, op.size, op.flip, op.padding_mode});
  return (op.layout == "HWC" ? sum.permute({0, 2, 3, 1}) : sum).to(op.dtype.value_or(at::kFloat));
}

template <template <class> class Op>
at::Tensor fall_back_kernel(const at::Tensor& input, const Op<c10::SymInt>& op) {
  return with_ints(op, [&](const auto& ints) { return fall_back(input, ints); });
}

template <template <class> class Op>
void register_fallback(torch::Library& m) {
  using Symbolic = Op<c10::SymInt>;
  m.impl(Symbolic::kSchema, Registered<Symbolic>::template kernel<fall_back_kernel<Op>>);
}

void register_composition(torch::Library& m) {
  using Symbolic = CropMirrorNormalizeAdjoint<c10::SymInt>;
  m.impl(Symbolic::kSchema, Registered<Symbolic>::kernel<compose>);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CompositeExplicitAutograd, m) {
  using namespace torchcrop_fast;
#define REGISTER(Op) register_fallback<Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP(REGISTER)
}
TORCH_LIBRARY_IMPL(torchcrop_fast, CompositeImplicitAutograd, m) { torchcrop_fast::register_composition(m); }
TORCH_LIBRARY_IMPL(torchcrop_fast, FuncTorchBatched, m) { torchcrop_fast::register_composition(m); }
