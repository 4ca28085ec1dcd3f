// The kernels for windows that are normalized, on GPUs: each thread makes 16 bytes of a channel's row, or of all three
// or four channels' where they lie together in the input.
#include "normalize_cuda.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "device.h"
#include "places_cuda.h"

namespace torchcrop_fast {
namespace {

// One dimension of images and windows, in elements.
struct PixelDim {
  int32_t size;
  int32_t in_size;
  int32_t start;
  int64_t in_stride;
  int64_t out_stride;
};

struct NormalizeParameters {
  const char* in;      // the input, from the multiple of 4 bytes before it on
  int in_shift;        // bytes from there to the element at index 0 of every dimension
  int64_t first_word;  // bytes from there to the first word of 4 bytes that lies in the input
  int64_t last_word;   // and to the last; less than the first if there is none
  char* out;
  Border border;
  Places places;
  Divider<int32_t> windows;  // of an image
  int64_t in_image_stride;   // elements, as are the next two
  int64_t out_image_stride;
  int64_t out_window_stride;
  PixelDim y, x;
  int32_t channels;
  int64_t in_channel_stride;
  int64_t out_channel_stride;
  bool together;            // what a thread reads lies side by side
  Divider<int32_t> groups;  // of a row: what threads make
  Divider<int32_t> rows;    // of a channel, of all channels
  Divider<int32_t> planes;  // of a window: channels, if each has threads of its own
  int32_t threads;          // that make anything
  float scale[kLaunchChannels];
  float bias[kLaunchChannels];
  float fill[kLaunchChannels];
};

template <class T>
TORCHCROP_FAST_DEVICE float load_pixel(const char* from) {
  if constexpr (sizeof(T) == 1) {
    return to_float(load<uint8_t>(from));
  } else if constexpr (sizeof(T) == 2) {
    return to_float(std::bit_cast<T>(load<uint16_t>(from)));
  } else {
    return load<float>(from);
  }
}

// The nth element of those in words.
template <class T>
TORCHCROP_FAST_DEVICE float pixel_of(const uint32_t* words, int nth) {
  if constexpr (sizeof(T) == 1) {
    return to_float(static_cast<uint8_t>(words[nth / 4] >> (8 * (nth % 4))));
  } else if constexpr (sizeof(T) == 2) {
    return to_float(std::bit_cast<T>(static_cast<uint16_t>(words[nth / 2] >> (16 * (nth % 2)))));
  } else {
    return std::bit_cast<float>(words[nth]);
  }
}

template <class T>
TORCHCROP_FAST_DEVICE void store_pixel(char* to, float number) {
  if constexpr (sizeof(T) == 2) {
    store(to, from_float<T>(number).bits);
  } else {
    store(to, number);
  }
}

// Writes n of a thread's elements side by side.
template <class T, int kElements>
TORCHCROP_FAST_DEVICE void store_pixels(char* to, const float (&numbers)[kElements], int n) {
  if (n < kElements || (reinterpret_cast<uintptr_t>(to) & (kChunkBytes - 1)) != 0) {
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (i < n) {
        store_pixel<T>(to + i * sizeof(T), numbers[i]);
      }
    }
    return;
  }
  Chunk chunk;
#pragma unroll
  for (int word = 0; word < 4; ++word) {
    if constexpr (sizeof(T) == 2) {
      const uint32_t low = from_float<T>(numbers[2 * word]).bits, high = from_float<T>(numbers[2 * word + 1]).bits;
      chunk.word[word] = low | high << 16;
    } else {
      chunk.word[word] = std::bit_cast<uint32_t>(numbers[word]);
    }
  }
  store(to, chunk);
}

// What a thread writes of one window.
struct Part {
  int64_t in;   // bytes from the input to the image's row, or less than 0 for a row of nothing but fill
  int64_t out;  // elements from the output to the window's row
  IndexMap<int32_t> columns;
  int32_t group;
  int32_t plane;
};

TORCHCROP_FAST_DEVICE Part find_part(const NormalizeParameters& p, int32_t thread, int in_bytes) {
  Part part;
  const int32_t line = p.groups.divide(thread);
  part.group = thread - line * p.groups.size();
  const int32_t all = p.rows.divide(line);
  const int32_t y = line - all * p.rows.size();
  const int32_t nth = p.planes.divide(all);
  part.plane = all - nth * p.planes.size();
  const int32_t image = p.windows.divide(nth);
  const int32_t window = nth - image * p.windows.size();
  const IndexMap<int32_t> rows =
      index_map_of(p.places, p.border, false, image, window, 0, p.y.start, p.y.size, p.y.in_size);
  part.columns = index_map_of(p.places, p.border, false, image, window, 1, p.x.start, p.x.size, p.x.in_size);
  const int32_t at = border_index(p.border, rows.base + rows.step * y, p.y.in_size);
  part.in = at < 0 ? -1 : p.in_shift + (image * p.in_image_stride + at * p.y.in_stride) * in_bytes;
  part.out = image * p.out_image_stride + window * p.out_window_stride + y * p.y.out_stride;
  return part;
}

// The result at one column of a channel.
template <class In>
TORCHCROP_FAST_DEVICE float look_up(const NormalizeParameters& p, const Part& part, int32_t channel, int32_t column) {
  const int32_t at = border_index(p.border, part.columns.base + part.columns.step * column, p.x.in_size);
  if (part.in < 0 || at < 0) {
    return p.fill[channel];
  }
  const int64_t place = (channel * p.in_channel_stride + at * p.x.in_stride) * static_cast<int64_t>(sizeof(In));
  return fmaf(load_pixel<In>(p.in + part.in + place), p.scale[channel], p.bias[channel]);
}

// Loads kWords words from this byte of the input on, which need not be aligned.
template <int kWords>
TORCHCROP_FAST_DEVICE void load_words(const char* in, int64_t at, uint32_t (&words)[kWords]) {
  const int64_t first = at & ~int64_t{3};
  const int64_t last = (at + 4 * kWords - 1) & ~int64_t{3};
  const auto bits = static_cast<uint32_t>(8 * (at - first));
  uint32_t low = load<uint32_t>(in + first);
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    const uint32_t high = load<uint32_t>(in + (i + 1 < kWords ? first + 4 * (i + 1) : last));
    words[i] = __funnelshift_r(low, high, bits);
    low = high;
  }
}

