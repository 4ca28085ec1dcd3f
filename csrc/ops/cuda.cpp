// CUDA: launches on the current stream of the input's device.
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "gpu.h"

namespace torchcrop_fast {
namespace {

struct CudaRuntime {
  using Guard = c10::cuda::CUDAGuard;
  static Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
  static void check(LaunchError error) { C10_CUDA_CHECK(static_cast<cudaError_t>(error)); }
};

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CUDA, m) {
  torchcrop_fast::register_ops<torchcrop_fast::Gpu<torchcrop_fast::CudaRuntime>>(m);
}
