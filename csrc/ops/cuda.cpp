// CUDA: launches on the current stream of the input's device.
#include <ATen/CUDAFunctions.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "gpu.h"
#include "torch_pads.h"

namespace torchcrop_fast {
namespace {

struct CudaRuntime {
  using Guard = c10::cuda::CUDAGuard;
  static Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
  static void check(LaunchError error) { C10_CUDA_CHECK(static_cast<cudaError_t>(error)); }
};

using Cuda = Gpu<CudaRuntime>;

struct OnCuda {
  template <class Op>
  static at::Tensor make(const at::Tensor& input, const Op& op) {
    return torchcrop_fast::make<Cuda>(input, op);
  }
};

}  // namespace

void register_torch_pads_on_cuda(torch::Library& m) { TORCHCROP_FAST_REGISTER_TORCH_PADS(m, OnCuda, at::cuda) }

}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CUDA, m) { torchcrop_fast::register_ops<torchcrop_fast::Cuda>(m); }
