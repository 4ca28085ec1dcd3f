// From tensors and checked arguments to the window that a kernel copies.
#include "geometry.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ExpandUtils.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/util/irange.h>

#include <algorithm>
#include <numeric>

#include "output_cache.h"

namespace torchcrop_fast {
namespace {

// Whether elements of these sizes and strides lie gapless and once each in memory: torch's rule for when clone() keeps
// strides, which ignores the strides of dimensions of size 1 and takes any strides where there is no element.
bool dense(at::IntArrayRef sizes, at::IntArrayRef strides) {
  c10::DimVector order;
  for (const auto d : c10::irange(sizes.size())) {
    if (sizes[d] == 0) {
      return true;
    }
    if (sizes[d] > 1) {
      order.push_back(static_cast<int64_t>(d));
    }
  }
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return strides[a] < strides[b]; });
  int64_t expected = 1;
  for (const int64_t d : order) {
    if (strides[d] != expected) {
      return false;
    }
    expected *= sizes[d];
  }
  return true;
}

bool adds(at::IntArrayRef pad) {
  return std::any_of(pad.begin(), pad.end(), [](int64_t entry) { return entry > 0; });
}

// One dimension of a pad: a window of this start on the elements [first, first + size) of the input.
struct Padded {
  int64_t first;
  int64_t size;
  int64_t start;
};

