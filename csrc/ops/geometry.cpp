// From tensors and checked arguments to the window that a kernel copies.
#include "geometry.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ExpandUtils.h>
#include <c10/util/irange.h>

#include <algorithm>
#include <numeric>

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

}  // namespace

at::Tensor empty_padded(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes) {
  // torch's pad fills a new tensor in the input's memory format where it adds anything, and else clones a view.
  const auto dtype = input.scalar_type();
  if (std::any_of(pad.begin(), pad.end(), [](int64_t entry) { return entry > 0; })) {
    return at::detail::empty_cpu(sizes, dtype, /*pin_memory=*/false, input.suggest_memory_format());
  }
  if (dense(sizes, input.strides())) {
    return at::detail::empty_strided_cpu(sizes, input.strides(), dtype);
  }
  return at::detail::empty_strided_cpu(sizes, at::infer_dense_strides(sizes, input.strides()), dtype);
}

Window pad_window(
    const at::Tensor& input, at::IntArrayRef pad, const std::array<unsigned char, 16>& fill, const at::Tensor& out) {
  Window window;
  window.in = static_cast<const char*>(input.const_data_ptr());
  window.out = static_cast<char*>(out.mutable_data_ptr());
  window.element_size = static_cast<int>(input.element_size());
  window.dims = 0;
  std::copy(fill.begin(), fill.end(), window.fill);
  if (out.numel() == 0) {
    return window;
  }
  // The output is written in the order of its memory.
  c10::DimVector order(out.dim());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return out.stride(a) > out.stride(b); });
  for (const int64_t d : order) {
    const auto entry = static_cast<size_t>(2 * (out.dim() - 1 - d));
    const int64_t start = entry < pad.size() ? -pad[entry] : 0;
    append_dim(window, {out.size(d), start, input.size(d), input.stride(d), out.stride(d)});
  }
  return window;
}

}  // namespace torchcrop_fast
