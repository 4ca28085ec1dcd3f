// The kernel for windows that are normalized: row by row, what a row sees is gathered side by side where it isn't yet,
// and converted. Included as window_writer.h is, once for each CPU capability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <type_traits>
#include <vector>

#include "copy_rows.h"
#include "line_stream.h"
#include "normalize_cpu.h"
#include "pixel.h"

namespace torchcrop_fast {
namespace {

#if defined(__x86_64__)
template <int kVector>
__m256 load_8(const uint8_t* from) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
template <int kVector>
__m256 load_8(const Half* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
template <int kVector>
__m256 load_8(const BFloat16* from) {
  const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
template <int kVector>
__m256 load_8(const float* from) {
  return _mm256_loadu_ps(from);
}

// The bits of bfloat16 numbers, each in 32. kMayBeNan: whether some may be.
template <int kVector, bool kMayBeNan>
__m256i to_bfloat16(__m256 numbers) {
  const __m256i bits = _mm256_castps_si256(numbers);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  if constexpr (kMayBeNan) {
    const __m256 nan = _mm256_cmp_ps(numbers, numbers, _CMP_UNORD_Q);
    rounded = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc00000), _mm256_castps_si256(nan));
  }
  return _mm256_srli_epi32(rounded, 16);
}

// The bits of 16 bfloat16 numbers, none of them NaN, of which those at even and at odd places are given. A half of the
// bits is rounded by the other one: the mean's highest bit is what adding them up would carry.
template <int kVector>
__m256i interleaved_bfloat16(__m256 even, __m256 odd) {
  const __m256i a = _mm256_castps_si256(even);
  const __m256i b = _mm256_castps_si256(odd);
  const __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa);
  const __m256i low = _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
  const __m256i is_odd = _mm256_and_si256(high, _mm256_set1_epi16(1));
  const __m256i mean = _mm256_avg_epu16(low, _mm256_add_epi16(is_odd, _mm256_set1_epi16(0x7ffe)));
  return _mm256_add_epi16(high, _mm256_srli_epi16(mean, 15));
}

// Stores a vector, through the caches or, at an aligned place, past them.
template <int kVector, Stores kStores>
void store_vector(void* to, __m256i vector) {
  if constexpr (kStores == Stores::kStreaming) {
    _mm256_stream_si256(static_cast<__m256i*>(to), vector);
  } else {
    _mm256_storeu_si256(static_cast<__m256i*>(to), vector);
  }
}

template <int kVector, Stores kStores, bool kMayBeNan>
void store_16(float* to, __m256 first, __m256 second) {
  store_vector<kVector, kStores>(to, _mm256_castps_si256(first));
  store_vector<kVector, kStores>(to + 8, _mm256_castps_si256(second));
}
template <int kVector, Stores kStores, bool kMayBeNan>
void store_16(Half* to, __m256 first, __m256 second) {
  const __m128i a = _mm256_cvtps_ph(first, _MM_FROUND_TO_NEAREST_INT);
  const __m128i b = _mm256_cvtps_ph(second, _MM_FROUND_TO_NEAREST_INT);
  store_vector<kVector, kStores>(to, _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}
template <int kVector, Stores kStores, bool kMayBeNan>
void store_16(BFloat16* to, __m256 first, __m256 second) {
  const __m256i a = to_bfloat16<kVector, kMayBeNan>(first);
  const __m256i b = to_bfloat16<kVector, kMayBeNan>(second);
  store_vector<kVector, kStores>(to, _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8));
}
#endif

// The multiply-add of all elements of a row alike, or of each with its own.
struct SameCoefficients {
  float scale;
  float bias;
  SameCoefficients from(int64_t) const { return *this; }
  float scale_at(int64_t) const { return scale; }
  float bias_at(int64_t) const { return bias; }
#if defined(__x86_64__)
  template <int kVector>
  __m256 scales_at(int64_t) const {
    return _mm256_set1_ps(scale);
  }
  template <int kVector>
  __m256 biases_at(int64_t) const {
    return _mm256_set1_ps(bias);
  }
#endif
};
struct OwnCoefficients {
  const float* scale;
  const float* bias;
  OwnCoefficients from(int64_t i) const { return {scale + i, bias + i}; }
  float scale_at(int64_t i) const { return scale[i]; }
  float bias_at(int64_t i) const { return bias[i]; }
#if defined(__x86_64__)
  template <int kVector>
  __m256 scales_at(int64_t i) const {
    return _mm256_loadu_ps(scale + i);
  }
  template <int kVector>
  __m256 biases_at(int64_t i) const {
    return _mm256_loadu_ps(bias + i);
  }
#endif
};

constexpr int64_t kConverted = 16;  // elements at once

#if defined(__x86_64__)
// Converts kConverted elements.
template <int kVector, Stores kStores, class In, class Out, class Coefficients>
void convert_16(Out* to, const In* from, const Coefficients& by, int64_t at) {
  const __m256 scale = by.template scales_at<kVector>(at);
  const __m256 bias = by.template biases_at<kVector>(at);
  if constexpr (
      std::is_same_v<In, uint8_t> && std::is_same_v<Out, BFloat16> && std::is_same_v<Coefficients, SameCoefficients>) {
    const __m256i pixels = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
    const __m256 even = _mm256_cvtepi32_ps(_mm256_and_si256(pixels, _mm256_set1_epi32(0xffff)));
    const __m256 odd = _mm256_cvtepi32_ps(_mm256_srli_epi32(pixels, 16));
    store_vector<kVector, kStores>(
        to + at, interleaved_bfloat16<kVector>(_mm256_fmadd_ps(even, scale, bias), _mm256_fmadd_ps(odd, scale, bias)));
  } else {
    const __m256 first = _mm256_fmadd_ps(load_8<kVector>(from + at), scale, bias);
    const __m256 second = _mm256_fmadd_ps(
        load_8<kVector>(from + at + 8), by.template scales_at<kVector>(at + 8), by.template biases_at<kVector>(at + 8));
    store_16<kVector, kStores, sizeof(In) != 1>(to + at, first, second);
  }
}
#endif

// Converts n elements; for streaming as many as fill whole lines, which begin at an aligned place.
template <int kVector, Stores kStores, class In, class Out, class Coefficients>
void convert(Out* to, const In* from, int64_t n, const Coefficients& by) {
#if defined(__x86_64__)
  if constexpr (kVector == 32) {
    int64_t i = 0;
    for (; i + kConverted <= n; i += kConverted) {
      convert_16<kVector, kStores>(to, from, by, i);
    }
    if (i < n && n >= kConverted) {
      convert_16<kVector, Stores::kCached>(to, from, by, n - kConverted);
      return;
    }
    for (; i < n; ++i) {
      to[i] = from_float<Out>(__builtin_fmaf(to_float(from[i]), by.scale_at(i), by.bias_at(i)));
    }
    return;
  }
#endif
  for (int64_t i = 0; i < n; ++i) {
    to[i] = from_float<Out>(to_float(from[i]) * by.scale_at(i) + by.bias_at(i));
  }
}

// Takes n pixels of kChannels bytes apart: channel c goes to `to + c * to_next`.
template <int kVector, int kChannels>
void take_apart(char* to, int64_t to_next, const char* from, int64_t n) {
  int64_t x = 0;
#if defined(__x86_64__)
  if constexpr (kVector == 32) {
    struct Places {
      alignas(16) unsigned char from[kChannels][kChannels][16];  // of a channel's bytes in each of the loaded vectors
    };
    static constexpr Places kPlaces = [] {
      Places places{};
      for (int c = 0; c < kChannels; ++c) {
        for (int i = 0; i < 16; ++i) {
          const int byte = kChannels * i + c;
          for (int v = 0; v < kChannels; ++v) {
            places.from[c][v][i] = static_cast<unsigned char>(byte / 16 == v ? byte % 16 : 0x80);  // 0x80: a zero
          }
        }
      }
      return places;
    }();
    for (; x + 16 <= n; x += 16) {
      __m128i loaded[kChannels];
      for (int v = 0; v < kChannels; ++v) {
        loaded[v] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + x * kChannels + v * 16));
      }
      for (int c = 0; c < kChannels; ++c) {
        __m128i channel = _mm_setzero_si128();
        for (int v = 0; v < kChannels; ++v) {
          const __m128i places = _mm_load_si128(reinterpret_cast<const __m128i*>(kPlaces.from[c][v]));
          channel = _mm_or_si128(channel, _mm_shuffle_epi8(loaded[v], places));
        }
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + c * to_next + x), channel);
      }
    }
  }
