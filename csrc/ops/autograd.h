// Autograd, for those who need not ask the dispatcher.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

#include <optional>
#include <string_view>

namespace torchcrop_fast {

// Has backward mode go from out, which is pad(input, pad, mode), to input, which requires a gradient.
void record_pad(const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const at::Tensor& out);

// The same for out, which is crop_at(input, offsets, ...).
void record_crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Tensor& out);

}  // namespace torchcrop_fast
