// The adjoint of windows as a gather: each thread adds up one element of the input's gradient, without atomics.
#include "adjoint_cuda.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "device.h"
#include "places_cuda.h"

namespace torchcrop_fast {
namespace {

// Sizes count elements and strides bytes.
template <class Index>
struct AddedDim {
  Divider<Index> in_size;
  Index size;
  Index start;
  Index in_stride;
  Index out_stride;
  int spatial;
};

template <class Index>
struct AddParameters {
  char* in;
  const char* out;
  Index elements;  // of in
  Border border;
  DevicePlaces<Index> places;
  Divider<Index> image_size;  // elements of an image
  Index windows;              // of an image
  Index in_image_stride;      // bytes, as are the next two
  Index out_image_stride;
  Index out_window_stride;
  int dims;
  AddedDim<Index> dim[kMaxCudaDims];
};

// One dimension of an element of the input's gradient, and what shows it of a window.
template <class Index>
struct DimOccurrences {
  Occurrences<Index> occurrences;
  IndexMap<Index> map;
};

template <bool kPlaced, class Index>
TORCHCROP_FAST_DEVICE DimOccurrences<Index> find_occurrences(
    const AddParameters<Index>& p, const AddedDim<Index>& dim, const WindowPlaces& places, Index index) {
  IndexMap<Index> map{dim.start, 1};
  if (kPlaced && dim.spatial >= 0) {
    map = index_map_of(
        p.places, places, border_period(p.border, dim.in_size.size()), false, dim.spatial, dim.start, dim.size,
        dim.in_size.size());
  }
  const Index start = map.step > 0 ? map.base : map.base - dim.size + 1;
  return {occurrences_of(p.border, start, dim.size, dim.in_size.size(), index), map};
}

// Bytes from the window's index 0 to the nth image.
template <class Index>
TORCHCROP_FAST_DEVICE Index place_of(const AddedDim<Index>& dim, const DimOccurrences<Index>& shown, Index nth) {
  const Index at = shown.occurrences[nth];
  return (shown.map.step > 0 ? at : dim.size - 1 - at) * dim.out_stride;
}

template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
TORCHCROP_FAST_DEVICE Sum<T> load_number(const char* from) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return to_float(T{load<uint16_t>(from)});
  } else {
    return load<T>(from);
  }
}

template <class T>
TORCHCROP_FAST_DEVICE void store_number(char* to, Sum<T> sum) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    store(to, static_cast<uint16_t>(rounded_pair<T, true>(sum, 0)));
  } else {
    store(to, sum);
  }
}

// How often a window shows an element, and where it does so for the nth time: bytes from the window's index 0.
template <class Index>
struct NthOccurrence {
  Index count;
  Index place;
};

// element: its index in the image, were that contiguous.
template <bool kPlaced, class Index>
TORCHCROP_FAST_DEVICE NthOccurrence<Index> find_nth_occurrence(
    const AddParameters<Index>& p, Index image, Index window, Index element, Index nth) {
  const WindowPlaces places = kPlaced ? places_of(p.places, image, window) : WindowPlaces{};
  NthOccurrence<Index> found{1, 0};
  for (int d = p.dims - 1; d >= 0; --d) {
    const AddedDim<Index>& dim = p.dim[d];
    const Index around = dim.in_size.divide(element);
    const DimOccurrences<Index> shown =
        find_occurrences<kPlaced>(p, dim, places, element - around * dim.in_size.size());
    element = around;
    const Index count = shown.occurrences.count;
    if (count == 0) {
      return {0, 0};
    }
    found.count *= count;
    found.place += place_of(dim, shown, nth % count);
    nth /= count;
  }
  return found;
}

// Adds what a window shows of an element.
template <bool kPlaced, class T, class Index>
TORCHCROP_FAST_DEVICE Sum<T> add_window(
    const AddParameters<Index>& p, Index image, Index window, Index element, Sum<T> sum) {
  const char* const out = p.out + image * p.out_image_stride + window * p.out_window_stride;
  const NthOccurrence<Index> first = find_nth_occurrence<kPlaced>(p, image, window, element, Index{0});
  if (first.count > 0) {
    sum += load_number<T>(out + first.place);
  }
  for (Index nth = 1; nth < first.count; ++nth) {  // few elements are shown again
    sum += load_number<T>(out + find_nth_occurrence<kPlaced>(p, image, window, element, nth).place);
  }
  return sum;
}

