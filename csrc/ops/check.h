// Checks of the ops' arguments, the same for every device. Each throws c10::Error with a text that opens with the op's
// name and says which argument must be what, and what it is. (A dtype that torch cannot fill raises torch's own.)
#pragma once

#include <array>
#include <optional>

#include "../kernels/border.h"
#include "op.h"

namespace torchcrop_fast {

// What checks learn of a call.
template <class Int>
struct Checked {
  c10::SmallVector<Int, 5> sizes;  // of the result
  Border border = Border::kConstant;
  std::array<unsigned char, 16> fill = {};  // the bytes of a constant border's element, over and over
};

// The arguments go together. Int is int64_t or c10::SymInt.
template <class Int>
Checked<Int> check(const at::Tensor& input, const Pad<Int>& op);
template <class Int>
Checked<Int> check(const at::Tensor& grad, const PadAdjoint<Int>& op);
template <class Int>
Checked<Int> check(const at::Tensor& input, const CropAt<Int>& op);
template <class Int>
Checked<Int> check(const at::Tensor& grad, const CropAtAdjoint<Int>& op);
template <class Int>
Checked<Int> check(const at::Tensor& input, const CropMirrorNormalize<Int>& op);

// out is of the result's dtype, and on its device.
void check_out_type(const char* op, at::ScalarType dtype, at::Device device, const at::Tensor& out);

// dtype is one that gradients can be added up in.
void check_adds_up(const char* op, at::ScalarType dtype);

}  // namespace torchcrop_fast