// The pad of a dimension, so many of the last dimensions left out of account.
Padded padded_dim(const at::Tensor& input, at::IntArrayRef pad, Border border, int64_t d, int64_t tail) {
  const int64_t in_size = input.size(d);
  const auto entry = static_cast<size_t>(2 * (input.dim() - tail - 1 - d));
  if (d >= input.dim() - tail || entry >= pad.size()) {
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

at::Tensor empty_cpu(at::IntArrayRef sizes, at::ScalarType dtype, std::optional<at::MemoryFormat> format) {
  constexpr c10::DispatchKeySet keys(c10::DispatchKey::CPU);
  return at::detail::empty_generic(sizes, output_allocator(), keys, dtype, format);
}

}  // namespace

at::MemoryFormat padded_format(const at::Tensor& input, size_t entries, Border border) {
  // torch's pad wraps into a contiguous tensor, and takes one to three dimensions behind a channel and maybe a batch.
  const auto dims = static_cast<size_t>(input.dim());
  const bool torch_takes =
      (entries == 2 || entries == 4 || entries == 6) && (dims == entries / 2 + 1 || dims == entries / 2 + 2);
  return border == Border::kCircular && torch_takes ? at::MemoryFormat::Contiguous : input.suggest_memory_format();
}

at::Tensor empty_padded(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes, Border border) {
  const auto in_format = [&](std::optional<at::MemoryFormat> format) {
    return input.is_cpu() ? empty_cpu(sizes, input.scalar_type(), format) : at::empty(sizes, input.options(), format);
  };
  const auto by_strides = [&](at::IntArrayRef strides) {
    constexpr c10::DispatchKeySet keys(c10::DispatchKey::CPU);
    return input.is_cpu()
               ? at::detail::empty_strided_generic(sizes, strides, output_allocator(), keys, input.scalar_type())
               : at::empty_strided(sizes, strides, input.options());
  };
  if (border != Border::kConstant) {
    return in_format(padded_format(input, pad.size(), border));
  }
  // torch's pad fills a new tensor in the input's memory format where it adds anything, and else clones a view.
  if (adds(pad)) {
    return in_format(input.suggest_memory_format());
  }
  const auto strides = input.strides();
  if (dense(sizes, strides)) {
    return by_strides(strides);
  }
  if (input.is_contiguous() && std::is_sorted(strides.rbegin(), strides.rend())) {  // the same in less time
    return in_format(std::nullopt);
  }
  return by_strides(at::infer_dense_strides(sizes, strides));
}

namespace {

// (N, K, ...) in the format of N * K images.
at::Tensor empty_several(at::IntArrayRef sizes, at::ScalarType dtype, at::MemoryFormat format) {
  c10::DimVector together(sizes.begin() + 1, sizes.end());
  together[0] *= sizes[0];
  const auto out = empty_cpu(together, dtype, format);
  c10::DimVector strides{out.stride(0) * std::max<int64_t>(sizes[1], 1)};
  strides.append(out.strides().begin(), out.strides().end());
  out.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return out;
}

}  // namespace

at::Tensor empty_windows(const at::Tensor& images, at::IntArrayRef sizes, bool several) {
  const auto format = images.suggest_memory_format();
  return several ? empty_several(sizes, images.scalar_type(), format) : empty_cpu(sizes, images.scalar_type(), format);
}

at::Tensor empty_in_format(at::IntArrayRef sizes, at::ScalarType dtype, at::MemoryFormat format) {
  return sizes.size() == 5 ? empty_several(sizes, dtype, format) : empty_cpu(sizes, dtype, format);
}

at::Tensor empty_images(const at::Tensor& windows, at::IntArrayRef sizes, bool several) {
  return empty_cpu(sizes, windows.scalar_type(), images_format(windows, several));
}

at::MemoryFormat images_format(const at::Tensor& windows, bool several) {
  if (!several) {
    return windows.suggest_memory_format();
  }
  return windows.sym_size(1) > 0 ? windows.select(1, 0).suggest_memory_format() : at::MemoryFormat::Contiguous;
}

namespace {

at::Tensor new_several(c10::SymIntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format) {
  c10::SymDimVector together(sizes.begin() + 1, sizes.end());
  together[0] = sizes[0] * sizes[1];
  const auto flat = at::empty_symint(together, options.device(at::kMeta), format);
  c10::SymDimVector strides{flat.sym_stride(0) * sizes[1].max(1)};
  strides.append(flat.sym_strides().begin(), flat.sym_strides().end());
  return at::empty_strided_symint(sizes, strides, options);
}

}  // namespace

at::Tensor new_windows(const at::Tensor& images, c10::SymIntArrayRef sizes, bool several) {
  const auto format = images.suggest_memory_format();
  return several ? new_several(sizes, images.options(), format) : at::empty_symint(sizes, images.options(), format);
}

at::Tensor new_images(const at::Tensor& windows, c10::SymIntArrayRef sizes, bool several) {
  return at::empty_symint(sizes, windows.options(), images_format(windows, several));
}

at::Tensor new_in_format(c10::SymIntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format) {
  return sizes.size() == 5 ? new_several(sizes, options, format) : at::empty_symint(sizes, options, format);
}

int64_t centre_start(int64_t elements, int64_t size) {
  const int64_t surplus = elements - size;
  const int64_t half = surplus / 2;  // of fewer elements less than 0, and the odd element goes to the end
  const int64_t odd = surplus > 0 ? surplus % 2 : 0;
  return half + odd * (half % 2);
}

at::Tensor centre_offsets(const at::Tensor& images, at::IntArrayRef size, at::Device device) {
  std::vector<at::Tensor> starts;
  for (const auto d : c10::irange(2)) {
    const int64_t start = centre_start(images.size(2 + d), size[d]);
    starts.push_back(at::full({images.size(0)}, start, at::TensorOptions(device).dtype(at::kLong)));
  }
  return at::stack(starts, 1);
}

at::Tensor one_a_channel(at::ArrayRef<double> numbers, at::Device device) {
  std::vector<at::Tensor> channels;
  for (const double number : numbers) {
    channels.push_back(at::full({1, 1, 1}, number, at::TensorOptions(device).dtype(at::kFloat)));
  }
  return channels.empty() ? at::full({0, 1, 1}, 0, at::TensorOptions(device).dtype(at::kFloat)) : at::cat(channels);
}

Window pad_window(
    const at::Tensor& input,
    at::IntArrayRef pad,
    Border border,
    const std::array<unsigned char, 16>& fill,
    const at::Tensor& out) {
  Window window;
  window.border = adds(pad) ? border : Border::kConstant;  // a border that nobody sees may be any
  window.in = static_cast<const char*>(input.const_data_ptr());
  window.out = static_cast<char*>(out.mutable_data_ptr());
  window.element_size = static_cast<int>(input.element_size());
  window.dims = 0;
  std::copy(fill.begin(), fill.end(), window.fill);
  if (out.numel() == 0) {
    return window;
  }
  // The output is written in the order of its memory.
  const auto sizes = out.sizes(), strides = out.strides(), in_strides = input.strides();
  const bool in_order = std::is_sorted(strides.rbegin(), strides.rend());
  const auto order = in_order ? c10::DimVector() : outermost_first(strides);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const size_t d = in_order ? i : static_cast<size_t>(order[i]);
    const Padded padded = padded_dim(input, pad, window.border, static_cast<int64_t>(d), /*tail=*/0);
    const int64_t start = near_start(window.border, padded.start, sizes[d], padded.size);
    window.in += padded.first * in_strides[d] * window.element_size;
    append_dim(window, {sizes[d], start, padded.size, in_strides[d], strides[d]});
  }
  return window;
}

Window pad_adjoint_window(
    const at::Tensor& input, at::IntArrayRef pad, Border border, const at::Tensor& out, int64_t tail) {
  Window window;
  window.in = static_cast<const char*>(input.mutable_data_ptr());
  window.out = static_cast<char*>(const_cast<void*>(out.const_data_ptr()));
  window.element_size = static_cast<int>(input.element_size());
  window.border = border;
  window.dims = 0;
  for (const int64_t d : outermost_first(input.strides())) {
    const Padded padded = padded_dim(input, pad, border, d, tail);
    window.in += padded.first * input.stride(d) * window.element_size;
    if (padded.size > 1 || out.size(d) > 1) {  // the others mean nothing, and may be many
      const int64_t start = near_start(border, padded.start, out.size(d), padded.size);
      window.dim[window.dims++] = {out.size(d), start, padded.size, input.stride(d), out.stride(d)};
    }
  }
  if (window.dims == 0) {
    window.dim[window.dims++] = {1, 0, 1, 0, 0};
  }
  return window;
}

}  // namespace torchcrop_fast
