// Where the windows of a launch begin, as its threads read it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "device.h"

namespace torchcrop_fast {

// Places as a kernel takes them: strides count bytes, from an image to the next and from a window to the next.
template <class Index>
struct DevicePlaces {
  const char* starts;  // null: none are given
  const char* flips;   // null: none is mirrored
  Index start_strides[2];
  Index flip_strides[2];
  int64_t dim_of_starts;  // from a dimension to the next, likewise
  int64_t dim_of_flips;
  int first_flipped;
};

template <class Index>
DevicePlaces<Index> device_places(const Places& places) {
  constexpr int64_t kStart = sizeof(int64_t);
  return {
      reinterpret_cast<const char*>(places.starts),
      reinterpret_cast<const char*>(places.flips),
      {static_cast<Index>(places.start_strides[0] * kStart), static_cast<Index>(places.start_strides[1] * kStart)},
      {static_cast<Index>(places.flip_strides[0]), static_cast<Index>(places.flip_strides[1])},
      places.start_strides[2] * kStart,
      places.flip_strides[2],
      places.first_flipped};
}

// Whether strides of these places fit into 32 bits.
inline bool fit_32_bits(const Places& places) {
  const int64_t starts = std::max(places.start_strides[0], places.start_strides[1]) * int64_t{sizeof(int64_t)};
  return std::max({starts, places.flip_strides[0], places.flip_strides[1]}) < k32BitLimit;
}

// The places of one window.
struct WindowPlaces {
  const char* starts;
  const char* flips;
};

template <class Index>
TORCHCROP_FAST_DEVICE WindowPlaces places_of(const DevicePlaces<Index>& places, int64_t image, int64_t window) {
  return {
      places.starts + image * places.start_strides[0] + window * places.start_strides[1],
      places.flips + image * places.flip_strides[0] + window * places.flip_strides[1]};
}

// Of a window of an image, or of the image in its window where that is what is written. start: where windows begin if
// places don't say it. size, in_size: of what is written and of what it sees. period: of the border.
template <class Number, class Index>
TORCHCROP_FAST_DEVICE IndexMap<Index> index_map_of(
    const DevicePlaces<Number>& places,
    const WindowPlaces& window,
    Index period,
    bool windows_to_images,
    int dim,
    Index start,
    Index size,
    Index in_size) {
  const Index of_window = windows_to_images ? in_size : size, of_image = windows_to_images ? size : in_size;
  if (places.starts) {
    const auto given = load<int64_t>(window.starts + dim * places.dim_of_starts);
    start = static_cast<Index>(given);
    start = start == given ? near_start_of_period<Index>(period, start, of_window, of_image)
                           : static_cast<Index>(near_start_of_period<int64_t>(period, given, of_window, of_image));
  }
  const bool flipped =
      places.flips && dim >= places.first_flipped && load<uint8_t>(window.flips + dim * places.dim_of_flips) != 0;
  if (windows_to_images) {
    return flipped ? IndexMap<Index>{in_size - 1 + start, -1} : IndexMap<Index>{-start, 1};
  }
  return flipped ? IndexMap<Index>{start + size - 1, -1} : IndexMap<Index>{start, 1};
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
