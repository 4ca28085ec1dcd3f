// How results lie in memory: torch's rules for its pad, and the memory format of the input for all others.
#include "layout.h"

#include <ATen/ExpandUtils.h>
#include <c10/core/MemoryFormat.h>

#include <numeric>

namespace torchcrop_fast {
namespace {

// Whether elements of these sizes and strides lie contiguous, in any order, and once each in memory: torch's rule for
// when clone() keeps strides, which ignores the strides of dimensions of size 1 and takes any strides where there is no
// element.
bool is_dense(at::IntArrayRef sizes, at::IntArrayRef strides) {
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) {
    return true;
  }
  c10::DimVector order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  if (!std::is_sorted(strides.rbegin(), strides.rend())) {
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return strides[a] > strides[b]; });
  }
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    const int64_t d = order[i];
    if (sizes[d] > 1 && strides[d] != expected) {
      return false;
    }
    expected *= sizes[d];
  }
  return true;
}

// Whether its strides are those of a new contiguous tensor, for dimensions of one element, too.
bool has_usual_strides(const at::Tensor& tensor) {
  const at::IntArrayRef sizes = tensor.sizes(), strides = tensor.strides();
  int64_t expected = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    if (strides[d] != expected) {
      return false;
    }
    expected *= std::max<int64_t>(sizes[d], 1);
  }
  return true;
}

int64_t at_least_1(int64_t size) { return std::max<int64_t>(size, 1); }
c10::SymInt at_least_1(const c10::SymInt& size) { return size.max(1); }

// Of a dense tensor in this format, as torch gives them.
template <class Int>
Strides<Int> dense_strides(c10::ArrayRef<Int> sizes, at::MemoryFormat format) {
  if (format == at::MemoryFormat::ChannelsLast || format == at::MemoryFormat::ChannelsLast3d) {
    const auto strides = format == at::MemoryFormat::ChannelsLast ? c10::get_channels_last_strides_2d(sizes)
                                                                  : c10::get_channels_last_strides_3d(sizes);
    return {strides.begin(), strides.end()};
  }
  Strides<Int> strides;
  for (size_t d = 0; d < sizes.size(); ++d) {
    strides.push_back(Int(1));
  }
  for (size_t d = sizes.size(); d-- > 1;) {
    strides[d - 1] = strides[d] * at_least_1(sizes[d]);
  }
  return strides;
}

// Of N * K images, whose sizes are (N, K, ...).
template <class Int>
Strides<Int> strides_of_several(c10::ArrayRef<Int> sizes, at::MemoryFormat format) {
  c10::SmallVector<Int, 5> together{sizes[0] * sizes[1]};
  together.append(sizes.begin() + 2, sizes.end());
  const auto of_images = dense_strides<Int>(together, format);
  Strides<Int> strides{of_images[0] * at_least_1(sizes[1])};
  strides.append(of_images.begin(), of_images.end());
  return strides;
}

// The memory format of what pad makes of input with a border that repeats elements.
template <class Int>
at::MemoryFormat repeated_format(const at::Tensor& input, const Pad<Int>& op, Border border) {
  // torch's pad wraps into a contiguous tensor, and takes one to three dimensions behind a channel and maybe a batch.
  const size_t entries = op.pad.size(), dims = input.dim();
  const bool torch_takes =
      (entries == 2 || entries == 4 || entries == 6) && (dims == entries / 2 + 1 || dims == entries / 2 + 2);
  return border == Border::kCircular && torch_takes ? at::MemoryFormat::Contiguous : input.suggest_memory_format();
}

}  // namespace

template <class Int>
Strides<Int> strides_of(const at::Tensor& input, const Pad<Int>& op, const Checked<Int>& checked) {
  if (checked.border != Border::kConstant) {
    return dense_strides<Int>(checked.sizes, repeated_format(input, op, checked.border));
  }
  if constexpr (std::is_same_v<Int, int64_t>) {
    // torch's pad fills a new tensor in the input's memory format where it adds anything, and else clones a view.
    if (any_positive(op.pad)) {
      return dense_strides<Int>(checked.sizes, input.suggest_memory_format());
    }
    const auto strides = input.strides();
    if (is_dense(checked.sizes, strides)) {
      return {strides.begin(), strides.end()};
    }
    if (has_usual_strides(input)) {  // the same in less time
      return dense_strides<Int>(checked.sizes, at::MemoryFormat::Contiguous);
    }
    const auto inferred = at::infer_dense_strides(checked.sizes, strides);
    return {inferred.begin(), inferred.end()};
  } else {
    TORCH_INTERNAL_ASSERT(false, "Of symbolic sizes torch's pad knows the strides");
  }
}

template <class Int>
Strides<Int> strides_of(const at::Tensor& grad, const PadAdjoint<Int>&, const Checked<Int>& checked) {
  return dense_strides<Int>(checked.sizes, grad.suggest_memory_format());
}

template <class Int>
Strides<Int> strides_of(const at::Tensor& input, const CropAt<Int>& op, const Checked<Int>& checked) {
  const auto format = input.suggest_memory_format();
  return op.offsets.dim() == 3 ? strides_of_several<Int>(checked.sizes, format)
                               : dense_strides<Int>(checked.sizes, format);
}

template <class Int>
Strides<Int> strides_of(const at::Tensor& grad, const CropAtAdjoint<Int>& op, const Checked<Int>& checked) {
  const bool several = op.offsets.dim() == 3;
  const bool any = !several || sizes_of<Int>(grad)[1] > 0;
  const at::Tensor images = several && any ? grad.select(1, 0) : grad;
  return dense_strides<Int>(checked.sizes, any ? images.suggest_memory_format() : at::MemoryFormat::Contiguous);
}

template <class Int>
Strides<Int> strides_of(const at::Tensor&, const CropMirrorNormalize<Int>& op, const Checked<Int>& checked) {
  return checked.sizes.size() == 5 ? strides_of_several<Int>(checked.sizes, op.out_format())
                                   : dense_strides<Int>(checked.sizes, op.out_format());
}

#define INSTANTIATE(Op)                                                                                 \
  template Strides<int64_t> strides_of(const at::Tensor&, const Op<int64_t>&, const Checked<int64_t>&); \
  template Strides<c10::SymInt> strides_of(const at::Tensor&, const Op<c10::SymInt>&, const Checked<c10::SymInt>&);
TORCHCROP_FAST_FOR_EACH_OP(INSTANTIATE)

}  // namespace torchcrop_fast
