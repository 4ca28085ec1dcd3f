// AutocastCPU: torch's autocast runs some of its pads in float32 on the CPU. So do ours: results have the same dtypes.
#include <torch/library.h>

#include "op.h"

namespace torchcrop_fast {
namespace {

bool runs_in_float32(const at::Tensor& input, const Pad<c10::SymInt>& op) {
  const bool is_low = input.scalar_type() == at::kHalf || input.scalar_type() == at::kBFloat16;
  const size_t most = op.mode == "reflect" ? 4 : op.mode == "replicate" ? 6 : 0;  // as many entries as torch lists
  return is_low && !op.pad.empty() && op.pad.size() <= most;
}

at::Tensor cast(const at::Tensor& input, const Pad<c10::SymInt>& op) {
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::AutocastCPU);
  return call(runs_in_float32(input, op) ? input.to(at::kFloat) : input, op);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, AutocastCPU, m) {
  using namespace torchcrop_fast;
  m.impl(Pad<c10::SymInt>::kSchema, Registered<Pad<c10::SymInt>>::kernel<cast>);
}
