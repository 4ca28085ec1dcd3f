// Meta: shapes, strides and errors without data, symbolic sizes included.
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty_strided.h>
#include <torch/library.h>

#include "layout.h"

namespace torchcrop_fast {
namespace {

template <class Op>
at::Tensor make_meta(const at::Tensor& input, const Op& op) {
  const auto checked = check(input, op);
  if constexpr (std::is_same_v<Op, Pad<c10::SymInt>>) {
    if (checked.border == Border::kConstant) {  // ATen knows the strides
      return at::constant_pad_nd_symint(input, op.pad, op.value.value_or(0));
    }
  }
  const auto strides = strides_of(input, op, checked);
  return at::empty_strided_symint(checked.sizes, strides, input.options().dtype(dtype_of(input, op)));
}

template <template <class> class Op>
void register_meta(torch::Library& m) {
  using Symbolic = Op<c10::SymInt>;
  m.impl(Symbolic::kSchema, Registered<Symbolic>::template kernel<make_meta<Symbolic>>);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Meta, m) {
  using namespace torchcrop_fast;
#define REGISTER(Op) register_meta<Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP(REGISTER)
}