#endif
  for (; x < n; ++x) {
    for (int c = 0; c < kChannels; ++c) {
      to[c * to_next + x] = from[x * kChannels + c];
    }
  }
}

template <int kVector, class In, class Out>
class NormalizeWriter {
 public:
  explicit NormalizeWriter(const NormalizedWindow& window)
      : window_(window),
        channel_(window.window.dim[0]),
        row_(window.window.dim[1]),
        column_(window.window.dim[2]),
        planar_(column_.out_stride == 1),
        line_size_(column_.size + 64 / static_cast<int64_t>(sizeof(In))) {
    for_each_run(window.window.border, column_.start, column_.size, column_.in_size, [&](Run run) {
      runs_.push_back({run});
      seen_ += run.size;
    });
    first_seen_ = runs_.empty() ? column_.size : runs_[0].out;
    one_run_ = runs_.size() == 1 && runs_[0].step == 1;
    const int64_t elements = planar_ ? column_.size : column_.size * channels();
    lines_.reset(new In[2 * line_size_ * channels()]);
    out_line_.reset(new Out[elements]);
    const bool bordered = seen_ < column_.size || row_.begin() > 0 || row_.end() < row_.size;
    fill_.reset(new Out[bordered ? column_.size * channels() : 0]);
    for (int64_t c = 0; c < (bordered ? channels() : 0); ++c) {
      for (int64_t x = 0; x < column_.size; ++x) {
        fill_[planar_ ? c * column_.size + x : x * channels() + c] = from_float<Out>(window.fill[c]);
      }
    }
    scale_.reset(new float[planar_ ? 0 : elements]);
    bias_.reset(new float[planar_ ? 0 : elements]);
    for (int64_t i = 0; i < (planar_ ? 0 : elements); ++i) {
      scale_[i] = window.scale[i % channels()];
      bias_[i] = window.bias[i % channels()];
    }
  }

