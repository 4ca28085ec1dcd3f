// The kernels for windows that are normalized, on GPUs: each thread makes an aligned chunk of 16 bytes of a channel's
// row, or of all three or four channels' where they lie together in the input.
#include "normalize_cuda.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "device.h"
#include "places_cuda.h"

namespace torchcrop_fast {
namespace {

// How many chunks a thread makes, since to find their window costs as much as a chunk: of several channels and, where
// there are threads enough, rows.
#if !defined(TORCHCROP_FAST_CHUNKS_OF_THREAD)
#define TORCHCROP_FAST_CHUNKS_OF_THREAD 8
#endif
#if !defined(TORCHCROP_FAST_MANY_THREADS)
#define TORCHCROP_FAST_MANY_THREADS (1 << 19)
#endif
constexpr int kChunksOfThread = TORCHCROP_FAST_CHUNKS_OF_THREAD;
constexpr int64_t kManyThreads = TORCHCROP_FAST_MANY_THREADS;

// One dimension of images and windows. Strides count bytes.
struct PixelDim {
  int32_t size;
  int32_t in_size;
  int32_t start;
  int32_t period;  // of the border
  int64_t in_stride;
  int64_t out_stride;
};

// kCoefficients: of how many channels a launch has to bring the coefficients to the GPU, at most.
template <int kCoefficients>
struct NormalizeParameters {
  const char* in;             // the input, from the multiple of 4 bytes before it on
  int in_shift;               // bytes from there to the element at index 0 of every dimension
  int64_t first_word;         // bytes from there to the first word of 4 bytes that lies in the input
  int64_t last_word;          // and to the last; less than the first if there is none
  const char* first_element;  // of the input, in memory
  const char* last_element;
  char* out;
  Border border;
  DevicePlaces<int32_t> places;
  Divider<int32_t> windows;  // of an image
  int32_t in_image_stride;   // bytes, as are the next two
  int32_t out_image_stride;
  int32_t out_window_stride;
  PixelDim y, x;
  Divider<int32_t> channels;
  int32_t in_channel_stride;
  int32_t out_channel_stride;
  bool near_channels;       // whether a pixel's channels, and the next pixel, are less than kNear bytes apart
  Divider<int32_t> groups;  // of a row: its chunks
  Divider<int32_t> rows;    // parts of the rows that threads make
  int32_t rows_of_thread;
  Divider<int32_t> planes;  // parts of the channels, likewise
  int32_t channels_of_thread;
  int32_t threads;  // that make anything
  float scale[kCoefficients];
  float bias[kCoefficients];
  float fill[kCoefficients];
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

// How many elements of a type are in a chunk.
template <class T>
inline constexpr int kElements = kChunkBytes / static_cast<int>(sizeof(T));

template <class T, bool kMayBeNan>
TORCHCROP_FAST_DEVICE Chunk chunk_of(const float (&numbers)[kElements<T>]) {
  Chunk chunk;
#pragma unroll
  for (int word = 0; word < 4; ++word) {
    if constexpr (sizeof(T) == 2) {
      chunk.word[word] = rounded_pair<T, kMayBeNan>(numbers[2 * word], numbers[2 * word + 1]);
    } else {
      chunk.word[word] = std::bit_cast<uint32_t>(numbers[word]);
    }
  }
  return chunk;
}

// The chunk with its elements in reverse.
template <class T>
TORCHCROP_FAST_DEVICE Chunk reversed(const Chunk& chunk) {
  const uint32_t order = sizeof(T) == 2 ? 0x1032 : 0x3210;
  return {
      __byte_perm(chunk.word[3], 0, order), __byte_perm(chunk.word[2], 0, order), __byte_perm(chunk.word[1], 0, order),
      __byte_perm(chunk.word[0], 0, order)};
}

// Writes the elements [begin, end) of a chunk to their places in the one at this address.
template <class T>
TORCHCROP_FAST_DEVICE void store_elements(char* to, const Chunk& chunk, int begin, int end) {
  if (end - begin == kElements<T>) {
    return store(to, chunk);
  }
#pragma unroll
  for (int i = 0; i < kElements<T>; ++i) {
    if (begin <= i && i < end) {
      if constexpr (sizeof(T) == 2) {
        store(to + 2 * i, static_cast<uint16_t>(chunk.word[i / 2] >> (16 * (i % 2))));
      } else {
        store(to + 4 * i, chunk.word[i]);
      }
    }
  }
}

// Of how many channels a launch brings the coefficients, where they are few and finite.
constexpr int kFewChannels = 4;

// Whether a result may be NaN: of a byte and finite numbers it is not.
template <class In, int kCoefficients>
inline constexpr bool kMayBeNan = sizeof(In) > 1 || kCoefficients > kFewChannels;

// Pixels less than so many bytes apart are found by numbers of 32 bits.
constexpr int64_t kNear = int64_t{1} << 24;

// For a product of 64 bits.
TORCHCROP_FAST_DEVICE int64_t wide(int32_t number) { return number; }

// What a thread makes of a window: from this row and channel on.
struct WindowPart {
  const char* in;  // the image
  char* out;       // the window
  IndexMap<int32_t> rows, columns;
  int32_t group, row, channel;
};

template <int kCoefficients>
TORCHCROP_FAST_DEVICE WindowPart find_part(const NormalizeParameters<kCoefficients>& p, int32_t thread) {
  WindowPart part;
  const int32_t line = p.groups.divide(thread);
  part.group = thread - line * p.groups.size();
  const int32_t around = p.rows.divide(line);
  part.row = (line - around * p.rows.size()) * p.rows_of_thread;
  const int32_t nth = p.planes.divide(around);
  part.channel = (around - nth * p.planes.size()) * p.channels_of_thread;
  const int32_t image = p.windows.divide(nth);
  const int32_t window = nth - image * p.windows.size();
  const WindowPlaces places = places_of(p.places, image, window);
  const auto map_of = [&](int dim, const PixelDim& of) {
    return index_map_of(p.places, places, of.period, false, dim, of.start, of.size, of.in_size);
  };
  part.rows = map_of(0, p.y);
  part.columns = map_of(1, p.x);
  part.in = p.in + p.in_shift + wide(image) * p.in_image_stride;
  part.out = p.out + wide(image) * p.out_image_stride + wide(window) * p.out_window_stride;
  return part;
}

// A row of a window, of one channel or all.
struct NormalizedRow {
  const char* in;  // the image's row
  char* out;
  IndexMap<int32_t> columns;
  int32_t begin, end;  // the columns [begin, end) see the input itself: none, in a row of nothing but fill
};

template <int kCoefficients>
TORCHCROP_FAST_DEVICE NormalizedRow
row_of(const NormalizeParameters<kCoefficients>& p, const WindowPart& part, int32_t y) {
  const int32_t at = border_index(p.border, part.rows.base + part.rows.step * y, p.y.in_size);
  const int32_t base = part.columns.base;
  const bool forward = part.columns.step > 0;
  NormalizedRow row{part.in + at * p.y.in_stride, part.out + y * p.y.out_stride, part.columns, 0, 0};
  if (at >= 0) {
    row.begin = forward ? -base : base - p.x.in_size + 1;
    row.end = forward ? p.x.in_size - base : base + 1;
  }
  return row;
}

// Calls use(row) for the rows that a thread makes.
template <int kCoefficients, class Use>
TORCHCROP_FAST_DEVICE void for_each_row(
    const NormalizeParameters<kCoefficients>& p, const WindowPart& part, const Use& use) {
  const int32_t behind = part.row + p.rows_of_thread, end = behind < p.y.size ? behind : p.y.size;
#pragma unroll 1
  for (int32_t y = part.row; y < end; ++y) {
    use(row_of(p, part, y));
  }
}

// Which elements of a thread's chunk, the first of which is `first` of a row of this size, lie in the row: [begin,
// end).
struct ChunkOfRow {
  int32_t first;
  int32_t begin, end;
};

// to: the row.
template <class Out>
TORCHCROP_FAST_DEVICE ChunkOfRow chunk_of_row(const char* to, int32_t group, int32_t size) {
  const auto shift = static_cast<int32_t>(reinterpret_cast<uintptr_t>(to) % kChunkBytes / sizeof(Out));
  const int32_t first = group * kElements<Out> - shift, behind = first + kElements<Out>;
  return {first, first < 0 ? 0 : first, behind < size ? behind : size};
}

// The result at one column of a channel.
template <class In, int kCoefficients>
TORCHCROP_FAST_DEVICE float look_up(
    const NormalizeParameters<kCoefficients>& p, const NormalizedRow& row, int32_t column, int32_t channel) {
  const int32_t at = border_index(p.border, row.columns.base + row.columns.step * column, p.x.in_size);
  if (row.begin >= row.end || at < 0) {
    return p.fill[channel];
  }
  const char* const from = row.in + at * p.x.in_stride + wide(channel) * p.in_channel_stride;
  return fmaf(load_pixel<In>(from), p.scale[channel], p.bias[channel]);
}

// A chunk of a channel's row.
template <class In, class Out, int kCoefficients>
TORCHCROP_FAST_DEVICE Chunk make_chunk(
    const NormalizeParameters<kCoefficients>& p, const NormalizedRow& row, int32_t channel, const ChunkOfRow& of) {
  constexpr int kNumbers = kElements<Out>;
  const float scale = p.scale[channel], bias = p.bias[channel], fill = p.fill[channel];
  const char* const in = row.in + wide(channel) * p.in_channel_stride;
  const bool inside = row.begin <= of.begin && of.end <= row.end;
  const bool mirrored = row.columns.step < 0;
  float numbers[kNumbers];
  if ((inside || p.border == Border::kConstant) && p.x.in_stride < kNear) {
    // In the order of the memory, from the leftmost pixel on.
    const int32_t leftmost = row.columns.base + row.columns.step * (mirrored ? of.first + kNumbers - 1 : of.first);
    const auto step = static_cast<int32_t>(p.x.in_stride);
    const char* const from = in + wide(leftmost) * step;
    // Of a part of a chunk all is read, too, as far as the input goes.
    if (inside && p.first_element <= from && from + wide(kNumbers - 1) * step <= p.last_element) {
#pragma unroll
      for (int i = 0; i < kNumbers; ++i) {
        numbers[i] = fmaf(load_pixel<In>(from + wide(i) * step), scale, bias);
      }
    } else {
      const int32_t begin = of.begin < row.begin ? row.begin : of.begin, end = of.end < row.end ? of.end : row.end;
      const int32_t low = mirrored ? of.first + kNumbers - end : begin - of.first;
      const int32_t high = mirrored ? of.first + kNumbers - begin : end - of.first;
#pragma unroll
      for (int i = 0; i < kNumbers; ++i) {
        numbers[i] = low <= i && i < high ? fmaf(load_pixel<In>(from + wide(i) * step), scale, bias) : fill;
      }
    }
    const Chunk chunk = chunk_of<Out, kMayBeNan<In, kCoefficients>>(numbers);
    return mirrored ? reversed<Out>(chunk) : chunk;
  }
#pragma unroll
  for (int i = 0; i < kNumbers; ++i) {
    const int32_t column = of.first + i;
    numbers[i] = of.begin <= column && column < of.end ? look_up<In>(p, row, column, channel) : fill;
  }
  return chunk_of<Out, kMayBeNan<In, kCoefficients>>(numbers);
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

// Writes a chunk of each of a pixel's channels, which lie side by side in the input and whose rows begin alike; false
// where not all of them see it.
template <class In, class Out, int kChannels, int kCoefficients>
TORCHCROP_FAST_DEVICE bool write_channels(
    const NormalizeParameters<kCoefficients>& p, const NormalizedRow& row, int32_t group) {
  constexpr int kPixels = kElements<Out>, kBytes = kPixels * kChannels * static_cast<int>(sizeof(In));
  const int32_t first = group * kPixels, end = first + kPixels;
  const bool mirrored = row.columns.step < 0;
  const int32_t leftmost = row.columns.base + row.columns.step * (mirrored ? end - 1 : first);
  const int64_t at = row.in - p.in + leftmost * p.x.in_stride;
  if (end > p.x.size || first < row.begin || row.end < end || (at & ~int64_t{3}) < p.first_word ||
      ((at + kBytes - 1) & ~int64_t{3}) > p.last_word) {
    return false;
  }
  uint32_t words[kBytes / 4];
  load_words(p.in, at, words);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    float numbers[kPixels];
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      numbers[i] = fmaf(pixel_of<In>(words, i * kChannels + c), p.scale[c], p.bias[c]);
    }
    const Chunk chunk = chunk_of<Out, kMayBeNan<In, kCoefficients>>(numbers);
    char* const out = row.out + wide(c) * p.out_channel_stride + first * static_cast<int64_t>(sizeof(Out));
    store(out, mirrored ? reversed<Out>(chunk) : chunk);
  }
  return true;
}

// Rows of channels. kChannels: those of write_channels, or 0.
template <class In, class Out, int kChannels, int kCoefficients>
__global__ void __launch_bounds__(kThreads, min_blocks<int32_t>(1))
    normalize_planes_kernel(const __grid_constant__ NormalizeParameters<kCoefficients> p) {
  const int32_t thread = static_cast<int32_t>(blockIdx.x) * kThreads + static_cast<int32_t>(threadIdx.x);
  if (thread >= p.threads) {
    return;
  }
  const WindowPart part = find_part(p, thread);
  for_each_row(p, part, [&](const NormalizedRow& row) {
    if constexpr (kChannels > 0) {
      if (write_channels<In, Out, kChannels>(p, row, part.group)) {
        return;
      }
    }
    const int32_t behind = part.channel + p.channels_of_thread,
                  channels = behind < p.channels.size() ? behind : p.channels.size();
#pragma unroll 1
    for (int32_t channel = part.channel; channel < channels; ++channel) {
      char* const out = row.out + wide(channel) * p.out_channel_stride;
      const ChunkOfRow of = chunk_of_row<Out>(out, part.group, p.x.size);
      if (of.begin < of.end) {
        const Chunk chunk = make_chunk<In, Out>(p, row, channel, of);
        store_elements<Out>(
            out + of.first * static_cast<int64_t>(sizeof(Out)), chunk, of.begin - of.first, of.end - of.first);
      }
    }
  });
}

// Rows of pixels, of any number of channels.
template <class In, class Out, int kCoefficients>
__global__ void __launch_bounds__(kThreads, min_blocks<int32_t>(1))
    normalize_pixels_kernel(const __grid_constant__ NormalizeParameters<kCoefficients> p) {
  const int32_t thread = static_cast<int32_t>(blockIdx.x) * kThreads + static_cast<int32_t>(threadIdx.x);
  if (thread >= p.threads) {
    return;
  }
  const WindowPart part = find_part(p, thread);
  const int32_t channels = p.channels.size();
  const bool contiguous = p.x.out_stride == channels * static_cast<int64_t>(sizeof(Out));
  for_each_row(p, part, [&](const NormalizedRow& row) {
    // Where there are gaps between pixels, chunks are counted as if there were none.
    const ChunkOfRow of = chunk_of_row<Out>(contiguous ? row.out : nullptr, part.group, p.x.size * channels);
    if (of.begin >= of.end) {
      return;
    }
    int32_t column = p.channels.divide(of.begin), channel = of.begin - column * channels;
    const bool inside = row.begin <= column && p.channels.divide(of.end - 1) < row.end;
    float numbers[kElements<Out>];
    if (inside && contiguous && of.end - of.begin == kElements<Out> && p.near_channels) {
      // From the last channel of a pixel it goes on with the first one of the next.
      const auto to_channel = p.in_channel_stride, to_pixel = static_cast<int32_t>(p.x.in_stride) * row.columns.step;
      const char* from =
          row.in + wide(row.columns.base + row.columns.step * column) * static_cast<int32_t>(p.x.in_stride);
      from += wide(channel) * to_channel;
#pragma unroll
      for (int i = 0; i < kElements<Out>; ++i) {
        numbers[i] = fmaf(load_pixel<In>(from), p.scale[channel], p.bias[channel]);
        const bool last = ++channel == channels;
        from += last ? to_pixel - (channels - 1) * to_channel : to_channel;
        channel = last ? 0 : channel;
      }
      return store(
          row.out + of.first * static_cast<int64_t>(sizeof(Out)), chunk_of<Out, kMayBeNan<In, kCoefficients>>(numbers));
    }
#pragma unroll
    for (int i = 0; i < kElements<Out>; ++i) {
      numbers[i] = 0;
      if (of.begin <= of.first + i && of.first + i < of.end) {
        numbers[i] = look_up<In>(p, row, column, channel);
        if (!contiguous) {
          char* const to = row.out + column * p.x.out_stride + channel * static_cast<int64_t>(sizeof(Out));
          if constexpr (sizeof(Out) == 2) {
            store(to, from_float<Out>(numbers[i]).bits);
          } else {
            store(to, numbers[i]);
          }
        }
        ++channel;
        column += channel == channels ? 1 : 0;
        channel = channel == channels ? 0 : channel;
      }
    }
    if (contiguous) {
      char* const out = row.out + of.first * static_cast<int64_t>(sizeof(Out));
      const Chunk chunk = chunk_of<Out, kMayBeNan<In, kCoefficients>>(numbers);
      store_elements<Out>(out, chunk, of.begin - of.first, of.end - of.first);
    }
  });
}

template <int kCoefficients>
using Kernel = void (*)(NormalizeParameters<kCoefficients>);

// side_by_side: as launch_part has it.
template <class In, class Out, int kCoefficients>
Kernel<kCoefficients> kernel_for(bool planes, int64_t side_by_side) {
  if (!planes) {
    return normalize_pixels_kernel<In, Out, kCoefficients>;
  }
  if constexpr (kCoefficients == kFewChannels) {
    if (side_by_side == 3) {
      return normalize_planes_kernel<In, Out, 3, kCoefficients>;
    }
    if constexpr (sizeof(In) == 1) {
      if (side_by_side == 4) {
        return normalize_planes_kernel<In, Out, 4, kCoefficients>;
      }
    }
  }
  return normalize_planes_kernel<In, Out, 0, kCoefficients>;
}

template <class In, int kCoefficients>
Kernel<kCoefficients> kernel_from(PixelType out_type, bool planes, int64_t side_by_side) {
  switch (out_type) {
    case PixelType::kHalf:
      return kernel_for<In, Half, kCoefficients>(planes, side_by_side);
    case PixelType::kBFloat16:
      return kernel_for<In, BFloat16, kCoefficients>(planes, side_by_side);
    default:
      return kernel_for<In, float, kCoefficients>(planes, side_by_side);
  }
}

template <int kCoefficients>
Kernel<kCoefficients> kernel_from(PixelType in_type, PixelType out_type, bool planes, int64_t side_by_side) {
  switch (in_type) {
    case PixelType::kUint8:
      return kernel_from<uint8_t, kCoefficients>(out_type, planes, side_by_side);
    case PixelType::kHalf:
      return kernel_from<Half, kCoefficients>(out_type, planes, side_by_side);
    case PixelType::kBFloat16:
      return kernel_from<BFloat16, kCoefficients>(out_type, planes, side_by_side);
    default:
      return kernel_from<float, kCoefficients>(out_type, planes, side_by_side);
  }
}

PixelDim pixel_dim(Border border, const WindowDim& dim, int64_t in_bytes, int64_t out_bytes) {
  return {static_cast<int32_t>(dim.size),  static_cast<int32_t>(dim.in_size),
          static_cast<int32_t>(dim.start), border_period(border, static_cast<int32_t>(dim.in_size)),
          dim.in_stride * in_bytes,        dim.out_stride * out_bytes};
}

// `channels` channels from this one on, of `images` images from this one on.
Windows part_of(const NormalizedWindows& all, int64_t channel, int64_t channels, int64_t image, int64_t images) {
  const int64_t in_bytes = size_of(all.in_type), out_bytes = size_of(all.out_type);
  Windows part = some_images(all.windows, image, images, in_bytes, out_bytes);
  WindowDim& of_channels = part.window.dim[0];
  part.window.in += channel * of_channels.in_stride * in_bytes;
  part.window.out += channel * of_channels.out_stride * out_bytes;
  of_channels.size = of_channels.in_size = channels;
  return part;
}

// Launches for a part of all, whose channels begin with this one.
template <int kCoefficients>
LaunchError launch_part(const NormalizedWindows& all, const Windows& part, int64_t channel, Stream stream) {
  const WindowDim &of_channels = part.window.dim[0], &y = part.window.dim[1], &x = part.window.dim[2];
  const int64_t channels = of_channels.size;
  const int64_t in_bytes = size_of(all.in_type), out_bytes = size_of(all.out_type);
  const bool planes = x.out_stride == 1;
  const int64_t elements = kChunkBytes / out_bytes;  // of a chunk
  const int64_t row = planes ? x.size : x.size * channels;
  const int64_t strides = of_channels.out_stride | y.out_stride | part.out_image_stride | part.out_window_stride;
  const bool aligned = (reinterpret_cast<uintptr_t>(part.window.out) | strides * out_bytes) % kChunkBytes == 0;
  const bool together =
      planes && aligned && of_channels.in_stride == 1 && x.in_stride == channels && (channels == 3 || channels == 4);
  const int64_t extent = in_extent(part) * in_bytes;

  NormalizeParameters<kCoefficients> p{};
  p.in_shift = static_cast<int>(reinterpret_cast<uintptr_t>(part.window.in) % 4);
  p.in = part.window.in - p.in_shift;
  p.first_word = p.in_shift > 0 ? 4 : 0;
  p.last_word = (p.in_shift + extent) / 4 * 4 - 4;
  p.first_element = part.window.in;
  p.last_element = part.window.in + extent - in_bytes;
  p.out = part.window.out;
  p.border = part.window.border;
  p.places = device_places<int32_t>(part.places);
  p.windows = Divider<int32_t>(part.windows_an_image);
  p.in_image_stride = static_cast<int32_t>(part.in_image_stride * in_bytes);
  p.out_image_stride = static_cast<int32_t>(part.out_image_stride * out_bytes);
  p.out_window_stride = static_cast<int32_t>(part.out_window_stride * out_bytes);
  p.y = pixel_dim(p.border, y, in_bytes, out_bytes);
  p.x = pixel_dim(p.border, x, in_bytes, out_bytes);
  p.channels = Divider<int32_t>(channels);
  p.in_channel_stride = static_cast<int32_t>(of_channels.in_stride * in_bytes);
  p.out_channel_stride = static_cast<int32_t>(of_channels.out_stride * out_bytes);
  p.near_channels = std::max(p.x.in_stride, (channels - 1) * of_channels.in_stride * in_bytes) < kNear;
  // A row that begins inside of a chunk may have a part of one at either end.
  p.groups = Divider<int32_t>((row + (aligned ? 0 : elements - 1) + elements - 1) / elements);
  const int64_t channels_of_thread = together ? channels : std::min<int64_t>(planes ? channels : 1, kChunksOfThread);
  p.channels_of_thread = static_cast<int32_t>(channels_of_thread);
  p.planes = Divider<int32_t>(planes ? (channels + channels_of_thread - 1) / channels_of_thread : 1);
  const int64_t windows = part.images * part.windows_an_image;
  const int64_t threads_of_row = windows * p.planes.size() * p.groups.size();
  const bool many = threads_of_row * y.size >= kManyThreads;
  p.rows_of_thread = many ? static_cast<int32_t>(std::max<int64_t>(kChunksOfThread / channels_of_thread, 1)) : 1;
  p.rows = Divider<int32_t>((y.size + p.rows_of_thread - 1) / p.rows_of_thread);
  const int64_t threads = threads_of_row * p.rows.size();
  p.threads = static_cast<int32_t>(threads);
  std::copy_n(all.scale + channel, channels, p.scale);
  std::copy_n(all.bias + channel, channels, p.bias);
  std::copy_n(all.fill + channel, channels, p.fill);

  const Accesses accesses{
      {{part.window.in, part.window.in + extent}, starts_of(part), flips_of(part)},
      {part.window.out, part.window.out + out_extent(part) * out_bytes},
      windows * channels * y.size * x.size * out_bytes};
  const auto kernel = kernel_from<kCoefficients>(all.in_type, all.out_type, planes, together ? channels : 0);
  return launch(kernel, (threads + kThreads - 1) / kThreads, kThreads, stream, p, accesses);
}

// Leaves one window of each image.
void keep_window(Windows& windows, int64_t window, int64_t out_bytes) {
  windows.window.out += window * windows.out_window_stride * out_bytes;
  windows.windows_an_image = 1;
  if (windows.places.starts) {
    windows.places.starts += window * windows.places.start_strides[1];
  }
  if (windows.places.flips) {
    windows.places.flips += window * windows.places.flip_strides[1];
  }
}

}  // namespace

LaunchError normalize_windows_cuda(const NormalizedWindows& windows, Stream stream) {
  const Windows& all = windows.windows;
  const WindowDim &of_channels = all.window.dim[0], &y = all.window.dim[1], &x = all.window.dim[2];
  const int64_t in_bytes = size_of(windows.in_type), out_bytes = size_of(windows.out_type);
  const int64_t channels = of_channels.size;
  bool finite = true;
  for (const float* const numbers : {windows.scale, windows.bias, windows.fill}) {
    finite = finite && std::all_of(numbers, numbers + channels, [](float number) { return std::isfinite(number); });
  }
  const auto fit = [](int64_t in, int64_t out) { return std::max(in, out) < k32BitLimit; };
  // What lies too far apart for strides of 32 bits is written by launches of its own.
  const bool one_image =
      !fit(all.in_image_stride * in_bytes, all.out_image_stride * out_bytes) || !fit_32_bits(all.places);
  const bool one_window = !fit(0, all.out_window_stride * out_bytes) || !fit_32_bits(all.places);
  const bool one_channel = !fit(of_channels.in_stride * in_bytes, of_channels.out_stride * out_bytes);
  const int64_t some_windows = one_window ? 1 : all.windows_an_image;
  const int64_t some_channels = one_channel ? 1 : std::min<int64_t>(channels, kLaunchChannels);
  // No more threads than elements, but for two more of a row of a channel, or of pixels.
  const int64_t image_size = some_windows * channels * y.size * (x.size + 2);
  const int64_t some_images = one_image ? 1 : std::clamp<int64_t>(k32BitLimit / image_size, 1, all.images);
  for (int64_t image = 0; image < all.images; image += some_images) {
    for (int64_t window = 0; window < all.windows_an_image; window += some_windows) {
      for (int64_t channel = 0; channel < channels; channel += some_channels) {
        const int64_t count = std::min(some_channels, channels - channel);
        Windows part = part_of(windows, channel, count, image, std::min(some_images, all.images - image));
        if (some_windows < all.windows_an_image) {
          keep_window(part, window, out_bytes);
        }
        const bool few = count <= kFewChannels && (windows.in_type != PixelType::kUint8 || finite);
        const LaunchError error = few ? launch_part<kFewChannels>(windows, part, channel, stream)
                                      : launch_part<kLaunchChannels>(windows, part, channel, stream);
        if (error) {
          return error;
        }
      }
    }
  }
  return 0;
}

}  // namespace torchcrop_fast
