// The public functions of torchcrop_fast/ops.h: their arguments as ops.
#include <torchcrop_fast/ops.h>

#include "../kernels/window_cpu.h"
#include "direct.h"

namespace torchcrop_fast {

at::Tensor pad(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  return run(input, Pad<int64_t>{pad, mode, value});
}

at::Tensor pad_symint(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  return run(input, Pad<c10::SymInt>{pad, mode, value});
}

at::Tensor& pad_out(
    at::Tensor& out,
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value) {
  return run_out(input, Pad<int64_t>{pad, mode, value}, out);
}

at::Tensor crop(const at::Tensor& input, at::IntArrayRef cropping) {
  c10::DimVector pad;
  for (const int64_t entry : cropping) {
    TORCH_CHECK(entry != INT64_MIN, "crop: cropping must contain ints whose negatives fit int64, got ", entry);
    pad.push_back(-entry);
  }
  return torchcrop_fast::pad(input, pad);
}

at::Tensor crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  return run(input, CropAt<int64_t>{offsets, size, flip, padding_mode, fill});
}

at::Tensor& crop_at_out(
    at::Tensor& out,
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  return run_out(input, CropAt<int64_t>{offsets, size, flip, padding_mode, fill}, out);
}

at::Tensor crop_mirror_normalize(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    std::optional<at::ScalarType> dtype,
    std::string_view layout,
    std::optional<at::MemoryFormat> memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  using Op = CropMirrorNormalize<int64_t>;
  return run(input, Op{offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill});
}

at::Tensor& crop_mirror_normalize_out(
    at::Tensor& out,
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    std::optional<at::ScalarType> dtype,
    std::string_view layout,
    std::optional<at::MemoryFormat> memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  using Op = CropMirrorNormalize<int64_t>;
  return run_out(input, Op{offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill}, out);
}

const char* cpu_capability_name() { return name(cpu_capability()); }

}  // namespace torchcrop_fast
