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

#include "../kernels/border.h"

namespace torchcrop_fast {

// The border that pad calls by this name.
Border check_mode(std::string_view mode);

// pad fits a tensor of these sizes, which have what the border is to repeat, and the result's sizes and bytes fit
// int64. Returns the result's sizes. Int is int64_t or c10::SymInt.
template <class Int>
c10::SmallVector<Int, 5> check_pad(
    c10::ArrayRef<Int> sizes, c10::ArrayRef<Int> pad, Border border, size_t element_size);

// The bytes of one fill element: of value, or zeros where there is none. Where pad adds anything, dtype can hold value;
// a border that repeats elements has none. Int is int64_t or c10::SymInt.
template <class Int>
std::array<unsigned char, 16> check_fill(
    c10::ArrayRef<Int> pad, Border border, const std::optional<at::Scalar>& value, at::ScalarType dtype);

// grad is the gradient of what pad makes of a tensor of input_size. Int is int64_t or c10::SymInt.
template <class Int>
void check_pad_adjoint(const at::Tensor& grad, c10::ArrayRef<Int> pad, c10::ArrayRef<Int> input_size, Border border);

// The border of this name.
Border check_border(const char* op, std::string_view padding_mode);

// offsets and flip place windows of this size on input, and there is something for the border to repeat.
// Returns the sizes of what crop_at makes of them. Int is int64_t or c10::SymInt.
template <class Int>
c10::SmallVector<Int, 5> check_crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::ArrayRef<Int> size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode);

// The same for the gradient of what crop_at made of an input of input_size: returns the size of the windows.
template <class Int>
c10::SmallVector<Int, 5> check_crop_at_adjoint(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::ArrayRef<Int> input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode);

// The bytes of one fill element, which dtype can hold, over and over.
std::array<unsigned char, 16> check_crop_at_fill(
    const at::Scalar& fill, at::ScalarType dtype, std::string_view padding_mode);

// The arguments of crop_mirror_normalize but for its input. Refers to what it was made of.
template <class Int>
struct NormalizeArguments {
  const std::optional<at::Tensor>& offsets;
  c10::ArrayRef<Int> size;
  at::ArrayRef<double> mean;
  at::ArrayRef<double> std;
  const std::optional<at::Tensor>& flip;
  at::ScalarType dtype;
  std::string_view layout;
  at::MemoryFormat memory_format;
  std::string_view padding_mode;
  at::ArrayRef<double> fill;
};

// All of them go together. Returns the sizes of what crop_mirror_normalize makes of them: (N, C, h, w) or
// (N, K, C, h, w). Int is int64_t or c10::SymInt.
template <class Int>
c10::SmallVector<Int, 5> check_crop_mirror_normalize(const at::Tensor& input, const NormalizeArguments<Int>& by);

// Whether out is of this dtype, and on input's device.
void check_crop_mirror_normalize_out_type(const at::Tensor& input, at::ScalarType dtype, const at::Tensor& out);

// out can hold the result, its shape excepted, and shares no memory with what is read.
template <class Int>
void check_crop_mirror_normalize_out(const at::Tensor& input, const NormalizeArguments<Int>& by, const at::Tensor& out);

// out can hold what an op makes of input, its shape excepted.
void check_out(const char* op, const at::Tensor& input, const at::Tensor& out);

// No two elements of out share memory, nor does out with input, or what argument says it is. Exact, however the two are
// strided, but for strides so odd that a million steps don't decide it: these are refused. Meta tensors and the like
// have no memory to share.
void check_out_memory(const char* op, const at::Tensor& input, const at::Tensor& out, const char* argument = "input");

// Both, for all that crop_at reads.
void check_crop_at_out(
    const at::Tensor& input, const at::Tensor& offsets, const std::optional<at::Tensor>& flip, const at::Tensor& out);

}  // namespace torchcrop_fast
