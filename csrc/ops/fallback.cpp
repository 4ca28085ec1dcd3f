// Every backend without a kernel of its own: our checks, then ATen's pad. Among them Meta, where ATen's pad yields the
// reference's sizes and strides, symbolic ones included.
#include <ATen/ops/constant_pad_nd.h>
#include <torch/library.h>

#include "check.h"

namespace torchcrop_fast {
namespace {

void check(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  check_pad<c10::SymInt>(input.sym_sizes(), pad, mode, input.element_size());
  check_fill<c10::SymInt>(pad, value, input.scalar_type());
}

at::Tensor pad_fallback(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  check(input, pad, mode, value);
  return at::constant_pad_nd_symint(input, pad, value.value_or(0));
}

void pad_out_fallback(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  check(input, pad, mode, value);
  check_out(input, out);
  check_out_memory(input, out);
  at::constant_pad_nd_symint_out(out, input, pad, value.value_or(0));
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CompositeExplicitAutograd, m) {
  m.impl("pad", torchcrop_fast::pad_fallback);
  m.impl("pad.out", torchcrop_fast::pad_out_fallback);
}
