// FuncTorchBatched: vmap. A batch dimension put first is one more dimension that pad leaves alone.
#include <ATen/functorch/BatchedTensorImpl.h>
#include <torch/library.h>
#include <torchcrop_fast/ops.h>

#include "check.h"

namespace torchcrop_fast {
namespace {

at::Tensor pad_vmap(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  check_pad<c10::SymInt>(
      input.sym_sizes(), pad, mode, input.element_size());  // here, where the batch dimension doesn't count
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  const auto* batched = at::functorch::maybeGetBatchedImpl(input);
  const at::Tensor out = torchcrop_fast::pad_symint(batched->value().movedim(batched->bdim(), 0), pad, mode, value);
  return at::functorch::makeBatched(out, 0, batched->level());
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, FuncTorchBatched, m) { m.impl("pad", torchcrop_fast::pad_vmap); }
