// The kernel for windows that are normalised: row by row, what a row sees is gathered side by side where it isn't yet,
// and converted. Included as window_writer.h is, once for each CPU capability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "normalize_cpu.h"
#include "pixel.h"
#include "repeat_writer.h"

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

template <int kVector, bool kMayBeNan>
void store_16(float* to, __m256 first, __m256 second) {
  _mm256_storeu_ps(to, first);
  _mm256_storeu_ps(to + 8, second);
}
template <int kVector, bool kMayBeNan>
void store_16(Half* to, __m256 first, __m256 second) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(first, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 8), _mm256_cvtps_ph(second, _MM_FROUND_TO_NEAREST_INT));
}
template <int kVector, bool kMayBeNan>
void store_16(BFloat16* to, __m256 first, __m256 second) {
  const __m256i a = to_bfloat16<kVector, kMayBeNan>(first);
  const __m256i b = to_bfloat16<kVector, kMayBeNan>(second);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packed);
}
#endif

// The multiply-add of all elements of a row alike, or of each with its own.
struct SameCoefficients {
  float scale;
  float bias;
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

// Converts n elements.
template <int kVector, class In, class Out, class Coefficients>
void convert(Out* to, const In* from, int64_t n, const Coefficients& by) {
#if defined(__x86_64__)
  if constexpr (kVector == 32) {
    const auto numbers_at = [&](int64_t i) {
      return _mm256_fmadd_ps(
          load_8<kVector>(from + i), by.template scales_at<kVector>(i), by.template biases_at<kVector>(i));
    };
    const auto convert_16 = [&](int64_t i) {
      store_16<kVector, sizeof(In) != 1>(to + i, numbers_at(i), numbers_at(i + 8));
    };
    if (n >= 16) {
      for (int64_t i = 0; i + 16 <= n; i += 16) {
        convert_16(i);
      }
      convert_16(n - 16);
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
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
    Out* const seen = streams_.empty() ? to + first_seen_ * together : out_line_.get();
    if (planar_) {
      convert<kVector>(seen, from, seen_, SameCoefficients{window_.scale[c], window_.bias[c]});
    } else {
      convert<kVector>(seen, from, seen_ * together, OwnCoefficients{scale_.get(), bias_.get()});
    }
    if (!streams_.empty()) {
      streams_[c].copy(reinterpret_cast<const char*>(seen), seen_ * together * sizeof(Out));
    }
    const int64_t after = first_seen_ + seen_;
    put(c, to + after * together, fill + after * together, (column_.size - after) * together);
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

  // Copies elements of so many bytes, from all columns that a row sees, so many bytes apart.
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
