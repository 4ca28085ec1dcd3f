// FuncTorchBatched: vmap. A batch dimension put first is one more dimension that pad leaves alone.
#include <ATen/functorch/BatchedTensorImpl.h>
#include <torch/library.h>
#include <torchcrop_fast/ops.h>

#include <algorithm>
#include <array>

#include "check.h"
#include "handles.h"

namespace torchcrop_fast {
namespace {

at::Tensor pad_vmap(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  // Here, where the batch dimension doesn't count.
  check_pad<c10::SymInt>(input.sym_sizes(), pad, check_mode(mode), input.element_size());
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  const auto* batched = at::functorch::maybeGetBatchedImpl(input);
  const at::Tensor out = torchcrop_fast::pad_symint(batched->value().movedim(batched->bdim(), 0), pad, mode, value);
  return at::functorch::makeBatched(out, 0, batched->level());
}

at::Tensor pad_adjoint_vmap(
    const at::Tensor& grad, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode) {
  check_pad_adjoint<c10::SymInt>(grad, pad, input_size, check_mode(mode));
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  const auto* batched = at::functorch::maybeGetBatchedImpl(grad);
  const at::Tensor grads = batched->value().movedim(batched->bdim(), 0);
  c10::SymDimVector sizes{grads.sym_size(0)};
  sizes.append(input_size.begin(), input_size.end());
  return at::functorch::makeBatched(pad_adjoint_handle().call(grads, pad, sizes, mode), 0, batched->level());
}

// Calls run(tensors) with the batch dimension, of one size for all, put before the first dimension and joined with it:
// a batch of batches of images is a batch of images. Some tensors may have none, or be undefined.
template <class Run>
at::Tensor in_one_batch(std::array<at::Tensor, 3> tensors, const Run& run) {
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  const auto batched_impl = [](const at::Tensor& tensor) {
    return tensor.defined() ? at::functorch::maybeGetBatchedImpl(tensor) : nullptr;
  };
  int64_t level = 0;  // the innermost: those of an outer one have none here
  for (const at::Tensor& tensor : tensors) {
    const auto* batched = batched_impl(tensor);
    level = batched ? std::max(level, batched->level()) : level;
  }
  c10::SymInt batch = 1;
  for (at::Tensor& tensor : tensors) {
    const auto* batched = batched_impl(tensor);
    if (batched && batched->level() == level) {
      tensor = batched->value().movedim(batched->bdim(), 0);
      batch = tensor.sym_size(0);
    } else if (tensor.defined()) {
      tensor = tensor.unsqueeze(0);
    }
  }
  for (at::Tensor& tensor : tensors) {
    if (tensor.defined()) {
      c10::SymDimVector sizes(tensor.sym_sizes().begin(), tensor.sym_sizes().end());
      sizes[0] = batch;
      tensor = tensor.expand_symint(sizes).flatten(0, 1);
    }
  }
  const at::Tensor out = run(tensors[0], tensors[1], tensors[2].defined() ? std::optional(tensors[2]) : std::nullopt);
  return at::functorch::makeBatched(out.unflatten_symint(0, {batch, out.sym_size(0) / batch}), 0, level);
}

at::Tensor crop_at_vmap(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  check_crop_at<c10::SymInt>(input, offsets, size, flip, padding_mode);  // here, where the batch doesn't count
  const auto run = [&](const at::Tensor& inputs, const at::Tensor& places, const std::optional<at::Tensor>& flips) {
    return crop_at_handle().call(inputs, places, size, flips, padding_mode, fill);
  };
  return in_one_batch({input, offsets, flip.value_or(at::Tensor())}, run);
}

at::Tensor crop_at_adjoint_vmap(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  check_crop_at_adjoint<c10::SymInt>(grad, offsets, input_size, flip, padding_mode);
  const auto run = [&](const at::Tensor& grads, const at::Tensor& places, const std::optional<at::Tensor>& flips) {
    c10::SymDimVector sizes(input_size.begin(), input_size.end());
    sizes[0] = grads.sym_size(0);
    return crop_at_adjoint_handle().call(grads, places, sizes, flips, padding_mode);
  };
  return in_one_batch({grad, offsets, flip.value_or(at::Tensor())}, run);
}

at::Tensor crop_mirror_normalize_vmap(
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
  check_crop_mirror_normalize<c10::SymInt>(
      input, {offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill});
  const auto run = [&](const at::Tensor& inputs, const at::Tensor& places, const std::optional<at::Tensor>& flips) {
    return crop_mirror_normalize_handle().call(
        inputs, places.defined() ? std::optional(places) : std::nullopt, size, mean, std, flips, dtype, layout,
        memory_format, padding_mode, fill);
  };
  return in_one_batch({input, offsets.value_or(at::Tensor()), flip.value_or(at::Tensor())}, run);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, FuncTorchBatched, m) {
  m.impl("pad", torchcrop_fast::pad_vmap);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_vmap);
  m.impl("crop_at", torchcrop_fast::crop_at_vmap);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_vmap);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_vmap);
}
