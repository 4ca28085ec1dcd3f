// CPU: pad as one pass over the output.
#include "cpu.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/native/Resize.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <algorithm>
#include <fstream>

#include "../kernels/window_cpu.h"
#include "check.h"
#include "geometry.h"
#include "output_cache.h"

namespace torchcrop_fast {
namespace {

// So much output is worth a thread of its own: in bytes where rows are copied whole, in elements where one by one.
constexpr int64_t kGrainBytes = 128 * 1024;
constexpr int64_t kGrainElements = 16 * 1024;

// The bytes of the last-level cache. Not sysconf's: glibc counts it many times over on virtual machines.
int64_t cache_bytes() {
  static const int64_t bytes = [] {
    int64_t kib = 0;
    std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kib;
    return kib > 0 ? kib << 10 : int64_t{32} << 20;
  }();
  return bytes;
}

// Whether the output's memory has been used before or not: streaming into fresh pages costs more than it saves.
enum class Memory { kUsed, kFresh };

// Runs a window whose output has so many elements.
void run(const Window& window, int64_t numel, Memory memory) {
  const WindowDim& column = window.dim[std::max(window.dims - 1, 0)];
  const bool whole_rows = window.dims > 0 && column.in_stride == 1 && column.out_stride == 1;
  const int64_t grain = whole_rows ? kGrainBytes / window.element_size : kGrainElements;
  if (numel <= grain) {
    copy_window_cpu(window, 0, numel, Stores::kCached);
    return;
  }
  int64_t seen = 1;
  for (int d = 0; d < window.dims; ++d) {
    seen *= std::max<int64_t>(window.dim[d].end() - window.dim[d].begin(), 0);
  }
  // From here on input and output together leave next to nothing of each other in the cache.
  const bool large = (numel + seen) * window.element_size > cache_bytes() / 5 * 6;
  const Stores stores = large && memory == Memory::kUsed ? Stores::kStreaming : Stores::kCached;
  at::parallel_for(0, numel, grain, [&](int64_t begin, int64_t end) { copy_window_cpu(window, begin, end, stores); });
}

c10::DimVector concrete(c10::SymIntArrayRef pad) {
  c10::DimVector entries;
  for (const c10::SymInt& entry : pad) {
    entries.push_back(entry.guard_int(__FILE__, __LINE__));
  }
  return entries;
}

at::Tensor pad_symint_cpu(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  return pad_cpu(input, concrete(pad), mode, value);
}

void pad_out_symint_cpu(
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  pad_out_cpu(input, concrete(pad), mode, value, out);
}

}  // namespace

Sees who_sees(const at::Tensor& input) {
  constexpr auto plain = c10::DispatchKeySet(
      {c10::DispatchKey::CPU, c10::DispatchKey::AutogradCPU, c10::DispatchKey::ADInplaceOrView,
       c10::DispatchKey::BackendSelect});
  const auto tls = c10::impl::tls_local_dispatch_key_set();
  const auto keys = (input.key_set() | tls.included_) - tls.excluded_;
  if (!keys.has(c10::DispatchKey::CPU) || (keys.raw_repr() & ~plain.raw_repr()) != 0 ||
      at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION).has_value()) {
    return Sees::kMore;
  }
  if (!input.unsafeGetTensorImpl()->autograd_meta() || !keys.has(c10::DispatchKey::AutogradCPU)) {
    return Sees::kCpu;
  }
  if (input._fw_grad(/*level=*/0).defined()) {
    return Sees::kMore;
  }
  return c10::GradMode::is_enabled() && input.requires_grad() ? Sees::kCpuAndAutograd : Sees::kCpu;
}

at::Tensor pad_cpu(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, mode, input.element_size());
  const auto fill = check_fill<int64_t>(pad, value, input.scalar_type());
  const auto out = empty_padded(input, pad, sizes);
  const Memory memory = used_before(out.storage().data_ptr()) ? Memory::kUsed : Memory::kFresh;
  run(pad_window(input, pad, fill, out), out.numel(), memory);
  return out;
}

void pad_out_cpu(
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, mode, input.element_size());
  const auto fill = check_fill<int64_t>(pad, value, input.scalar_type());
  check_out(input, out);
  check_out_memory(input, out);
  if (at::native::resize_output(out, sizes)) {
    check_out_memory(input, out);
  }
  run(pad_window(input, pad, fill, out), out.numel(), Memory::kUsed);
}

}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CPU, m) {
  m.impl("pad", torchcrop_fast::pad_symint_cpu);
  m.impl("pad.out", torchcrop_fast::pad_out_symint_cpu);
}
