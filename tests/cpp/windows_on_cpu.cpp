// The functions of GPUs, done by the CPU's kernels: with it, the fuzzers of windows and of gradients try those.
#include "../../csrc/kernels/adjoint_cpu.h"
#include "../../csrc/kernels/adjoint_cuda.h"
#include "../../csrc/kernels/window_cpu.h"
#include "../../csrc/kernels/window_cuda.h"

namespace torchcrop_fast {

LaunchError copy_windows_cuda(const Windows& windows, Stream) {
  int64_t size = 1;
  for (int d = 0; d < windows.window.dims; ++d) size *= windows.window.dim[d].size;
  for (int64_t i = 0; i < windows.images * windows.windows_an_image; ++i) {
    const Window window = window_at(windows, i);
    copy_window_cpu(window, 0, size / 3, Stores::kCached);
    copy_window_cpu(window, size / 3, size, i % 2 ? Stores::kStreaming : Stores::kCached);
  }
  return 0;
}

LaunchError add_windows_cuda(const Windows& windows, Real type, Stream) {
  int64_t rows = 1;
  for (int d = 0; d < windows.window.dims - 1; ++d) rows *= windows.window.dim[d].in_size;
  for (int64_t image = 0; image < windows.images; ++image) {
    add_windows_cpu(windows, type, image, 0, rows / 3);
    add_windows_cpu(windows, type, image, rows / 3, rows);
  }
  return 0;
}

}  // namespace torchcrop_fast