  void write(int64_t begin, int64_t end, Stores stores) {
    const int64_t planes = planar_ ? channels() : 1;
    if (stores == Stores::kStreaming) {
      for (int64_t c = 0; c < planes; ++c) {
        streams_.emplace_back(reinterpret_cast<char*>(out(c, begin)));
      }
    }
    for (int64_t y = begin; y < end; ++y) {
      const int64_t in_y = border_index(window_.window.border, row_.start + y, row_.in_size);
      const bool apart = planar_ && in_y >= 0 && take_pixels_apart(in_y);
      for (int64_t c = 0; c < planes; ++c) {
        write_row(c, y, in_y, apart);
      }
    }
    for (auto& stream : streams_) {
      stream.finish();
    }
  }

 private:
  int64_t channels() const { return channel_.size; }

  // Writes a row of one channel, or of pixels.
  void write_row(int64_t c, int64_t y, int64_t in_y, bool apart) {
    const int64_t together = planar_ ? 1 : channels();  // elements of a column
    const Out* const fill = fill_.get() + (planar_ ? c * column_.size : 0);
    Out* const to = out(c, y);
    if (in_y < 0 || seen_ == 0) {
      put(c, to, fill, column_.size * together);
      return;
    }
    put(c, to, fill, first_seen_ * together);
    const In* const from = apart ? taken_apart(c) : (planar_ ? channel_row(c, in_y) : pixel_row(in_y));
    if (planar_) {
      put_converted(c, to + first_seen_, from, seen_, SameCoefficients{window_.scale[c], window_.bias[c]});
    } else {
      put_converted(c, to + first_seen_ * together, from, seen_ * together, OwnCoefficients{scale_.get(), bias_.get()});
    }
    const int64_t after = first_seen_ + seen_;
    put(c, to + after * together, fill + after * together, (column_.size - after) * together);
  }

