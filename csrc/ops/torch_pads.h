// Kernels for torch's own pads: ours while an override is on, torch's otherwise and for all that ours don't take.
#pragma once

#include <ATen/ops/constant_pad_nd_compositeexplicitautograd_dispatch.h>
#include <torch/library.h>
#include <torchcrop_fast/override.h>

#include <algorithm>

#include "check.h"

namespace torchcrop_fast {

// In the names of non-type template arguments.
inline constexpr char kReflect[] = "reflect";
inline constexpr char kReplicate[] = "replicate";

// Whether torch's pad with a border that repeats elements, of this many dimensions, takes the arguments. It takes less
// than ours, and what it refuses it must go on to refuse.
inline bool torch_repeats(const at::Tensor& input, at::IntArrayRef pad, size_t dims) {
  const at::IntArrayRef sizes = input.sizes();
  const auto dtype = input.scalar_type();
  const bool is_int = c10::isIntegralType(dtype, /*includeBool=*/false) && !c10::isBarebonesUnsignedType(dtype);
  if (pad.size() != 2 * dims || (sizes.size() != dims + 1 && sizes.size() != dims + 2) || input.numel() == 0 ||
      !(torch_repeats(dtype) || (is_int && input.is_cpu()))) {
    return false;
  }
  for (size_t i = 0; i < pad.size(); i += 2) {
    int64_t padded = sizes[sizes.size() - 1 - i / 2];
    if (__builtin_add_overflow(padded, pad[i], &padded) || __builtin_add_overflow(padded, pad[i + 1], &padded) ||
        padded < 1) {
      return false;
    }
  }
  return true;
}

// What ours() makes; where it throws, torchs() tells what is wrong in torch's words.
template <class Ours, class Torchs>
at::Tensor ours_or_torchs(const Ours& ours, const Torchs& torchs) {
  try {
    return ours();
  } catch (const c10::Error&) {
    return torchs();
  }
}

// Device is a struct with a static function make(input, op), which runs ours; kTorchs is torch's kernel.
//
// The dispatcher calls these by their address alone: a call that another thread has under way while they are registered
// needs nothing that goes.

template <class Device>
at::Tensor constant_pad(const at::Tensor& input, at::IntArrayRef pad, const at::Scalar& value) {
  const auto torchs = [&] { return at::compositeexplicitautograd::constant_pad_nd(input, pad, value); };
  if (!torch_pad_overridden()) {
    return torchs();
  }
  const std::optional<at::Scalar> given = value;
  return ours_or_torchs([&] { return Device::make(input, Pad<int64_t>{pad, "constant", given}); }, torchs);
}

template <class Device, const char* kMode, size_t kDims, auto kTorchs>
at::Tensor repeating_pad(const at::Tensor& input, at::IntArrayRef pad) {
  const auto torchs = [&] { return kTorchs(input, pad); };
  if (!torch_pad_overridden() || !torch_repeats(input, pad, kDims)) {
    return torchs();
  }
  const std::optional<at::Scalar> none;
  return ours_or_torchs([&] { return Device::make(input, Pad<int64_t>{pad, kMode, none}); }, torchs);
}

template <class Device, const char* kMode, size_t kDims, auto kTorchs>
at::Tensor repeating_pad_backward(const at::Tensor& grad, const at::Tensor& input, at::IntArrayRef pad) {
  const auto torchs = [&] { return kTorchs(grad, input, pad); };
  const size_t before = input.dim() - std::min<size_t>(input.dim(), kDims);
  if (!torch_pad_overridden() || !torch_repeats(input, pad, kDims) || grad.dim() != input.dim() ||
      grad.sizes().slice(0, before) != input.sizes().slice(0, before) || grad.scalar_type() != input.scalar_type() ||
      grad.device() != input.device()) {
    return torchs();
  }
  // torch's gradient lies in memory as its input does, ours as the gradient that it is made of.
  const auto format = input.suggest_memory_format();
  const at::Tensor like_input = grad.suggest_memory_format() == format ? grad : grad.contiguous(format);
  if (like_input.suggest_memory_format() != format) {  // the format of so few elements isn't to be seen
    return torchs();
  }
  const auto size = last_sizes<int64_t>(input, kDims);
  return ours_or_torchs([&] { return Device::make(like_input, PadAdjoint<int64_t>{pad, size, kMode}); }, torchs);
}

// Registers the kernels for a device, in a torch::Library of aten; torch's own are functions of the namespace torchs.
#define TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kMode, name, kDims)                                \
  m.impl(#name, TORCH_FN((torchcrop_fast::repeating_pad<Device, torchcrop_fast::kMode, kDims, torchs::name>))); \
  m.impl(                                                                                                       \
      #name "_backward",                                                                                        \
      TORCH_FN(                                                                                                 \
          (torchcrop_fast::repeating_pad_backward<Device, torchcrop_fast::kMode, kDims, torchs::name##_backward>)));
#define TORCHCROP_FAST_REGISTER_TORCH_PADS(m, Device, torchs)                            \
  m.impl("constant_pad_nd", TORCH_FN(torchcrop_fast::constant_pad<Device>));             \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReflect, reflection_pad1d, 1)    \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReflect, reflection_pad2d, 2)    \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReflect, reflection_pad3d, 3)    \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReplicate, replication_pad1d, 1) \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReplicate, replication_pad2d, 2) \
  TORCHCROP_FAST_REGISTER_TORCH_PAD(m, Device, torchs, kReplicate, replication_pad3d, 3)

// Registers them for CUDA. Null where our kernels for it aren't built.
__attribute__((weak)) void register_torch_pads_on_cuda(torch::Library& m);

}  // namespace torchcrop_fast
