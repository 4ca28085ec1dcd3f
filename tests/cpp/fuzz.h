// What the fuzzers of the kernels share: random numbers and strides, and borders by their picture.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <vector>

#include "../../csrc/kernels/window_cuda.h"

namespace fuzz {

using torchcrop_fast::Border;
using torchcrop_fast::Places;

inline std::mt19937 rng;

inline int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(rng); }
inline bool one_in(int64_t n) { return draw(1, n) == 1; }

// Strides that lay these sizes out without overlap, in this order or a random one, with gaps or without.
inline std::vector<int64_t> draw_strides(const std::vector<int64_t>& sizes, bool shuffled, bool gaps) {
  std::vector<size_t> order(sizes.size());
  for (size_t d = 0; d < order.size(); ++d) order[d] = d;
  if (shuffled) std::shuffle(order.begin(), order.end(), rng);
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = gaps ? draw(1, 2) : 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= std::max<int64_t>(sizes[order[i]], 1) + (gaps ? draw(0, 1) : 0);
  }
  return strides;
}

// Elements from the first to the last, and one more.
inline int64_t extent(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return 0;
    last += (sizes[d] - 1) * strides[d];
  }
  return last + 1;
}

// The index that a border shows at another, step by step as its picture says; -1 for the fill.
inline int64_t shown(Border border, __int128 at, int64_t size) {
  constexpr int64_t kFar = 100'000'000;  // no border changes its mind beyond
  auto index = static_cast<int64_t>(at < -kFar ? -kFar : (at > kFar ? kFar : at));
  while (index < 0 || index >= size) {
    switch (border) {
      case Border::kConstant:
        return -1;
      case Border::kReplicate:
        return index < 0 ? 0 : size - 1;
      case Border::kReflect:
        if (size == 1) return 0;
        index = index < 0 ? -index : 2 * (size - 1) - index;
        break;
      case Border::kSymmetric:
        index = index < 0 ? -1 - index : 2 * size - 1 - index;
        break;
      case Border::kCircular:
        index += index < 0 ? size : -size;
        break;
    }
  }
  return index;
}

// Where a window of this size begins: on the input, around it, or as far away as shown() can follow.
inline int64_t draw_start(Border border, int64_t size, int64_t in_size) {
  if (!one_in(12)) return draw(-size, in_size);
  if (border == Border::kConstant || border == Border::kReplicate) {
    const int64_t far[] = {INT64_MIN, INT64_MIN + 1, -10'000'000, 10'000'000, INT64_MAX - 1, INT64_MAX};
    return far[draw(0, 5)];
  }
  return draw(-2000, 2000);
}

// Images and windows of several dimensions at random places, the innermost of which may be channels.
struct Layout {
  std::vector<int64_t> sizes, in_sizes;  // of a window and of an image
  std::vector<int> spatial;              // of each dimension: which entry of a place, or -1
  int64_t images = 1, crops = 1;
  std::vector<int64_t> starts;  // (images, crops, spatial dimensions)
  std::vector<char> flips;      // likewise; empty where there are none
  int spatial_dims = 0;
  int first_flipped = 0;

  bool flipped(int64_t image, int64_t crop, int entry) const {
    return !flips.empty() && entry >= first_flipped && flips[(image * crops + crop) * spatial_dims + entry];
  }

  // The index of the image's dimension d, not yet through a border, that a window's index sees.
  __int128 seen(int64_t image, int64_t crop, int d, int64_t index) const {
    const int entry = spatial[d];
    if (entry < 0) return index;
    const __int128 start = starts[(image * crops + crop) * spatial_dims + entry];
    return start + (flipped(image, crop, entry) ? sizes[d] - 1 - index : index);
  }

  // Starts and flips as a launch takes them.
  Places places() const {
    const int64_t of_image = crops * spatial_dims;
    const auto* const first_flip = reinterpret_cast<const bool*>(flips.empty() ? nullptr : flips.data());
    return {starts.data(), {of_image, spatial_dims, 1}, first_flip, {of_image, spatial_dims, 1}, first_flipped,
            spatial_dims};
  }

  // Draws dimensions of sizes up to `longest`, the last one up to `widest`, from `smallest` on in the images; with
  // places or without, where it returns the starts, which are near.
  std::vector<int64_t> draw_dims(
      Border border, bool placed, int dims, int64_t smallest, int64_t longest, int64_t widest) {
    spatial_dims = placed ? static_cast<int>(draw(1, dims)) : 0;
    const bool channels_last = spatial_dims < dims && one_in(2);
    std::vector<int64_t> fixed(dims, 0);
    for (int d = 0; d < dims; ++d) {
      const bool last = d == dims - 1;
      const int64_t most = placed && channels_last && last ? std::min<int64_t>(4, widest) : (last ? widest : longest);
      in_sizes.push_back(draw(smallest, most));
      sizes.push_back(draw(1, most));
      const int entry = d - (dims - spatial_dims) + (channels_last ? 1 : 0);
      spatial.push_back(entry >= 0 && entry < spatial_dims ? entry : -1);
      if (spatial[d] >= 0) continue;
      if (placed || one_in(3)) {
        sizes[d] = in_sizes[d] = std::max<int64_t>(in_sizes[d], 1);
      } else {
        const int64_t start = draw_start(border, sizes[d], in_sizes[d]);
        fixed[d] = torchcrop_fast::near_start(border, start, sizes[d], in_sizes[d]);
      }
    }
    if (placed) draw_places(border);
    return fixed;
  }

  void draw_places(Border border) {
    for (int64_t i = 0; i < images * crops; ++i) {
      for (int entry = 0; entry < spatial_dims; ++entry) {
        const auto d = static_cast<size_t>(std::find(spatial.begin(), spatial.end(), entry) - spatial.begin());
        starts.push_back(draw_start(border, sizes[d], in_sizes[d]));
        flips.push_back(static_cast<char>(draw(0, 1)));
      }
    }
    if (one_in(4)) flips.clear();
    first_flipped = one_in(2) ? spatial_dims - 1 : 0;
  }
};

// Calls use(index, rest) for all indexes of these sizes, the last dimension fastest.
template <class Use>
void for_each_index(const std::vector<int64_t>& sizes, const Use& use) {
  std::vector<int64_t> index(sizes.size(), 0);
  for (const int64_t size : sizes) {
    if (size == 0) return;
  }
  for (;;) {
    use(index);
    size_t d = sizes.size();
    while (d > 0 && ++index[d - 1] == sizes[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

// Tries as often as the first argument says, with the second as the seed. Prints how many were right.
template <class TryOne>
int run(char** arguments, const char* what, const TryOne& try_one) {
  const int count = std::atoi(arguments[1]);
  rng.seed(std::atoi(arguments[2]));
  for (int i = 0; i < count; ++i) {
    try {
      if (try_one()) continue;
      std::printf("%s: number %d of seed %s is wrong\n", what, i, arguments[2]);
    } catch (const std::exception& error) {
      std::printf("%s: number %d of seed %s: %s\n", what, i, arguments[2], error.what());
    }
    return 1;
  }
  std::printf("%d %s right\n", count, what);
  return 0;
}

}  // namespace fuzz
