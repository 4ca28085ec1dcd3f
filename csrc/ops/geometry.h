// From tensors and checked arguments to the window that a kernel copies.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/DimVector.h>

#include <array>

#include "../kernels/window.h"

namespace torchcrop_fast {

// An uninitialised CPU tensor of these sizes, for what pad makes of input: its strides are those that torch's pad
// gives.
at::Tensor empty_padded(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes);

// The window that writes pad(input, pad) to out, its border filled with an element of these bytes. out is a tensor that
// check_out and check_out_memory accept, of the padded sizes.
Window pad_window(
    const at::Tensor& input, at::IntArrayRef pad, const std::array<unsigned char, 16>& fill, const at::Tensor& out);

}  // namespace torchcrop_fast
