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

void crop_at_out_inplace(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    crop_at_out_handle().redispatch(
        keys & c10::after_ADInplaceOrView_keyset, input, offsets, size, flip, padding_mode, fill, out);
  }
  torch::autograd::impl::bump_version(out);
}

void crop_mirror_normalize_out_inplace(
    c10::DispatchKeySet keys,
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
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    crop_mirror_normalize_out_handle().redispatch(
        keys & c10::after_ADInplaceOrView_keyset, input, offsets, size, mean, std, flip, dtype, layout, memory_format,
        padding_mode, fill, out);
  }
  torch::autograd::impl::bump_version(out);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, ADInplaceOrView, m) {
  m.impl("pad.out", torchcrop_fast::pad_out_inplace);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_inplace);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_inplace);
}
