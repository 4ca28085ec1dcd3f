// A backend for GPUs: every op as one launch, or a few for gigabytes, which waits for nothing.
#pragma once

#include "../kernels/adjoint_cuda.h"
#include "../kernels/normalize_cuda.h"
#include "../kernels/window_cuda.h"
#include "structured.h"

namespace torchcrop_fast {

// Runtime is a struct of static functions and a type: Guard, of a device; stream(), the current one; and
// check(LaunchError), which throws. CUDA's, or that of tests which emulate the kernels.
template <class Runtime>
struct Gpu {
  using Guard = typename Runtime::Guard;

  static at::Tensor empty(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype, at::Device device) {
    return at::empty_strided(sizes, strides, at::TensorOptions(device).dtype(dtype));
  }

  static Memory memory_of(const at::Tensor&) { return Memory::kUsed; }

  static void copy(const char* op, const Windows& windows, Memory) {
    check_dims(op, windows);
    Runtime::check(copy_windows_cuda(windows, Runtime::stream()));
  }

  static void copy(const char* op, const Window& window, Memory memory) {
    Windows windows;
    windows.window = window;
    std::fill(std::begin(windows.spatial), std::end(windows.spatial), -1);
    copy(op, windows, memory);
  }

  static void add(const char* op, const Windows& windows, Real type) {
    check_dims(op, windows);
    Runtime::check(add_windows_cuda(windows, type, Runtime::stream()));
  }

  static void normalize(const NormalizedWindows& windows, Memory) {
    constexpr int64_t kMost = int64_t{1} << 29;  // so that a start, within a period of a border, and a size fit 32 bits
    const WindowDim* const dim = windows.windows.window.dim;
    const int64_t channels = dim[0].size;
    const int64_t longest = std::max({dim[1].size, dim[1].in_size, dim[2].size, dim[2].in_size});
    TORCH_CHECK(
        longest < kMost / channels, "crop_mirror_normalize: a row or a column must have less than ", kMost,
        " elements on a GPU, got ", longest, " pixels of ", channels, " channels");
    Runtime::check(normalize_windows_cuda(windows, Runtime::stream()));
  }

 private:
  static void check_dims(const char* op, const Windows& windows) {
    TORCH_CHECK(
        windows.window.dims <= kMaxCudaDims, op, ": at most ", kMaxCudaDims,
        " dimensions larger than 1 are supported on CUDA, got ", windows.window.dims);
  }
};

}  // namespace torchcrop_fast
