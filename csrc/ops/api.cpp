// The public functions of torchcrop_fast/ops.h: typed calls of the dispatcher, or of the CPU's kernel where the
// dispatcher would only pass them on to it.
#include <torchcrop_fast/ops.h>

#include "../kernels/window_cpu.h"
#include "autograd.h"
#include "cpu.h"
#include "handles.h"

namespace torchcrop_fast {
namespace {

using SymInts = c10::SmallVector<c10::SymInt, 8>;

bool only_cpu_sees(const at::Tensor& offsets, const std::optional<at::Tensor>& flip) {
  return who_sees(offsets) == Sees::kCpu && (!flip || who_sees(*flip) == Sees::kCpu);
}

}  // namespace

at::Tensor pad(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const Sees sees = who_sees(input);
  if (sees == Sees::kMore) {
    return pad_handle().call(input, SymInts(pad.begin(), pad.end()), mode, value);
  }
  const auto out = pad_cpu(input, pad, mode, value);
  if (sees == Sees::kCpuAndAutograd) {
    record_pad(input, SymInts(pad.begin(), pad.end()), mode, out);
  }
  return out;
}

at::Tensor pad_symint(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const auto entries = c10::asIntArrayRefSlowOpt(pad);
  return entries ? torchcrop_fast::pad(input, *entries, mode, value) : pad_handle().call(input, pad, mode, value);
}

at::Tensor& pad_out(
    at::Tensor& out,
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value) {
  if (who_sees(input) == Sees::kCpu && who_sees(out) == Sees::kCpu) {
    pad_out_cpu(input, pad, mode, value, out);
    out.unsafeGetTensorImpl()->bump_version();
    return out;
  }
  pad_out_handle().call(input, SymInts(pad.begin(), pad.end()), mode, value, out);
  return out;
}

at::Tensor crop(const at::Tensor& input, at::IntArrayRef cropping) {
  c10::DimVector pad;
  for (const int64_t entry : cropping) {
    TORCH_CHECK(entry != INT64_MIN, "crop: cropping must hold ints whose negatives fit int64, got ", entry);
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
  const Sees sees = who_sees(input);
  if (sees == Sees::kMore || !only_cpu_sees(offsets, flip)) {
    return crop_at_handle().call(input, offsets, SymInts(size.begin(), size.end()), flip, padding_mode, fill);
  }
  const auto out = crop_at_cpu(input, offsets, size, flip, padding_mode, fill);
  if (sees == Sees::kCpuAndAutograd) {
    record_crop_at(input, offsets, flip, padding_mode, out);
  }
  return out;
}

at::Tensor& crop_at_out(
    at::Tensor& out,
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  if (who_sees(input) == Sees::kCpu && only_cpu_sees(offsets, flip) && who_sees(out) == Sees::kCpu) {
    crop_at_out_cpu(input, offsets, size, flip, padding_mode, fill, out);
    out.unsafeGetTensorImpl()->bump_version();
    return out;
  }
  crop_at_out_handle().call(input, offsets, SymInts(size.begin(), size.end()), flip, padding_mode, fill, out);
  return out;
}

at::Tensor crop_mirror_normalize(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  return crop_mirror_normalize_handle().call(
      input, offsets, SymInts(size.begin(), size.end()), mean, std, flip, dtype, layout, memory_format, padding_mode,
      fill);
}

at::Tensor& crop_mirror_normalize_out(
    at::Tensor& out,
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    at::IntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  crop_mirror_normalize_out_handle().call(
      input, offsets, SymInts(size.begin(), size.end()), mean, std, flip, dtype, layout, memory_format, padding_mode,
      fill, out);
  return out;
}

const char* cpu_capability_name() { return name(cpu_capability()); }

}  // namespace torchcrop_fast
