// The window: which part of an input an output shows, through which strides, and what is seen around it.
#pragma once

#include <cstdint>

#include "border.h"

namespace torchcrop_fast {

// One dimension of a window. Along it out[i] = in[start + i] where that index lies in [0, in_size), and elsewhere what
// the border shows. All numbers count elements; strides are signed: a mirrored window is one of a mirrored input.
struct WindowDim {
  int64_t size;     // of the output, at least 1
  int64_t start;    // of the window on the input, one that near_start() returns; negative where the output begins first
  int64_t in_size;  // of the input
  int64_t in_stride;   // of the input; 0 where it is expanded
  int64_t out_stride;  // of the output

  // The output indexes [begin(), end()) see the input itself.
  int64_t begin() const { return start < 0 ? -start : 0; }
  int64_t end() const { return in_size - size < start ? in_size - start : size; }
};

// More than append_dim() ever keeps: each dimension it keeps, but for one, doubles the number of elements at least.
inline constexpr int kMaxDims = 64;

// A window of a strided input onto a strided output. Owns no memory.
struct Window {
  const char* in;    // the input's element at index 0 of every dimension; read only where the window sees it
  char* out;         // the output's element at index 0 of every dimension; shares no byte with what is read
  int element_size;  // bytes: 1, 2, 4, 8 or 16. Elements need not be aligned
  Border border = Border::kConstant;
  int dims;                            // used entries of dim
  WindowDim dim[kMaxDims];             // outermost first
  alignas(16) unsigned char fill[16];  // the fill element, over and over
};

// Adds the next inner dimension, in the simplest form that means the same: a dimension of one element that sees the
// input only moves the base, and one that is shown whole joins the dimension around it where both strides allow.
inline void append_dim(Window& window, const WindowDim& dim) {
  const int64_t first = dim.size == 1 ? border_index(window.border, dim.start, dim.in_size) : -1;
  if (first >= 0) {
    window.in += first * dim.in_stride * window.element_size;
    return;
  }
  if (dim.size == 1) {  // it sees the border alone, and so does the whole window: one such dimension says it
    for (int d = 0; d < window.dims; ++d) {
      if (window.dim[d].size == 1) {
        return;
      }
    }
  } else if (window.dims > 0) {
    WindowDim& outer = window.dim[window.dims - 1];
    const bool whole = dim.start == 0 && dim.size == dim.in_size;
    const bool joins = window.border == Border::kConstant || (outer.begin() == 0 && outer.end() == outer.size);
    if (whole && joins && outer.in_stride == dim.size * dim.in_stride &&
        outer.out_stride == dim.size * dim.out_stride) {
      outer = {outer.size * dim.size, outer.start * dim.size, outer.in_size * dim.size, dim.in_stride, dim.out_stride};
      return;
    }
  }
  window.dim[window.dims++] = dim;
}

// Reorders the dimensions, once all are there, so that what lies together in the input is read together: where columns
// lie far apart in it, the rows become those of which most share a line of the caches.
inline void order_for_reading(Window& window) {
  constexpr int64_t kLine = 64;        // bytes
  constexpr int64_t kFew = 16 * 1024;  // elements, whose lines stay near in any order
  const auto step = [&](const WindowDim& dim) {
    return (dim.in_stride < 0 ? -dim.in_stride : dim.in_stride) * window.element_size;
  };
  const auto share_a_line = [&](const WindowDim& dim) {
    const int64_t fit = step(dim) > 0 ? kLine / step(dim) : 1;
    return fit < dim.size ? fit : dim.size;
  };
  const int last = window.dims - 1;
  int64_t numel = 1;
  for (int d = 0; d <= last; ++d) {
    numel *= window.dim[d].size;
  }
  if (window.dims < 3 || step(window.dim[last]) < kLine || numel < kFew) {
    return;
  }
  int best = last - 1;
  for (int d = last - 2; d >= 0; --d) {
    best = share_a_line(window.dim[d]) > share_a_line(window.dim[best]) ? d : best;
  }
  const WindowDim dim = window.dim[best];
  for (int d = best; d < last - 1; ++d) {
    window.dim[d] = window.dim[d + 1];
  }
  window.dim[last - 1] = dim;
}

}  // namespace torchcrop_fast
