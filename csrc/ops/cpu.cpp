// CPU: every op as one pass over the output.
#include "cpu.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/from_blob.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "../kernels/adjoint_cpu.h"
#include "../kernels/normalize_cpu.h"
#include "../kernels/window_cpu.h"
#include "check.h"
#include "geometry.h"
#include "kernel_arguments.h"
#include "output_cache.h"
#include "placed_windows.h"

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

Memory memory_of(const at::Tensor& out) {
  return used_before(out.storage().data_ptr()) ? Memory::kUsed : Memory::kFresh;
}

// How to store what reads and writes so many bytes: from here on input and output together leave next to nothing of
// each other in the cache.
Stores stores_for(int64_t bytes, Memory memory) {
  return bytes > cache_bytes() / 5 * 6 && memory == Memory::kUsed ? Stores::kStreaming : Stores::kCached;
}

// How many elements are worth a thread of their own.
int64_t grain(int element_size, bool whole_rows) { return whole_rows ? kGrainBytes / element_size : kGrainElements; }

// Runs a window whose output has so many elements.
void run(Window window, int64_t numel, Memory memory) {
  order_for_reading(window);
  const WindowDim& column = window.dim[std::max(window.dims - 1, 0)];
  const bool whole_rows = window.dims > 0 && column.in_stride == 1 && column.out_stride == 1;
  const int64_t part = grain(window.element_size, whole_rows);
  if (numel <= part) {
    if (numel > 0) {
      copy_window_cpu(window, 0, numel, Stores::kCached);
    }
    return;
  }
  int64_t seen = 1;
  for (int d = 0; d < window.dims; ++d) {
    seen *= std::max<int64_t>(window.dim[d].end() - window.dim[d].begin(), 0);
  }
  const Stores stores = stores_for((numel + seen) * window.element_size, memory);
  at::parallel_for(0, numel, part, [&](int64_t begin, int64_t end) { copy_window_cpu(window, begin, end, stores); });
}

// Calls use(i, begin, end), in parallel, for the parts [begin, end) of many things of one size that lie one behind the
// other, in sum so large: i is the thing, and the part is counted from its beginning.
template <class Use>
void for_each_part(int64_t sum, int64_t size, int64_t grain, const Use& use) {
  at::parallel_for(0, sum, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t i = begin / size;
      const int64_t last = std::min(end, (i + 1) * size);
      use(i, begin - i * size, last - i * size);
      begin = last;
    }
  });
}

// Runs windows of so many elements together: window_of(i) is one of them.
template <class WindowOf>
void run_all(int64_t windows, const at::Tensor& out, bool whole_rows, Memory memory, const WindowOf& window_of) {
  const int64_t numel = out.numel();
  const int64_t size = numel / std::max<int64_t>(windows, 1);
  const auto element_size = static_cast<int>(out.element_size());
  const Stores stores = stores_for(2 * numel * element_size, memory);
  for_each_part(numel, size, grain(element_size, whole_rows), [&](int64_t i, int64_t begin, int64_t end) {
    copy_window_cpu(window_of(i), begin, end, stores);
  });
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
  const Border border = check_mode(mode);
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, border, input.element_size());
  const auto fill = check_fill<int64_t>(pad, border, value, input.scalar_type());
  const auto out = empty_padded(input, pad, sizes, border);
  run(pad_window(input, pad, border, fill, out), out.numel(), memory_of(out));
  return out;
}

void pad_out_cpu(
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const Border border = check_mode(mode);
  const auto sizes = check_pad<int64_t>(input.sizes(), pad, border, input.element_size());
  const auto fill = check_fill<int64_t>(pad, border, value, input.scalar_type());
  check_out("pad", input, out);
  check_out_memory("pad", input, out);
  if (at::native::resize_output(out, sizes)) {
    check_out_memory("pad", input, out);
  }
  run(pad_window(input, pad, border, fill, out), out.numel(), Memory::kUsed);
}

