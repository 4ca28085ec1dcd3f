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

// What a pixel of this dtype is divided by before it is normalized.
double unit_of(at::ScalarType dtype);

// What normalizes a pixel x of this dtype: x * scale + bias.
struct Affine {
  float scale;
  float bias;
};
Affine affine_of(at::ScalarType dtype, double mean, double std);

// Whether torch's own pad repeats elements of this dtype at a border, on every device.
bool torch_repeats(at::ScalarType dtype);

// The bytes that a storage must have for all the tensor's elements.
size_t bytes_reached(const at::Tensor& tensor);

// The tensor's storage holds all its elements: a freed one, of 0 bytes, holds none. argument() is its name.
template <class Argument>
void check_storage(const char* op, const Argument& argument, const at::Tensor& tensor) {
  const size_t wanted = bytes_reached(tensor), found = tensor.storage().nbytes();
  TORCH_CHECK(
      wanted <= found, op, ": ", argument(), " must have a storage of at least ", wanted, " bytes, got one of ", found);
}

// out is of the result's dtype, and on its device.
void check_out_type(const char* op, at::ScalarType dtype, at::Device device, const at::Tensor& out);

// dtype is one that gradients can be added up in.
void check_adds_up(const char* op, at::ScalarType dtype);

}  // namespace torchcrop_fast
