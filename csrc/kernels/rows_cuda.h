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
  Index period;  // of the border
  Repetition<Index> repetition;
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
  Divider<Index> row;            // of the output
  Divider<Index> pixel;          // of an element of the columns
  Index columns;                 // of the output, in pixels
  Index in_columns;              // likewise
  Index start;                   // of the columns, in pixels
  Repetition<Index> repetition;  // likewise
  Index period;                  // of the border, likewise
  Index in_pixel_stride;
  Index out_pixel_stride;
  int column_spatial;
  int unit;                 // what is copied at once where a chunk is not: at most 8
  bool leaves_borders;      // whether chunks in which a border begins or ends are written apart from the others
  bool has_seams;           // whether any are: those in which a row ends, too
  bool joins_rows;          // whether chunks may be joined of what lies together in the input
  bool reverses_chunks;     // whether the pixels of a chunk may be turned round together
  uint32_t reversed_bytes;  // of a word then, as __byte_perm has them
  bool repeats_pixels;      // whether a chunk may be filled with a pixel
  Chunk fill;               // of a chunk of the output

  DevicePlaces<Index> places;
  bool windows_to_images;
  Divider<Index> window_rows;
  Divider<Index> windows;  // of an image
  Index in_image_stride;
  Index out_image_stride;
  Index out_window_stride;

  Divider<Index> threads;  // of a block
  Index chunks;            // of the output; or units, where it has gaps
  int block_chunks;        // how many of them a block writes

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

// What a thread knows of the window that it looked at last, so that places are read only where it comes to another.
template <int kOuter, class Index>
struct KnownWindow {
  Index nth = -1;
  Index in;   // bytes from the aligned input to its image
  Index out;  // bytes from the output's first element to it
  IndexMap<Index> dim[kOuter > 0 ? kOuter : 1];
  IndexMap<Index> columns;
};
template <class Index>
struct KnownWindow<kAnyOuter, Index> {};  // of so many dimensions nothing is kept

template <bool kRepeats, int kOuter, class Index>
TORCHCROP_FAST_DEVICE IndexMap<Index> map_of(
    const CopyParameters<Index, kOuter>& p,
    const WindowPlaces& places,
    int spatial,
    Index period,
    Index start,
    Index size,
    Index in_size) {
  if (spatial < 0) {
    return {start, 1};
  }
  return index_map_of(
      p.places, places, kRepeats ? period : Index{0}, p.windows_to_images, spatial, start, size, in_size);
}

// Finds what a row shows. kPlaced: the windows' starts are read. kRepeats: the border repeats the input.
template <bool kPlaced, bool kRepeats, bool kStridedOut, int kOuter, class Index>
TORCHCROP_FAST_DEVICE Row<Index> find_row(
    const CopyParameters<Index, kOuter>& p, Index index, KnownWindow<kOuter, Index>& known) {
  constexpr bool kKept = kPlaced && kOuter != kAnyOuter;
  Row<Index> row{p.in_shift, 0, {p.start, 1}, 0, 0};
  WindowPlaces places{};
  if constexpr (kPlaced) {
    const Index nth = p.window_rows.divide(index);
    index -= nth * p.window_rows.size();
    bool is_new = true;
    if constexpr (kKept) {
      is_new = nth != known.nth;
    }
    if (is_new) {
      const Index image = p.windows.divide(nth), window = nth - image * p.windows.size();
      places = places_of(p.places, image, window);
      row.in += image * p.in_image_stride;
      row.out += kStridedOut ? image * p.out_image_stride + window * p.out_window_stride : 0;
      row.columns = map_of<kRepeats>(p, places, p.column_spatial, p.period, p.start, p.columns, p.in_columns);
      if constexpr (kKept) {
        known.nth = nth;
        known.in = row.in;
        known.out = row.out;
        known.columns = row.columns;
        TORCHCROP_FAST_UNROLLED
        for (int d = 0; d < kOuter; ++d) {
          const OuterDim<Index>& dim = p.dim[d];
          known.dim[d] = map_of<kRepeats>(p, places, dim.spatial, dim.period, dim.start, dim.size.size(), dim.in_size);
        }
      }
    }
    if constexpr (kKept) {
      row.in = known.in;
      row.out = known.out;
      row.columns = known.columns;
    }
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
    if constexpr (kKept) {
      map = known.dim[d];
    } else if constexpr (kPlaced) {
      map = map_of<kRepeats>(p, places, dim.spatial, dim.period, dim.start, dim.size.size(), dim.in_size);
    }
    Index at = map.base + (kPlaced ? map.step * i : i);
    if constexpr (kRepeats) {
      if (!is_inside(at, dim.in_size)) {
        const IndexMap<Index> there = dim.repetition({at, 0}, at < 0);
        at = is_inside(there.base, dim.in_size) ? there.base : border_index(p.border, at, dim.in_size);
      }
    } else {
      seen = seen && is_inside(at, dim.in_size);
    }
    row.in += at * dim.in_stride;
    row.out += kStridedOut ? i * dim.out_stride : 0;
  }
  if (seen) {
    const Index base = row.columns.base;
    const bool forward = !kPlaced || row.columns.step > 0;
    const Index begin = forward ? -base : base - p.in_columns + 1;
    const Index end = forward ? p.in_columns - base : base + 1;
    row.begin = (begin < 0 ? 0 : begin) * p.pixel.size();
    row.end = (end > p.columns ? p.columns : end) * p.pixel.size();
    row.end = row.end < row.begin ? row.begin : row.end;
  }
  return row;
}

}  // namespace
}  // namespace torchcrop_fast
