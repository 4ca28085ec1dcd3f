// CPU: pad as one pass over the output.
#include <ATen/Parallel.h>
#include <ATen/native/Resize.h>
#include <torch/library.h>

#include "../kernels/window_cpu.h"
#include "check.h"
#include "geometry.h"

namespace torchcrop_fast {
namespace {

// So much output is worth a thread of its own: in bytes where rows are copied whole, in elements where one by one.
constexpr int64_t kGrainBytes = 128 * 1024;
constexpr int64_t kGrainElements = 16 * 1024;

// Runs a window whose output has so many elements.
void run(const Window& window, int64_t numel) {
  const WindowDim& column = window.dim[std::max(window.dims - 1, 0)];
  const bool whole_rows = window.dims > 0 && column.in_stride == 1 && column.out_stride == 1;
  const int64_t grain = whole_rows ? kGrainBytes / window.element_size : kGrainElements;
  at::parallel_for(0, numel, grain, [&](int64_t begin, int64_t end) { copy_window_cpu(window, begin, end); });
}

c10::DimVector concrete(c10::SymIntArrayRef pad) {
  c10::DimVector entries;
  for (const c10::SymInt& entry : pad) {
    entries.push_back(entry.guard_int(__FILE__, __LINE__));
  }
  return entries;
}

at::Tensor pad_cpu(
    const at::Tensor& input,
    c10::SymIntArrayRef sym_pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value) {
  const auto pad = concrete(sym_pad);
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, mode, input.element_size());
  const auto fill = check_fill<int64_t>(pad, value, input.scalar_type());
  const auto out = empty_padded(input, pad, sizes);
  const auto window = pad_window(input, pad, fill, out);
  run(window, out.numel());
  return out;
}

void pad_out_cpu(
    const at::Tensor& input,
    c10::SymIntArrayRef sym_pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const auto pad = concrete(sym_pad);
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, mode, input.element_size());
  const auto fill = check_fill<int64_t>(pad, value, input.scalar_type());
  check_out(input, out);
  check_out_memory(input, out);
  if (at::native::resize_output(out, sizes)) {
    check_out_memory(input, out);
  }
  const auto window = pad_window(input, pad, fill, out);
  run(window, out.numel());
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CPU, m) {
  m.impl("pad", torchcrop_fast::pad_cpu);
  m.impl("pad.out", torchcrop_fast::pad_out_cpu);
}
