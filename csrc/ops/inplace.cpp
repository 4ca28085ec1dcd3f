// ADInplaceOrView: an op that writes to out raises its version, so that a backward which needs the old values notices.
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/library.h>

#include "handles.h"

namespace torchcrop_fast {
namespace {

void pad_out_inplace(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    pad_out_handle().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, pad, mode, value, out);
  }
  torch::autograd::impl::bump_version(out);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, ADInplaceOrView, m) { m.impl("pad.out", torchcrop_fast::pad_out_inplace); }