  // Converts n elements on their way.
  template <class Coefficients>
  void put_converted(int64_t c, Out* to, const In* from, int64_t n, const Coefficients& by) {
    if (streams_.empty()) {
      convert<kVector, Stores::kCached>(to, from, n, by);
      return;
    }
    LineStream<kVector>& stream = streams_[c];
    constexpr int64_t kElements = kLine / static_cast<int64_t>(sizeof(Out));  // of a line
    const bool whole_elements = stream.left_in_line() % sizeof(Out) == 0;
    // What completes a line, what fills whole lines, and what begins one.
    const int64_t before = std::min<int64_t>(n, stream.left_in_line() / sizeof(Out));
    const int64_t lines = kVector == 32 && whole_elements ? (n - before) / kElements : 0;
    const int64_t after = before + lines * kElements;
    put_in_line(stream, from, n, 0, lines > 0 ? before : n, by);
    if (lines > 0) {
      auto* const streamed = reinterpret_cast<Out*>(stream.next_lines(lines));
      convert<kVector, Stores::kStreaming>(streamed, from + before, lines * kElements, by.from(before));
      put_in_line(stream, from, n, after, n, by);
    }
  }

  // Converts the elements [begin, end) of n, as many as are fast to convert, and streams them.
  template <class Coefficients>
  void put_in_line(
      LineStream<kVector>& stream, const In* from, int64_t n, int64_t begin, int64_t end, const Coefficients& by) {
    if (begin == end) {
      return;
    }
    const int64_t first = std::max<int64_t>(std::min(begin, n - kConverted), 0);
    const int64_t last = std::min(std::max(end, first + kConverted), n);
    convert<kVector, Stores::kCached>(out_line_.get(), from + first, last - first, by.from(first));
    stream.copy(reinterpret_cast<const char*>(out_line_.get() + begin - first), (end - begin) * sizeof(Out));
  }

  // Writes n elements as they are.
  void put(int64_t c, Out* to, const Out* from, int64_t n) {
    if (n == 0) {
      return;
    }
    if (!streams_.empty()) {
      streams_[c].copy(reinterpret_cast<const char*>(from), n * sizeof(Out));
    } else {
      std::memcpy(to, from, n * sizeof(Out));
    }
  }

  // What a row sees of one channel, side by side.
  const In* channel_row(int64_t c, int64_t in_y) {
    if (one_run_ && column_.in_stride == 1) {
      return in(c, in_y, runs_[0].in);
    }
    In* const line = lines_.get();
    gather(line, sizeof(In), c, in_y, sizeof(In));
    return line;
  }

  // What a row sees of all channels, pixel by pixel.
  const In* pixel_row(int64_t in_y) {
    const bool side_by_side = channel_.in_stride == 1 || channels() == 1;
    if (side_by_side && one_run_ && column_.in_stride == channels()) {
      return in(0, in_y, runs_[0].in);
    }
    In* const line = lines_.get();
    if (side_by_side) {
      gather(line, channels() * sizeof(In), 0, in_y, channels() * sizeof(In));
    } else {
      for (int64_t c = 0; c < channels(); ++c) {
        gather(line + c, sizeof(In), c, in_y, channels() * sizeof(In));
      }
    }
    return line;
  }

  // Copies elements of `bytes` bytes, from all columns that a row shows, `next` bytes apart.
  void gather(In* line, int64_t bytes, int64_t c, int64_t in_y, int64_t to_next) const {
    char* to = reinterpret_cast<char*>(line);
    for (const Run& run : runs_) {
      const auto* from = reinterpret_cast<const char*>(in(c, in_y, run.in));
      const int64_t next = run.step * column_.in_stride * static_cast<int64_t>(sizeof(In));
      copy_elements<kVector>(to, from, run.size, bytes, to_next, next);
      to += run.size * to_next;
    }
  }