// Rows of channels, kChannels of them at once: 1, or all, side by side in the input.
template <class In, class Out, int kChannels>
__global__ void __launch_bounds__(kThreads, min_blocks<int32_t>(true))
    normalize_planes_kernel(const __grid_constant__ NormalizeParameters p) {
  constexpr int kPixels = kChunkBytes / sizeof(Out);
  constexpr int kBytes = kPixels * kChannels * sizeof(In);
  const int32_t thread = static_cast<int32_t>(blockIdx.x) * kThreads + static_cast<int32_t>(threadIdx.x);
  if (thread >= p.threads) {
    return;
  }
  const Part part = find_part(p, thread, sizeof(In));
  const int32_t first = part.group * kPixels;
  const int32_t left = p.x.size - first;
  const int32_t n = left < kPixels ? left : kPixels;
  const bool mirrored = part.columns.step < 0;
  const int32_t begin = part.columns.base + part.columns.step * first;
  const int32_t leftmost = mirrored ? begin - (kPixels - 1) : begin;
  char* const out = p.out + (part.out + part.plane * p.out_channel_stride + first) * sizeof(Out);
  float numbers[kPixels];
  if (p.together && part.in >= 0 && n == kPixels && leftmost >= 0 && leftmost + kPixels <= p.x.in_size) {
    const int64_t at = part.in + (part.plane * p.in_channel_stride + leftmost * int64_t{kChannels}) * sizeof(In);
    if ((at & ~int64_t{3}) >= p.first_word && ((at + kBytes - 1) & ~int64_t{3}) <= p.last_word) {
      uint32_t words[kBytes / 4];
      load_words(p.in, at, words);
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        const int32_t channel = part.plane + c;
#pragma unroll
        for (int i = 0; i < kPixels; ++i) {
          const float there = pixel_of<In>(words, i * kChannels + c);
          const float mirror = pixel_of<In>(words, (kPixels - 1 - i) * kChannels + c);
          numbers[i] = fmaf(mirrored ? mirror : there, p.scale[channel], p.bias[channel]);
        }
        store_pixels<Out>(out + c * p.out_channel_stride * static_cast<int64_t>(sizeof(Out)), numbers, n);
      }
      return;
    }
  }
  for (int c = 0; c < kChannels; ++c) {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      numbers[i] = i < n ? look_up<In>(p, part, part.plane + c, first + i) : 0;
    }
    store_pixels<Out>(out + c * p.out_channel_stride * static_cast<int64_t>(sizeof(Out)), numbers, n);
  }
}

