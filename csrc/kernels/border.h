// Borders: what a window sees outside its input. The only border arithmetic, host and device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define TORCHCROP_FAST_HOST_DEVICE __host__ __device__
#define TORCHCROP_FAST_DEVICE __device__ __forceinline__
#define TORCHCROP_FAST_UNROLLED _Pragma("unroll")
#else
#define TORCHCROP_FAST_HOST_DEVICE
#define TORCHCROP_FAST_DEVICE inline
#define TORCHCROP_FAST_UNROLLED
#endif

namespace torchcrop_fast {

// Shown around an input of the elements abcde, f being the fill.
enum class Border : int {
  kConstant,   // ffff abcde ffff
  kReplicate,  // aaaa abcde eeee
  kReflect,    // edcb abcde dcba
  kSymmetric,  // dcba abcde edcb
  kCircular,   // bcde abcde abcd
};

// The largest input of a border that repeats elements: periods, indexes of windows and their sums stay in int64.
inline constexpr int64_t kMaxRepeated = int64_t{1} << 61;

// After how many elements a border shows the same again; 0 if it never does. size, of the input, is at least 1.
// Index is int64_t, or int32_t where four times the size fits.
template <class Index>
TORCHCROP_FAST_HOST_DEVICE inline Index border_period(Border border, Index size) {
  switch (border) {
    case Border::kReflect:
      return size > 1 ? 2 * (size - 1) : 1;
    case Border::kSymmetric:
      return 2 * size;
    case Border::kCircular:
      return size;
    default:
      return 0;
  }
}

// The index in [0, size) that is shown at an index of any value, or -1 for the fill. size is at least 1, but for
// constant borders, where it may be 0.
template <class Index>
TORCHCROP_FAST_HOST_DEVICE inline Index border_index(Border border, Index index, Index size) {
  if (0 <= index && index < size) {
    return index;
  }
  if (border == Border::kConstant) {
    return -1;
  }
  if (border == Border::kReplicate) {
    return index < 0 ? 0 : size - 1;
  }
  const Index period = border_period(border, size);
  const Index rest = index % period;
  const Index at = rest < 0 ? rest + period : rest;
  if (at < size) {
    return at;
  }
  return border == Border::kReflect ? period - at : period - 1 - at;  // on the way back
}

// What a window's index i sees along one dimension: the input's index base + step * i.
template <class Index>
struct IndexMap {
  Index base;
  Index step;  // 1, -1 where it is mirrored, or 0: one element over and over
};

// How indexes just outside of the input see it through a border that repeats it: their map is turned, and shifted by
// one number where it leads below 0, by another where beyond the size. Right as far as that leads back into the input.
template <class Index>
struct Repetition {
  Index turn;  // 1, -1 on the way back, or 0: one element over and over
  Index below;
  Index beyond;

  TORCHCROP_FAST_HOST_DEVICE IndexMap<Index> operator()(const IndexMap<Index>& map, bool is_below) const {
    return {turn * map.base + (is_below ? below : beyond), turn * map.step};
  }
};

template <class Index>
TORCHCROP_FAST_HOST_DEVICE inline Repetition<Index> repetition_of(Border border, Index size) {
  switch (border) {
    case Border::kReplicate:
      return {0, 0, size - 1};
    case Border::kReflect:
      return {-1, 0, 2 * (size - 1)};
    case Border::kSymmetric:
      return {-1, -1, 2 * size - 1};
    default:
      return {1, size, -size};
  }
}

// A start that shows the same, near enough to the input that it may be added to a size: a window begins at
// most its size before the input, and at most at its end, or within a period of it. Index as for border_period.
template <class Index>
TORCHCROP_FAST_HOST_DEVICE inline Index near_start_of_period(Index period, Index start, Index size, Index in_size) {
  if (period > 0) {
    return -period < start && start < period ? start : start % period;
  }
  return start < -size ? -size : (start > in_size ? in_size : start);
}
TORCHCROP_FAST_HOST_DEVICE inline int64_t near_start(Border border, int64_t start, int64_t size, int64_t in_size) {
  return near_start_of_period(border_period(border, in_size), start, size, in_size);
}

// The indexes of a window, in ascending order, that see one index of the input: first, second, and those a multiple of
// the period after them; or first and those after it alone, where there is no second.
template <class Index>
struct Occurrences {
  Index count;
  Index first;
  Index second;
  Index period;
  bool has_second;

  TORCHCROP_FAST_HOST_DEVICE Index operator[](Index nth) const {
    return has_second ? (nth % 2 == 0 ? first : second) + nth / 2 * period : first + nth * period;
  }
};

// Of an index in [0, in_size), for a window of this start, which is near, and size.
template <class Index>
TORCHCROP_FAST_HOST_DEVICE inline Occurrences<Index> occurrences_of(
    Border border, Index start, Index size, Index in_size, Index index) {
  Occurrences<Index> occurrences{0, index - start, 0, 1, false};
  const bool inside = 0 <= occurrences.first && occurrences.first < size;
  if (border == Border::kConstant) {
    occurrences.count = inside ? 1 : 0;
    return occurrences;
  }
  if (border == Border::kReplicate) {
    const Index begin = index == 0 ? 0 : (occurrences.first < 0 ? 0 : occurrences.first);
    const Index end = index == in_size - 1 ? size : (occurrences.first + 1 < size ? occurrences.first + 1 : size);
    occurrences.first = begin;
    occurrences.count = begin < end ? end - begin : 0;
    return occurrences;
  }
  occurrences.period = border_period(border, in_size);
  const auto first_of = [&](Index at) {  // that is so far from the start, up to periods
    const Index rest = at % occurrences.period;
    return rest < 0 ? rest + occurrences.period : rest;
  };
  const auto count_of = [&](Index first) { return first < size ? (size - 1 - first) / occurrences.period + 1 : 0; };
  const Index forward = first_of(occurrences.first);
  const Index backward = first_of((border == Border::kReflect ? -index : -1 - index) - start);
  occurrences.has_second = border != Border::kCircular && forward != backward;
  occurrences.first = occurrences.has_second && backward < forward ? backward : forward;
  occurrences.second = forward + backward - occurrences.first;
  occurrences.count = count_of(occurrences.first) + (occurrences.has_second ? count_of(occurrences.second) : 0);
  return occurrences;
}

// Neighboring output indexes that see neighboring input indexes: out + i sees in + i * step, for i in [0, size).
struct Run {
  int64_t out;
  int64_t in;
  int64_t size;
  int64_t step;  // 1, -1, or 0: one element over and over
};

// Calls use(run) for the runs of one dimension, the first output index first; none where the fill is seen.
template <class Use>
void for_each_run(Border border, int64_t start, int64_t size, int64_t in_size, const Use& use) {
  for (int64_t out = 0; out < size;) {
    const int64_t index = start + out;
    const int64_t in = border_index(border, index, in_size);
    int64_t length = size - out;  // that is left, or less
    int64_t step = 0;
    const auto at_most = [&](int64_t most) { length = most < length ? most : length; };
    if (0 <= index && index < in_size) {
      step = 1;
      at_most(in_size - index);
    } else if (border == Border::kConstant || border == Border::kReplicate) {
      at_most(index < 0 ? -index : length);
    } else if (in_size > 1) {
      const int64_t period = border_period(border, in_size);
      const int64_t at = (index % period + period) % period;
      step = at < in_size ? 1 : -1;
      at_most((step > 0 ? in_size : period) - at);
    }
    if (in >= 0) {
      use(Run{out, in, length, step});
    }
    out += length;
  }
}

}  // namespace torchcrop_fast