  // Takes the pixels of a row apart at once, if they are such as that is fast for; they are in taken_apart() then.
  bool take_pixels_apart(int64_t in_y) {
    if constexpr (sizeof(In) == 1) {
      const bool mirrored = column_.in_stride == -channels();
      if (!one_run_ || channel_.in_stride != 1 || (!mirrored && column_.in_stride != channels()) ||
          (channels() != 3 && channels() != 4)) {
        return false;
      }
      const int64_t leftmost = mirrored ? runs_[0].in + seen_ - 1 : runs_[0].in;
      const auto* from = reinterpret_cast<const char*>(in(0, in_y, leftmost));
      auto* const lines = reinterpret_cast<char*>(lines_.get());
      auto* const straight = mirrored ? lines + channels() * line_size_ : lines;
      if (channels() == 3) {
        take_apart<kVector, 3>(straight, line_size_, from, seen_);
      } else {
        take_apart<kVector, 4>(straight, line_size_, from, seen_);
      }
      for (int64_t c = 0; c < (mirrored ? channels() : 0); ++c) {
        copy_elements<kVector>(lines + c * line_size_, straight + c * line_size_ + seen_ - 1, seen_, 1, 1, -1);
      }
      return true;
    }
    return false;
  }

  const In* taken_apart(int64_t c) const { return lines_.get() + c * line_size_; }

  const In* in(int64_t c, int64_t y, int64_t x) const {
    return reinterpret_cast<const In*>(window_.window.in) + c * channel_.in_stride + y * row_.in_stride +
           x * column_.in_stride;
  }
  Out* out(int64_t c, int64_t y) const {
    return reinterpret_cast<Out*>(window_.window.out) + c * channel_.out_stride + y * row_.out_stride;
  }

  struct ColumnRun : Run {
  };  // a type of this file: code of std::vector's for a shared one might be built for another CPU

  const NormalizedWindow& window_;
  const WindowDim channel_, row_, column_;
  const bool planar_;                // channel after channel, else pixel after pixel
  const int64_t line_size_;          // of one channel in lines_
  std::vector<ColumnRun> runs_;      // that a row sees
  int64_t seen_ = 0;                 // columns in all of them
  int64_t first_seen_;               // column; those from here on, seen_ of them, lie side by side
  bool one_run_;                     // forward
  std::unique_ptr<In[]> lines_;      // what a row sees, gathered
  std::unique_ptr<Out[]> out_line_;  // converted, on its way past the caches
  std::unique_ptr<Out[]> fill_;      // rows of nothing but fill, one a channel or one of pixels
  std::unique_ptr<float[]> scale_;   // of a row of pixels
  std::unique_ptr<float[]> bias_;
  std::deque<LineStream<kVector>> streams_;  // where each plane goes, if past the caches
};

template <int kVector, class In>
void normalize_from(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  switch (window.out_type) {
    case PixelType::kHalf:
      return NormalizeWriter<kVector, In, Half>(window).write(begin, end, stores);
    case PixelType::kBFloat16:
      return NormalizeWriter<kVector, In, BFloat16>(window).write(begin, end, stores);
    default:
      return NormalizeWriter<kVector, In, float>(window).write(begin, end, stores);
  }
}

template <int kVector>
void normalize_rows(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  switch (window.in_type) {
    case PixelType::kUint8:
      return normalize_from<kVector, uint8_t>(window, begin, end, stores);
    case PixelType::kHalf:
      return normalize_from<kVector, Half>(window, begin, end, stores);
    case PixelType::kBFloat16:
      return normalize_from<kVector, BFloat16>(window, begin, end, stores);
    case PixelType::kFloat:
      return normalize_from<kVector, float>(window, begin, end, stores);
  }
}

}  // namespace
}  // namespace torchcrop_fast
