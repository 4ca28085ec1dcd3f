// Copies windows on a GPU: all windows of a call in one launch.
#pragma once

#include "windows.h"

struct CUstream_st;

namespace torchcrop_fast {

using Stream = CUstream_st*;  // a cudaStream_t
using LaunchError = int;      // a cudaError_t

// Each dimension of what fits into memory, but for one, doubles the number of elements at least.
inline constexpr int kMaxCudaDims = 40;

// Writes all elements of the output, each once. The input is read within the bytes of its elements alone, from the
// first to the last one in memory. At most kMaxCudaDims dimensions, none of size 0; no mirrored strides.
LaunchError copy_windows_cuda(const Windows& windows, Stream stream);

}  // namespace torchcrop_fast
