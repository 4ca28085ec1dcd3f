// Functionalize: graphs have no writes, so an op that writes to out becomes the op that doesn't, and a copy. torch
// would do the like by itself, but for ops with an argument called mode it fails.
#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/copy.h>
#include <torch/library.h>
#include <torchcrop_fast/ops.h>

#include "check.h"

namespace torchcrop_fast {
namespace {

namespace functionalization = at::functionalization::impl;

// The tensor that a functional wrapper stands for, up to date.
at::Tensor unwrap(const at::Tensor& tensor) {
  if (!functionalization::isFunctionalTensor(tensor)) {
    return tensor;
  }
  functionalization::sync(tensor);
  return functionalization::from_functional_tensor(tensor);
}

void pad_out_functionalize(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  TORCH_CHECK(
      functionalization::isFunctionalTensor(out),
      "pad: out must be an argument of what is functionalized, or be made in it");
  check_out("pad", input, out);
  const at::Tensor old = unwrap(out);
  at::Tensor written;
  {
    const at::AutoDispatchSkipFunctionalize guard;
    const at::Tensor padded = torchcrop_fast::pad_symint(unwrap(input), pad, mode, value);
    TORCH_CHECK(
        padded.sym_sizes() == old.sym_sizes(), "pad: out must have sizes ", padded.sym_sizes(),
        " where it cannot be resized, as in a graph, got ", old.sym_sizes());
    written = at::copy(old, padded);
  }
  functionalization::replace_(out, written);
  functionalization::commit_update(out);
  functionalization::sync(out);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Functionalize, m) { m.impl("pad.out", torchcrop_fast::pad_out_functionalize); }
