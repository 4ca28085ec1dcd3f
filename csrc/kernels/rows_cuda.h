// What a launch that copies windows is told, and what of it a row of the output shows.
#pragma once

#include <cstdint>

#include "device.h"
#include "places_cuda.h"

namespace torchcrop_fast {
namespace {

// A dimension around the rows. Strides count bytes.
template <class Index>
struct OuterDim {
  Divider<Index> size;  // of the output
  Index in_size;
  Index start;
  Index in_stride;
  Index out_stride;
  int spatial;
};

// Sizes, strides and shifts count bytes, but for those of dimensions. kOuter: how many dimensions lie around the rows
// of a window, or kAnyOuter: with few of them a launch has less to bring to the GPU.
constexpr int kAnyOuter = -1;
template <class Index, int kOuter>
struct CopyParameters {
  const char* in;     // the input, from the multiple of 16 before it on
  Index in_shift;     // from there to the element at index 0 of every dimension
  Index first_chunk;  // from there to the first chunk that lies in the input
  Index last_chunk;   // from that one to the last; negative if there is none
  char* out;          // the output, likewise
  Index out_shift;
  Index out_bytes;

  Border border;
  Divider<Index> row;    // of the output
  Index rows;            // how many
  Divider<Index> pixel;  // of an element of the columns
  Index columns;         // of the output, in pixels
  Index in_columns;      // likewise
  Index start;           // of the columns, in pixels
  Index in_pixel_stride;
  Index out_pixel_stride;
  int column_spatial;
  int unit;              // what is copied at once where a chunk is not: at most 8
  bool bordered;         // whether some rows show fill beside the input
  bool whole_chunks;     // as Copy has it
  bool reverses_chunks;  // whether the pixels of a chunk may be turned round together
  Chunk fill;            // of a chunk of the output

  Places places;
  bool windows_to_images;
  Divider<Index> window_rows;
  Divider<Index> windows;  // of an image
  Index in_image_stride;
  Index out_image_stride;
  Index out_window_stride;

  Index chunks;      // of the output; or units, where it has gaps
  int block_chunks;  // how many of them a block writes

  int outer;  // used entries of dim
  OuterDim<Index> dim[kOuter == kAnyOuter ? kMaxCudaDims : kOuter];
};

// What a row of the output shows.
template <class Index>
struct Row {
  Index in;   // bytes from the aligned input to the row's column 0
  Index out;  // bytes from the output's element at index 0 to it; of strided outputs only
  IndexMap<Index> columns;
  Index begin, end;  // the row's bytes [begin, end) see the input itself; none, in a row of nothing but fill
};

// Finds what a row shows. kPlaced: the windows' starts are read.
template <bool kPlaced, bool kStridedOut, int kOuter, class Index>
TORCHCROP_FAST_DEVICE Row<Index> find_row(const CopyParameters<Index, kOuter>& p, Index index) {
  Row<Index> row{p.in_shift, 0, {p.start, 1}, 0, 0};
  Index image = 0, window = 0;
  if (kPlaced) {
    const Index nth = p.window_rows.divide(index);
    index -= nth * p.window_rows.size();
    image = p.windows.divide(nth);
    window = nth - image * p.windows.size();
    row.in += image * p.in_image_stride;
    row.out += kStridedOut ? image * p.out_image_stride + window * p.out_window_stride : 0;
  }
  bool seen = true;
  const int outer = kOuter == kAnyOuter ? p.outer : kOuter;
  TORCHCROP_FAST_UNROLLED
  for (int d = outer - 1; d >= 0; --d) {
    const OuterDim<Index>& dim = p.dim[d];
    const Index around = d > 0 ? dim.size.divide(index) : 0;
    const Index i = index - around * dim.size.size();
    index = around;
    IndexMap<Index> map{dim.start, 1};
    if (kPlaced && dim.spatial >= 0) {
      map = index_map_of(
          p.places, p.border, p.windows_to_images, image, window, dim.spatial, dim.start, dim.size.size(), dim.in_size);
    }
    Index at = map.base + map.step * i;
    if (p.border == Border::kConstant) {
      seen = seen && is_inside(at, dim.in_size);
    } else {
      at = border_index(p.border, at, dim.in_size);
    }
    row.in += at * dim.in_stride;
    row.out += kStridedOut ? i * dim.out_stride : 0;
  }
  if (kPlaced && p.column_spatial >= 0) {
    row.columns = index_map_of(
        p.places, p.border, p.windows_to_images, image, window, p.column_spatial, p.start, p.columns, p.in_columns);
  }
  if (seen) {
    const Index base = row.columns.base;
    const Index begin = row.columns.step > 0 ? -base : base - p.in_columns + 1;
    const Index end = row.columns.step > 0 ? p.in_columns - base : base + 1;
    row.begin = (begin < 0 ? 0 : begin) * p.pixel.size();
    row.end = (end > p.columns ? p.columns : end) * p.pixel.size();
    row.end = row.end < row.begin ? row.begin : row.end;
  }
  return row;
}

}  // namespace
}  // namespace torchcrop_fast
