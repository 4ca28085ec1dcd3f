// CPU: every op as one pass over the output, in parallel.
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "../kernels/adjoint_cpu.h"
#include "../kernels/normalize_cpu.h"
#include "../kernels/window_cpu.h"
#include "direct.h"
#include "environment.h"
#include "machine.h"
#include "output_cache.h"
#include "structured.h"

namespace torchcrop_fast {
namespace {

// Least work per thread: of the output, in bytes where rows are copied whole, in elements where one by one.
constexpr int64_t kGrainBytes = 128 * 1024;
constexpr int64_t kGrainElements = 16 * 1024;

// Streaming stores pay once input and output exceed 1.2 times the last-level cache.
Stores stores_for(int64_t bytes, Memory memory) {
  static const int64_t cached = bytes_of_variable("TORCHCROP_FAST_LAST_LEVEL_CACHE", [] { return last_level_cache(); });
  return bytes / 6 > cached / 5 && memory == Memory::kUsed ? Stores::kStreaming : Stores::kCached;
}

// How many elements are worth a thread of their own.
int64_t grain(const Window& window, bool mirrored = false) {
  const WindowDim& column = window.dim[std::max(window.dims - 1, 0)];
  const bool whole_rows = window.dims > 0 && column.in_stride == 1 && column.out_stride == 1 && !mirrored;
  return whole_rows ? kGrainBytes / window.element_size : kGrainElements;
}

// Elements of the output.
int64_t numel_of(const Window& window) {
  int64_t numel = 1;
  for (int d = 0; d < window.dims; ++d) {
    numel *= window.dim[d].size;
  }
  return numel;
}

// Calls use(i, begin, end), in parallel, for the parts [begin, end) of `count` things of one size: i is the thing, and
// a part is counted from its beginning.
template <class Use>
void for_each_part(int64_t count, int64_t size, int64_t grain, const Use& use) {
  at::parallel_for(0, count * size, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t i = begin / size;
      const int64_t last = std::min(end, (i + 1) * size);
      use(i, begin - i * size, last - i * size);
      begin = last;
    }
  });
}

struct Cpu {
  struct Guard {
    explicit Guard(at::Device) {}
  };

  static at::Tensor empty(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype, at::Device) {
    constexpr c10::DispatchKeySet keys(c10::DispatchKey::CPU);
    int64_t expected = 1;
    size_t d = sizes.size();
    while (d > 0 && strides[d - 1] == expected) {
      expected *= std::max<int64_t>(sizes[--d], 1);
    }
    if (d == 0) {  // contiguous: the same in less time
      return at::detail::empty_generic(sizes, output_allocator(), keys, dtype, /*memory_format_opt=*/std::nullopt);
    }
    return at::detail::empty_strided_generic(sizes, strides, output_allocator(), keys, dtype);
  }

  static Memory memory_of(const at::Tensor& out) {
    return used_before(out.storage().data_ptr()) ? Memory::kUsed : Memory::kFresh;
  }

  static void copy(const char*, Window window, Memory memory) {
    order_for_reading(window);
    const int64_t numel = numel_of(window), part = grain(window);
    if (numel <= part) {
      copy_window_cpu(window, 0, numel, Stores::kCached);
      return;
    }
    int64_t shown = 1;
    for (int d = 0; d < window.dims; ++d) {
      shown *= std::max<int64_t>(window.dim[d].end() - window.dim[d].begin(), 0);
    }
    const Stores stores = stores_for((numel + shown) * window.element_size, memory);
    at::parallel_for(0, numel, part, [&](int64_t begin, int64_t end) { copy_window_cpu(window, begin, end, stores); });
  }

  static void copy(const char*, const Windows& windows, Memory memory) {
    const int64_t count = windows.images * windows.windows_an_image;
    const int64_t size = numel_of(windows.window);
    const Stores stores = stores_for(2 * count * size * windows.window.element_size, memory);
    for_each_part(count, size, grain(windows.window, windows.places.flips), [&](int64_t i, int64_t begin, int64_t end) {
      copy_window_cpu(window_at(windows, i), begin, end, stores);
    });
  }

  static void add(const char*, const Windows& windows, Real type) {
    const int last = windows.window.dims - 1;
    int64_t rows = 1;  // of one image
    for (int d = 0; d < last; ++d) {
      rows *= windows.window.dim[d].in_size;
    }
    const int64_t part = kGrainElements / windows.window.dim[last].in_size + 1;
    for_each_part(windows.images, rows, part, [&](int64_t image, int64_t begin, int64_t end) {
      add_windows_cpu(windows, type, image, begin, end);
    });
  }

  static void normalize(const NormalizedWindows& all, Memory memory) {
    const Window& first = all.windows.window;
    const int64_t in_bytes = size_of(all.in_type), out_bytes = size_of(all.out_type);
    const int64_t count = all.windows.images * all.windows.windows_an_image;
    const int64_t height = first.dim[1].size, row_bytes = numel_of(first) / height * out_bytes;
    const Stores stores = stores_for(count * numel_of(first) * (in_bytes + out_bytes), memory);
    for_each_part(count, height, kGrainBytes / row_bytes + 1, [&](int64_t i, int64_t begin, int64_t end) {
      const Window window = unmerged_window_at(all.windows, i, Reversed::kIn, in_bytes, out_bytes);
      normalize_rows_cpu({window, all.in_type, all.out_type, all.scale, all.bias, all.fill}, begin, end, stores);
    });
  }
};

}  // namespace

Route route_of(const at::Tensor& tensor) {
  constexpr auto plain = c10::DispatchKeySet(
      {c10::DispatchKey::CPU, c10::DispatchKey::AutogradCPU, c10::DispatchKey::ADInplaceOrView,
       c10::DispatchKey::BackendSelect});
  const auto tls = c10::impl::tls_local_dispatch_key_set();
  const auto keys = (tensor.key_set() | tls.included_) - tls.excluded_;
  if (!keys.has(c10::DispatchKey::CPU) || (keys.raw_repr() & ~plain.raw_repr()) != 0 ||
      at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION).has_value()) {
    return Route::kDispatcher;
  }
  if (!tensor.unsafeGetTensorImpl()->autograd_meta() || !keys.has(c10::DispatchKey::AutogradCPU)) {
    return Route::kCpu;
  }
  if (tensor._fw_grad(/*level=*/0).defined()) {
    return Route::kDispatcher;
  }
  return c10::GradMode::is_enabled() && tensor.requires_grad() ? Route::kCpuAutograd : Route::kCpu;
}

template <class Op>
at::Tensor make_on_cpu(const at::Tensor& input, const Op& op) {
  return make<Cpu>(input, op);
}

template <class Op>
void make_on_cpu(const at::Tensor& input, const Op& op, at::Tensor& out) {
  make_into<Cpu>(input, op, out);
}

#define INSTANTIATE(Op) template at::Tensor make_on_cpu(const at::Tensor&, const Op<int64_t>&);
TORCHCROP_FAST_FOR_EACH_OP(INSTANTIATE)
#define INSTANTIATE_OUT(Op) template void make_on_cpu(const at::Tensor&, const Op<int64_t>&, at::Tensor&);
TORCHCROP_FAST_FOR_EACH_OP_WITH_OUT(INSTANTIATE_OUT)

}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CPU, m) { torchcrop_fast::register_ops<torchcrop_fast::Cpu>(m); }