namespace {

bool gapless_rows(const at::Tensor& input, const std::optional<at::Tensor>& flip) {
  return input.stride(-1) == 1 && !flip;
}

void crop_at_into(
    const at::Tensor& input,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    Border border,
    const std::array<unsigned char, 16>& fill,
    const at::Tensor& out,
    Memory memory) {
  if (out.numel() == 0) {
    return;
  }
  out.mutable_data_ptr();  // a lazy clone gets memory of its own here
  const PlacedWindows windows(input, out, offsets, flip, border, PlacedWindows::Order::kOfWindows);
  run_all(windows.images() * windows.windows_an_image(), out, gapless_rows(input, flip), memory, [&](int64_t i) {
    return windows.onto_window(i, fill);
  });
}

}  // namespace

at::Tensor crop_at_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  const auto sizes = check_crop_at<int64_t>(input, offsets, size, flip, padding_mode);
  const auto bytes = check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  const auto out = empty_windows(input, sizes, offsets.dim() == 3);
  crop_at_into(input, offsets, flip, check_border("crop_at", padding_mode), bytes, out, memory_of(out));
  return out;
}

void crop_at_out_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  const auto sizes = check_crop_at<int64_t>(input, offsets, size, flip, padding_mode);
  const auto bytes = check_crop_at_fill(fill, input.scalar_type(), padding_mode);
  check_crop_at_out(input, offsets, flip, out);
  if (at::native::resize_output(out, sizes)) {
    check_crop_at_out(input, offsets, flip, out);
  }
  crop_at_into(input, offsets, flip, check_border("crop_at", padding_mode), bytes, out, Memory::kUsed);
}

namespace {

at::Tensor crop_at_symint_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  return crop_at_cpu(input, offsets, concrete(size), flip, padding_mode, fill);
}

void crop_at_out_symint_cpu(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  crop_at_out_cpu(input, offsets, concrete(size), flip, padding_mode, fill, out);
}

// Adds up all that pad shows of each element. A complex number is two real ones.
at::Tensor pad_adjoint_cpu(
    const at::Tensor& grad, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode) {
  const auto entries = concrete(pad);
  const auto sizes = concrete(input_size);
  const Border border = check_mode(mode);
  check_pad_adjoint<int64_t>(grad, entries, sizes, border);
  const at::Tensor out = empty_images(grad, sizes, /*several=*/false);
  if (out.numel() == 0) {
    return out;
  }
  const bool crops = std::any_of(entries.begin(), entries.end(), [](int64_t entry) { return entry < 0; });
  if (grad.numel() == 0 || (crops && border == Border::kCircular)) {
    out.zero_();
  }
  if (grad.numel() == 0) {
    return out;
  }
  const at::Tensor to = as_real(out), from = as_real(grad);
  const Real type = real_type("pad", to.scalar_type());
  const Window window = pad_adjoint_window(to, entries, border, from, /*tail=*/out.is_complex() ? 1 : 0);
  int64_t rows = 1;
  for (int d = 0; d < window.dims - 1; ++d) {
    rows *= window.dim[d].in_size;
  }
  const int64_t grain = kGrainElements / window.dim[window.dims - 1].in_size + 1;
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) { add_windows_cpu(&window, 1, type, begin, end); });
  return out;
}

// Adds up all that windows show of each element. A complex number is two real ones.
void add_up(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    Border border,
    const at::Tensor& out) {
  const at::Tensor to = as_real(out), from = as_real(grad);
  const Real type = real_type("crop_at", to.scalar_type());
  const PlacedWindows windows(
      to, from, offsets, flip, border, PlacedWindows::Order::kOfImages, /*tail=*/out.is_complex() ? 1 : 0);
  const int64_t crops = windows.windows_an_image();
  const Window first = windows.as_it_is(0, PlacedWindows::Backwards::kWindow);
  const int64_t row_size = first.dim[first.dims - 1].in_size;
  const int64_t rows = to.numel() / windows.images() / row_size;  // of one image
  const int64_t grain = kGrainElements / row_size + 1;
  for_each_part(windows.images() * rows, rows, grain, [&](int64_t image, int64_t begin, int64_t end) {
    std::vector<Window> of_image;
    for (int64_t crop = 0; crop < crops; ++crop) {
      of_image.push_back(windows.as_it_is(image * crops + crop, PlacedWindows::Backwards::kWindow));
    }
    add_windows_cpu(of_image.data(), crops, type, begin, end);
  });
}

