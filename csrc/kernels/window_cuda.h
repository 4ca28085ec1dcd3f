// Copies windows on a GPU: all windows of a call in one launch.
#pragma once

#include <cstdint>

#include "window.h"

struct CUstream_st;

namespace torchcrop_fast {

using Stream = CUstream_st*;  // a cudaStream_t
using LaunchError = int;      // a cudaError_t

// Each dimension of what fits into memory, but for one, doubles the number of elements at least.
inline constexpr int kMaxCudaDims = 40;

// Where windows begin, and which are mirrored: read by the kernel, on the device.
struct Places {
  const int64_t* starts = nullptr;  // (images, windows of an image, spatial dimensions)
  int64_t start_strides[3] = {};    // of starts, in elements
  const bool* flips = nullptr;      // the same shape, or null: none is mirrored
  int64_t flip_strides[3] = {};     // of flips, in elements
  int first_flipped = 0;            // the spatial dimensions before this one are never mirrored
  int spatial_dims = 0;
};

// What windows of one shape show of the images they lie on: one each, or several. Strides count elements and are at
// least 0.
struct Windows {
  Window window;          // the first of them, on the first image. The start of a spatial dimension means nothing
  int spatial[kMaxDims];  // of each dimension: which entry of a place is its start; -1 where window.dim says it
  int64_t images = 1;
  int64_t windows_an_image = 1;
  int64_t in_image_stride = 0;   // from an image to the next one
  int64_t out_image_stride = 0;  // from an image's windows to the next one's
  int64_t out_window_stride = 0;
  Places places;
  // Turned round: window.in lies on windows and window.out on the images that places speak of. One window an image.
  bool onto_images = false;
};

// Elements from the first one in memory to the last, and one more: of what window.in lies on, and window.out.
inline int64_t in_extent(const Windows& windows) {
  int64_t last = (windows.images - 1) * windows.in_image_stride;
  for (int d = 0; d < windows.window.dims; ++d) {
    const WindowDim& dim = windows.window.dim[d];
    if (dim.in_size == 0) {
      return 0;
    }
    last += (dim.in_size - 1) * dim.in_stride;
  }
  return last + 1;
}
inline int64_t out_extent(const Windows& windows) {
  int64_t last = (windows.images - 1) * windows.out_image_stride;
  last += (windows.windows_an_image - 1) * windows.out_window_stride;
  for (int d = 0; d < windows.window.dims; ++d) {
    last += (windows.window.dim[d].size - 1) * windows.window.dim[d].out_stride;
  }
  return last + 1;
}

// Writes all elements of the output, each once. The input is read within the bytes of its elements alone, from the
// first to the last one in memory. At most kMaxCudaDims dimensions, none of size 0; no mirrored strides.
LaunchError copy_windows_cuda(const Windows& windows, Stream stream);

}  // namespace torchcrop_fast
