// The CPU's kernels, for those who need not ask the dispatcher.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>

#include <optional>
#include <string_view>

namespace torchcrop_fast {

// Who has a say in a call, as the dispatcher would find out.
enum class Sees {
  kCpu,             // the CPU's kernel alone: a plain tensor under no mode, transform, trace or profiler
  kCpuAndAutograd,  // and backward mode
  kMore,            // and who knows: ask the dispatcher
};

Sees who_sees(const at::Tensor& input);

at::Tensor pad_cpu(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value);

void pad_out_cpu(
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out);

at::Tensor crop_at_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill);

void crop_at_out_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out);

}  // namespace torchcrop_fast