// Rows of pixels, of any number of channels.
template <class In, class Out>
__global__ void __launch_bounds__(kThreads, min_blocks<int32_t>(true))
    normalize_pixels_kernel(const __grid_constant__ NormalizeParameters p) {
  constexpr int kElements = kChunkBytes / sizeof(Out);
  const int32_t thread = static_cast<int32_t>(blockIdx.x) * kThreads + static_cast<int32_t>(threadIdx.x);
  if (thread >= p.threads) {
    return;
  }
  const Part part = find_part(p, thread, sizeof(In));
  const int32_t first = part.group * kElements;
  const int32_t left = p.x.size * p.channels - first;
  const int32_t n = left < kElements ? left : kElements;
  int32_t column = first / p.channels;
  int32_t channel = first - column * p.channels;
  const bool contiguous = p.x.out_stride == p.channels;
  char* const row = p.out + part.out * static_cast<int64_t>(sizeof(Out));
  float numbers[kElements];
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    if (i < n) {
      numbers[i] = look_up<In>(p, part, channel, column);
      if (!contiguous) {
        store_pixel<Out>(row + (column * p.x.out_stride + channel) * static_cast<int64_t>(sizeof(Out)), numbers[i]);
      }
      ++channel;
      column += channel == p.channels ? 1 : 0;
      channel = channel == p.channels ? 0 : channel;
    }
  }
  if (contiguous) {
    store_pixels<Out>(row + first * static_cast<int64_t>(sizeof(Out)), numbers, n);
  }
}

int64_t bytes_of(PixelType type) { return type == PixelType::kUint8 ? 1 : (type == PixelType::kFloat ? 4 : 2); }

using Kernel = void (*)(NormalizeParameters);

template <class In, class Out>
Kernel kernel_for(bool planes, int channels_at_once) {
  if (!planes) {
    return normalize_pixels_kernel<In, Out>;
  }
  if constexpr (sizeof(In) == 1) {
    if (channels_at_once == 3) {
      return normalize_planes_kernel<In, Out, 3>;
    }
    if (channels_at_once == 4) {
      return normalize_planes_kernel<In, Out, 4>;
    }
  }
  return normalize_planes_kernel<In, Out, 1>;
}

template <class In>
Kernel kernel_from(PixelType out_type, bool planes, int channels_at_once) {
  switch (out_type) {
    case PixelType::kHalf:
      return kernel_for<In, Half>(planes, channels_at_once);
    case PixelType::kBFloat16:
      return kernel_for<In, BFloat16>(planes, channels_at_once);
    default:
      return kernel_for<In, float>(planes, channels_at_once);
  }
}

Kernel kernel_from(PixelType in_type, PixelType out_type, bool planes, int channels_at_once) {
  switch (in_type) {
    case PixelType::kUint8:
      return kernel_from<uint8_t>(out_type, planes, channels_at_once);
    case PixelType::kHalf:
      return kernel_from<Half>(out_type, planes, channels_at_once);
    case PixelType::kBFloat16:
      return kernel_from<BFloat16>(out_type, planes, channels_at_once);
    default:
      return kernel_from<float>(out_type, planes, channels_at_once);
  }
}

PixelDim pixel_dim(const WindowDim& dim) {
  return {
      static_cast<int32_t>(dim.size), static_cast<int32_t>(dim.in_size), static_cast<int32_t>(dim.start), dim.in_stride,
      dim.out_stride};
}

// `channels` channels from this one on, of `images` images from this one on.
Windows part_of(const NormalizedWindows& all, int64_t channel, int64_t channels, int64_t image, int64_t images) {
  Windows part = all.windows;
  WindowDim& of_channels = part.window.dim[0];
  part.window.in += (image * part.in_image_stride + channel * of_channels.in_stride) * bytes_of(all.in_type);
  part.window.out += (image * part.out_image_stride + channel * of_channels.out_stride) * bytes_of(all.out_type);
  of_channels.size = of_channels.in_size = channels;
  part.images = images;
  if (part.places.starts) {
    part.places.starts += image * part.places.start_strides[0];
  }
  if (part.places.flips) {
    part.places.flips += image * part.places.flip_strides[0];
  }
  return part;
}

