// Checks of the ops' arguments, the same for every device. Each throws c10::Error with a text that opens with the op's
// name and says which argument must be what, and what it is. (A dtype that torch cannot fill raises torch's own.)
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>
#include <c10/core/SymInt.h>
#include <c10/util/SmallVector.h>

#include <array>
#include <optional>
#include <string_view>

namespace torchcrop_fast {

// mode is one that pad has; pad fits a tensor of these sizes, and the result's sizes and bytes fit int64.
// Returns the result's sizes. Int is int64_t or c10::SymInt.
template <class Int>
c10::SmallVector<Int, 5> check_pad(
    c10::ArrayRef<Int> sizes, c10::ArrayRef<Int> pad, std::string_view mode, size_t element_size);

// The bytes of one fill element: of value, or zeros where there is none. Where pad adds anything, dtype can hold value.
// Int is int64_t or c10::SymInt.
template <class Int>
std::array<unsigned char, 16> check_fill(
    c10::ArrayRef<Int> pad, const std::optional<at::Scalar>& value, at::ScalarType dtype);

// out can hold what pad makes of input, its shape excepted.
void check_out(const at::Tensor& input, const at::Tensor& out);

// No two elements of out share memory, nor does out with input. Exact, however the two are strided, but for strides so
// odd that a million steps don't decide it: these are refused. Meta tensors
// and the like have no memory to share.
void check_out_memory(const at::Tensor& input, const at::Tensor& out);

}  // namespace torchcrop_fast
