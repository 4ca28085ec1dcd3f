// Where the windows of a launch begin, as its threads read it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "device.h"

namespace torchcrop_fast {

// What a window's index i sees along one dimension: the input's index base + step * i.
template <class Index>
struct IndexMap {
  Index base;
  Index step;  // 1, or -1 where it is mirrored
};

TORCHCROP_FAST_DEVICE int64_t given_start(const Places& places, int64_t image, int64_t window, int dim) {
  const int64_t at = image * places.start_strides[0] + window * places.start_strides[1] + dim * places.start_strides[2];
  return load<int64_t>(reinterpret_cast<const char*>(places.starts + at));
}

TORCHCROP_FAST_DEVICE bool is_flipped(const Places& places, int64_t image, int64_t window, int dim) {
  if (!places.flips || dim < places.first_flipped) {
    return false;
  }
  const int64_t at = image * places.flip_strides[0] + window * places.flip_strides[1] + dim * places.flip_strides[2];
  return load<uint8_t>(reinterpret_cast<const char*>(places.flips + at)) != 0;
}

// Of a window of an image, or of the image in its window where that is what is written. start: where windows begin if
// places don't say it. size, in_size: of what is written and of what it sees.
template <class Index>
TORCHCROP_FAST_DEVICE IndexMap<Index> index_map_of(
    const Places& places,
    Border border,
    bool windows_to_images,
    int64_t image,
    int64_t window,
    int dim,
    Index start,
    Index size,
    Index in_size) {
  const int64_t given = places.starts ? given_start(places, image, window, dim) : start;
  const bool flipped = is_flipped(places, image, window, dim);
  if (windows_to_images) {
    const auto near = static_cast<Index>(near_start(border, given, in_size, size));
    return flipped ? IndexMap<Index>{in_size - 1 + near, -1} : IndexMap<Index>{-near, 1};
  }
  const auto near = static_cast<Index>(near_start(border, given, size, in_size));
  return flipped ? IndexMap<Index>{near + size - 1, -1} : IndexMap<Index>{near, 1};
}

// The bytes of such an array, of elements of any type.
template <class T>
Accesses::Range range_of(const T* first, const int64_t (&strides)[3], int64_t images, int64_t windows, int64_t dims) {
  if (!first) {
    return {nullptr, nullptr};
  }
  return {first, first + (images - 1) * strides[0] + (windows - 1) * strides[1] + (dims - 1) * strides[2] + 1};
}

inline Accesses::Range starts_of(const Windows& windows) {
  const Places& places = windows.places;
  return range_of(places.starts, places.start_strides, windows.images, windows.windows_an_image, places.spatial_dims);
}
inline Accesses::Range flips_of(const Windows& windows) {
  const Places& places = windows.places;
  return range_of(places.flips, places.flip_strides, windows.images, windows.windows_an_image, places.spatial_dims);
}

}  // namespace torchcrop_fast
