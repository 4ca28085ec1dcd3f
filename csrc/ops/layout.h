// How results lie in memory: their strides, from sizes and formats alone.
#pragma once

#include "check.h"

namespace torchcrop_fast {

template <class Int>
using Strides = c10::SmallVector<Int, 5>;

// Of what an op makes of input, after its check. Of pads with a constant border, those that torch's pad gives: for ints
// alone.
template <class Int>
Strides<Int> strides_of(const at::Tensor& input, const Pad<Int>& op, const Checked<Int>& checked);
template <class Int>
Strides<Int> strides_of(const at::Tensor& grad, const PadAdjoint<Int>& op, const Checked<Int>& checked);
template <class Int>
Strides<Int> strides_of(const at::Tensor& input, const CropAt<Int>& op, const Checked<Int>& checked);
template <class Int>
Strides<Int> strides_of(const at::Tensor& grad, const CropAtAdjoint<Int>& op, const Checked<Int>& checked);
template <class Int>
Strides<Int> strides_of(const at::Tensor& input, const CropMirrorNormalize<Int>& op, const Checked<Int>& checked);

// The dtype of what an op makes of input.
template <class Op>
at::ScalarType dtype_of(const at::Tensor& input, const Op&) {
  return input.scalar_type();
}
template <class Int>
at::ScalarType dtype_of(const at::Tensor&, const CropMirrorNormalize<Int>& op) {
  return op.out_dtype();
}

}  // namespace torchcrop_fast
