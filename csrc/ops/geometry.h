// From tensors and checked arguments to the window that a kernel copies.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>
#include <c10/util/DimVector.h>

#include <algorithm>
#include <optional>

#include "../kernels/window.h"

namespace torchcrop_fast {

// Whether pad adds anything: only then is there a border to fill.
template <class Int>
bool pads(c10::ArrayRef<Int> pad) {
  return std::any_of(pad.begin(), pad.end(), [](const Int& entry) { return entry > 0; });
}

// An uninitialised CPU tensor of these sizes, for what pad makes of input: its strides are those that torch's pad
// gives.
at::Tensor empty_padded(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes);

// The window that writes pad(input, pad, value) to out. out is a tensor that check_out and
// check_out_memory accept, of the padded sizes. Throws where value doesn't fit.
Window pad_window(
    const at::Tensor& input, at::IntArrayRef pad, const std::optional<at::Scalar>& value, const at::Tensor& out);

}  // namespace torchcrop_fast