at::Tensor crop_at_adjoint_cpu(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const auto sizes = concrete(input_size);
  check_crop_at_adjoint<int64_t>(grad, offsets, sizes, flip, padding_mode);
  const Border border = check_border("crop_at", padding_mode);
  const bool several = offsets.dim() == 3;
  const auto out = empty_images(grad, sizes, several);
  if (out.numel() == 0) {
    return out;
  }
  if (grad.numel() == 0) {  // no window at all
    return out.zero_();
  }
  if (border == Border::kConstant && !several) {
    const PlacedWindows windows(out, grad, offsets, flip, border, PlacedWindows::Order::kOfImages);
    run_all(windows.images(), out, gapless_rows(grad, flip), memory_of(out), [&](int64_t i) {
      return windows.onto_image(i);
    });
    return out;
  }
  add_up(grad, offsets, flip, border, out);
  return out;
}

// out is dense, in the memory format that the arguments name.
void normalize_into(
    const at::Tensor& input, const NormalizeArguments<int64_t>& by, const at::Tensor& out, Memory memory) {
  if (out.numel() == 0) {
    return;
  }
  out.mutable_data_ptr();  // a lazy clone gets memory of its own here
  const at::Tensor images = channels_first(input, by.layout);
  auto centre = centre_of(images, by.size);
  const at::Tensor offsets =
      by.offsets ? *by.offsets : at::from_blob(centre.data(), {images.size(0), 2}, {0, 1}, at::kLong);
  const Border border = check_border("crop_mirror_normalize", by.padding_mode);
  const PlacedWindows windows(images, out, offsets, by.flip, border, PlacedWindows::Order::kAsGiven);
  const Coefficients coefficients = coefficients_of(by, images);
  const int64_t height = by.size[0];
  const int64_t row_bytes = out.numel() / (windows.images() * windows.windows_an_image() * height) * out.element_size();
  const Stores stores = stores_for(out.numel() * (out.element_size() + input.element_size()), memory);
  const int64_t rows = out.numel() * out.element_size() / row_bytes;
  for_each_part(rows, height, kGrainBytes / row_bytes + 1, [&](int64_t i, int64_t begin, int64_t end) {
    const NormalizedWindow window{
        windows.as_it_is(i, PlacedWindows::Backwards::kImage),
        pixel_type(input.scalar_type()),
        pixel_type(out.scalar_type()),
        coefficients.scale.data(),
        coefficients.bias.data(),
        coefficients.fill.data()};
    normalize_rows_cpu(window, begin, end, stores);
  });
}

at::Tensor crop_mirror_normalize_cpu(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    c10::SymIntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  const auto window_size = concrete(size);
  const NormalizeArguments<int64_t> by{offsets, window_size, mean,          std,          flip,
                                       dtype,   layout,      memory_format, padding_mode, fill};
  const auto sizes = check_crop_mirror_normalize(input, by);
  const auto out = empty_in_format(sizes, dtype, memory_format);
  normalize_into(input, by, out, memory_of(out));
  return out;
}

void crop_mirror_normalize_out_cpu(
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    c10::SymIntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill,
    at::Tensor& out) {
  const auto window_size = concrete(size);
  const NormalizeArguments<int64_t> by{offsets, window_size, mean,          std,          flip,
                                       dtype,   layout,      memory_format, padding_mode, fill};
  const auto sizes = check_crop_mirror_normalize(input, by);
  check_crop_mirror_normalize_out(input, by, out);
  if (at::native::resize_output(out, sizes)) {
    check_crop_mirror_normalize_out(input, by, out);
  }
  const auto dense = new_in_format(c10::fromIntArrayRefSlow(sizes), out.options().device(at::kMeta), memory_format);
  if (out.strides() == dense.strides()) {
    normalize_into(input, by, out, Memory::kUsed);
    return;
  }
  const at::Tensor result = empty_in_format(sizes, dtype, memory_format);
  normalize_into(input, by, result, memory_of(result));
  out.copy_(result);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CPU, m) {
  m.impl("pad", torchcrop_fast::pad_symint_cpu);
  m.impl("pad.out", torchcrop_fast::pad_out_symint_cpu);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_cpu);
  m.impl("crop_at", torchcrop_fast::crop_at_symint_cpu);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_symint_cpu);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_cpu);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_cpu);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_cpu);
}