// Launches for a part of all, whose channels begin with this one.
LaunchError launch_part(const NormalizedWindows& all, const Windows& part, int64_t channel, Stream stream) {
  const WindowDim &of_channels = part.window.dim[0], &y = part.window.dim[1], &x = part.window.dim[2];
  const int64_t channels = of_channels.size;
  const int64_t in_bytes = bytes_of(all.in_type), out_bytes = bytes_of(all.out_type);
  const bool planes = x.out_stride == 1;
  [[maybe_unused]] const bool side_by_side = of_channels.in_stride == 1 && x.in_stride == channels;
#if defined(TORCHCROP_FAST_CHANNEL_A_THREAD)
  const bool at_once = false;
#else
  const bool at_once = planes && all.in_type == PixelType::kUint8 && side_by_side && (channels == 3 || channels == 4);
#endif
  const int64_t elements = kChunkBytes / out_bytes;  // of a thread
  const int64_t row = planes ? x.size : x.size * channels;
  const int64_t extent = in_extent(part) * in_bytes;

  NormalizeParameters p{};
  p.in_shift = static_cast<int>(reinterpret_cast<uintptr_t>(part.window.in) % 4);
  p.in = part.window.in - p.in_shift;
  p.first_word = p.in_shift > 0 ? 4 : 0;
  p.last_word = (p.in_shift + extent) / 4 * 4 - 4;
  p.out = part.window.out;
  p.border = part.window.border;
  p.places = part.places;
  p.windows = Divider<int32_t>(part.windows_an_image);
  p.in_image_stride = part.in_image_stride;
  p.out_image_stride = part.out_image_stride;
  p.out_window_stride = part.out_window_stride;
  p.y = pixel_dim(y);
  p.x = pixel_dim(x);
  p.channels = static_cast<int32_t>(channels);
  p.in_channel_stride = of_channels.in_stride;
  p.out_channel_stride = of_channels.out_stride;
  p.together = at_once || x.in_stride == 1;
  p.groups = Divider<int32_t>((row + elements - 1) / elements);
  p.rows = Divider<int32_t>(y.size);
  p.planes = Divider<int32_t>(planes && !at_once ? channels : 1);
  const int64_t windows = part.images * part.windows_an_image;
  const int64_t threads = windows * p.planes.size() * int64_t{p.rows.size()} * p.groups.size();
  p.threads = static_cast<int32_t>(threads);
  std::copy_n(all.scale + channel, channels, p.scale);
  std::copy_n(all.bias + channel, channels, p.bias);
  std::copy_n(all.fill + channel, channels, p.fill);

  const Accesses accesses{
      {{part.window.in, part.window.in + extent}, starts_of(part), flips_of(part)},
      {part.window.out, part.window.out + out_extent(part) * out_bytes},
      windows * channels * y.size * x.size * out_bytes};
  const Kernel kernel = kernel_from(all.in_type, all.out_type, planes, at_once ? static_cast<int>(channels) : 1);
  return launch(kernel, (threads + kThreads - 1) / kThreads, kThreads, stream, p, accesses);
}

}  // namespace

LaunchError normalize_windows_cuda(const NormalizedWindows& windows, Stream stream) {
  const Windows& all = windows.windows;
  const int64_t channels = all.window.dim[0].size;
  const int64_t image_size = all.windows_an_image * channels * all.window.dim[1].size * all.window.dim[2].size;
  const int64_t most_images = std::max<int64_t>(k32BitLimit / image_size, 1);  // more elements than threads, at most
  for (int64_t image = 0; image < all.images; image += most_images) {
    const int64_t images = std::min(most_images, all.images - image);
    for (int64_t channel = 0; channel < channels; channel += kLaunchChannels) {
      const int64_t some = std::min<int64_t>(kLaunchChannels, channels - channel);
      if (const LaunchError error =
              launch_part(windows, part_of(windows, channel, some, image, images), channel, stream)) {
        return error;
      }
    }
  }
  return 0;
}

}  // namespace torchcrop_fast