template <bool kPlaced, class T, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(1))
    add_windows_kernel(const __grid_constant__ AddParameters<Index> p) {
  const Index nth = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  if (nth >= p.elements) {
    return;
  }
  const Index image = p.image_size.divide(nth);
  const Index element = nth - image * p.image_size.size();
  Sum<T> sum = 0;
  for (Index window = 0; window < p.windows; ++window) {
    sum = add_window<kPlaced, T>(p, image, window, element, sum);
  }
  Index place = image * p.in_image_stride, rest = element;
  for (int d = p.dims - 1; d >= 0; --d) {
    const AddedDim<Index>& dim = p.dim[d];
    const Index around = dim.in_size.divide(rest);
    place += (rest - around * dim.in_size.size()) * dim.in_stride;
    rest = around;
  }
  store_number<T>(p.in + place, sum);
}

// Elements of all images.
int64_t elements_of(const Windows& windows) {
  int64_t elements = windows.images;
  for (int d = 0; d < windows.window.dims; ++d) {
    elements *= windows.window.dim[d].in_size;
  }
  return elements;
}

// Whether no number that a thread computes reaches 2^31.
bool fits_32_bits(const Windows& windows) {
  int64_t longest = 0;
  for (int d = 0; d < windows.window.dims; ++d) {
    const WindowDim& dim = windows.window.dim[d];
    longest = std::max({longest, dim.size, dim.in_size, std::abs(dim.start)});
  }
  const int64_t bytes = std::max(in_extent(windows), out_extent(windows)) * windows.window.element_size;
  return fit_32_bits(windows.places) && std::max({bytes, elements_of(windows), 8 * longest}) < k32BitLimit;
}

template <class T, class Index>
LaunchError add_as(const Windows& windows, Stream stream) {
  const Window& window = windows.window;
  const int64_t elements = elements_of(windows);
  const auto bytes = [&](int64_t elements) { return static_cast<Index>(elements * window.element_size); };
  AddParameters<Index> p{};
  p.in = const_cast<char*>(window.in);
  p.out = window.out;
  p.elements = static_cast<Index>(elements);
  p.border = window.border;
  p.places = device_places<Index>(windows.places);
  p.image_size = Divider<Index>(elements / windows.images);
  p.windows = static_cast<Index>(windows.windows_an_image);
  p.in_image_stride = bytes(windows.in_image_stride);
  p.out_image_stride = bytes(windows.out_image_stride);
  p.out_window_stride = bytes(windows.out_window_stride);
  p.dims = window.dims;
  for (int d = 0; d < window.dims; ++d) {
    const WindowDim& dim = window.dim[d];
    p.dim[d] = {Divider<Index>(dim.in_size), static_cast<Index>(dim.size), static_cast<Index>(dim.start),
                bytes(dim.in_stride),        bytes(dim.out_stride),        windows.spatial[d]};
  }
  const Accesses accesses{
      {{window.out, window.out + out_extent(windows) * window.element_size}, starts_of(windows), flips_of(windows)},
      {window.in, window.in + in_extent(windows) * window.element_size},
      elements * window.element_size};
  const int64_t blocks = (elements + kThreads - 1) / kThreads;
  const bool placed = windows.places.starts || windows.places.flips;
  const auto kernel = placed ? add_windows_kernel<true, T, Index> : add_windows_kernel<false, T, Index>;
  return launch(kernel, blocks, kThreads, stream, p, accesses);
}

template <class T>
LaunchError add(const Windows& windows, Stream stream) {
  return fits_32_bits(windows) ? add_as<T, int32_t>(windows, stream) : add_as<T, int64_t>(windows, stream);
}

}  // namespace

LaunchError add_windows_cuda(const Windows& windows, Real type, Stream stream) {
  switch (type) {
    case Real::kHalf:
      return add<Half>(windows, stream);
    case Real::kBFloat16:
      return add<BFloat16>(windows, stream);
    case Real::kFloat:
      return add<float>(windows, stream);
    default:
      return add<double>(windows, stream);
  }
}

}  // namespace torchcrop_fast
