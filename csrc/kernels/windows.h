// Many windows of one shape, and where they lie: what a call copies, adds up or normalizes, on any device.
#pragma once

#include <cstdint>

#include "pixel.h"
#include "window.h"

namespace torchcrop_fast {

// Where windows begin, and which are mirrored. Both lie where the kernel runs: on a GPU only its threads read them.
struct Places {
  const int64_t* starts =
      nullptr;                    // (images, windows of an image, spatial dimensions); null: window.dim has the starts
  int64_t start_strides[3] = {};  // of starts, in elements
  const bool* flips = nullptr;    // the same shape, or null: none is mirrored
  int64_t flip_strides[3] = {};   // of flips, in elements
  int first_flipped = 0;          // the spatial dimensions before this one are never mirrored
  int spatial_dims = 0;

  int64_t start(int64_t image, int64_t window, int d) const {
    return starts[image * start_strides[0] + window * start_strides[1] + d * start_strides[2]];
  }
  bool flipped(int64_t image, int64_t window, int d) const {
    return flips && d >= first_flipped &&
           flips[image * flip_strides[0] + window * flip_strides[1] + d * flip_strides[2]];
  }
};

// What windows of one shape show of the images they lie on: one each, or several. Strides count elements and are at
// least 0.
struct Windows {
  Window window;          // the first of them, on the first image. Where a place has a start, the dimension's is unused
  int spatial[kMaxDims];  // of each dimension: which entry of a place is its start; -1 where window.dim has it
  int64_t images = 1;
  int64_t windows_an_image = 1;
  int64_t in_image_stride = 0;   // from an image to the next one
  int64_t out_image_stride = 0;  // from an image's windows to the next one's
  int64_t out_window_stride = 0;
  Places places;
  // Reversed: window.in lies on windows and window.out on the images that places speak of. One window an image.
  bool windows_to_images = false;
};

// Windows on images that are normalized on the way: out = in * scale + bias in each channel, and outside of the image
// its fill.
struct NormalizedWindows {
  Windows windows;     // of the dimensions (channel, y, x), places as (y, x); element_size and fill are unused
  PixelType in_type;   // of window.in
  PixelType out_type;  // of window.out, which is contiguous: channel after channel, or pixel after pixel
  const float* scale;  // (channels), on the host
  const float* bias;   // (channels)
  const float* fill;   // (channels), of the output
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

// The windows of `images` images from this one on. in_bytes, out_bytes: of an element.
inline Windows some_images(const Windows& all, int64_t image, int64_t images, int64_t in_bytes, int64_t out_bytes) {
  Windows some = all;
  some.window.in += image * all.in_image_stride * in_bytes;
  some.window.out += image * all.out_image_stride * out_bytes;
  some.images = images;
  if (some.places.starts) {
    some.places.starts += image * some.places.start_strides[0];
  }
  if (some.places.flips) {
    some.places.flips += image * some.places.flip_strides[0];
  }
  return some;
}

// Which side of a mirrored window runs backwards: what it shows, or the window itself. For the gradient of a window,
// which is read, it is the window.
enum class Reversed { kIn, kOut };

// The ith window, counted through all images, but for its dimensions, which add(window, dim) gets one after another.
// For places on the CPU. in_bytes, out_bytes: of an element.
template <class Add>
Window make_window_at(
    const Windows& windows, int64_t i, Reversed reversed, int64_t in_bytes, int64_t out_bytes, const Add& add) {
  const Window& first = windows.window;
  const int64_t image = i / windows.windows_an_image, nth = i % windows.windows_an_image;
  Window window;  // the unused dimensions stay as they are: copying them would cost more than a small window
  window.in = first.in + image * windows.in_image_stride * in_bytes;
  window.out = first.out + (image * windows.out_image_stride + nth * windows.out_window_stride) * out_bytes;
  window.element_size = first.element_size;
  window.border = first.border;
  window.dims = 0;
  for (int d = 0; d < first.dims; ++d) {
    WindowDim dim = first.dim[d];
    const int spatial = windows.spatial[d];
    if (spatial >= 0) {
      // The sizes of the window and of its image, whichever is written.
      const int64_t size = windows.windows_to_images ? dim.in_size : dim.size;
      const int64_t image_size = windows.windows_to_images ? dim.size : dim.in_size;
      const int64_t given = windows.places.starts ? windows.places.start(image, nth, spatial) : dim.start;
      const int64_t start = near_start(first.border, given, size, image_size);
      dim.start = windows.windows_to_images ? -start : start;
      if (windows.places.flipped(image, nth, spatial)) {
        if (reversed == Reversed::kOut) {
          window.out += (dim.size - 1) * dim.out_stride * out_bytes;
          dim.out_stride = -dim.out_stride;
        } else {  // a window of what is mirrored, which begins at its other end
          dim.start = windows.windows_to_images ? dim.start : image_size - size - start;
          window.in += (dim.in_size > 0 ? dim.in_size - 1 : 0) * dim.in_stride * in_bytes;
          dim.in_stride = -dim.in_stride;
        }
      }
    }
    add(window, dim);
  }
  return window;
}

// The ith window, each of its dimensions as windows has it.
inline Window unmerged_window_at(
    const Windows& windows, int64_t i, Reversed reversed, int64_t in_bytes, int64_t out_bytes) {
  return make_window_at(windows, i, reversed, in_bytes, out_bytes, [](Window& window, const WindowDim& dim) {
    window.dim[window.dims++] = dim;
  });
}

// The ith window in the simplest form that shows the same, for copy_window_cpu.
inline Window window_at(const Windows& windows, int64_t i) {
  const int64_t bytes = windows.window.element_size;
  Window window = make_window_at(windows, i, Reversed::kIn, bytes, bytes, append_dim);
  for (int byte = 0; byte < 16; ++byte) {
    window.fill[byte] = windows.window.fill[byte];
  }
  order_for_reading(window);
  return window;
}

}  // namespace torchcrop_fast
