// The CPU's kernels, for those who need not ask the dispatcher.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>

#include <optional>
#include <string_view>

namespace torchcrop_fast {

// Whether the dispatcher would do nothing but call the CPU's kernel: a plain CPU tensor, that autograd does not follow,
// under no mode, transform, trace or profiler.
bool only_cpu_sees(const at::Tensor& input);

at::Tensor pad_cpu(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value);

void pad_out_cpu(
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out);

}  // namespace torchcrop_fast
