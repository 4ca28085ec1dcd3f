// Random images normalized by the GPU's kernels, compiled for the CPU, against a plain loop over pixels. Arguments: how
// many batches, the seed. Prints the number normalized.
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "../../csrc/kernels/normalize_cuda.h"
#include "fuzz.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

// Numbers at the ends of what types hold, and beyond.
float draw_special() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float numbers[] = {
      std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity, 0x1p-24f, -0x1p-149f, 65504, 65520, 3e38f, -0.0f};
  return numbers[draw(0, 8)];
}

template <class In, class Out>
bool try_one_of(PixelType in_type, PixelType out_type) {
  const auto border = one_in(2) ? Border::kConstant : static_cast<Border>(draw(0, 4));
  const int64_t smallest = border == Border::kConstant ? 0 : 1;
  const int64_t channel_counts[] = {1, 2, 3, 3, 3, 4, 4, 5, 300};
  const int64_t channels = channel_counts[draw(0, one_in(20) ? 8 : 7)];
  const int64_t longest = channels == 300 ? 3 : 40;

  Layout layout;  // of the dimensions (channel, y, x)
  layout.images = draw(1, 3);
  layout.crops = one_in(3) ? draw(1, 3) : 1;
  layout.in_sizes = {channels, draw(smallest, longest), draw(smallest, longest)};
  layout.sizes = {channels, draw(1, longest), draw(1, longest)};
  const bool aligned = one_in(2);  // rows of whole chunks
  constexpr int64_t kChunk = 16 / sizeof(Out);
  if (aligned) layout.sizes[2] = draw(1, 5) * kChunk;
  layout.spatial = {-1, 0, 1};
  layout.spatial_dims = 2;
  int64_t fixed[] = {0, 0, 0};
  const bool centered = one_in(4);  // one start for all
  layout.draw_places(border);
  if (centered) {
    layout.starts.clear();
    for (int d = 1; d < 3; ++d) {
      const int64_t start = draw_start(border, layout.sizes[d], layout.in_sizes[d]);
      fixed[d] = near_start(border, start, layout.sizes[d], layout.in_sizes[d]);
    }
    for (int64_t i = 0; i < layout.images * layout.crops; ++i) {
      layout.starts.insert(layout.starts.end(), fixed + 1, fixed + 3);
    }
  }

  // Images by channel or by pixel, maybe with gaps; windows contiguous.
  const bool from_pixels = one_in(2), to_pixels = one_in(3);
  const std::vector<int64_t> image_order =
      from_pixels ? std::vector<int64_t>{layout.images, layout.in_sizes[1], layout.in_sizes[2], channels}
                  : std::vector<int64_t>{layout.images, channels, layout.in_sizes[1], layout.in_sizes[2]};
  auto image_strides = draw_strides(image_order, false, one_in(4));
  if (from_pixels) image_strides = {image_strides[0], image_strides[3], image_strides[1], image_strides[2]};
  std::vector<int64_t> image_shape = layout.in_sizes, window_shape = layout.sizes;
  image_shape.insert(image_shape.begin(), layout.images);
  window_shape.insert(window_shape.begin(), {layout.images, layout.crops});
  const int64_t height = layout.sizes[1], width = layout.sizes[2], window_size = channels * height * width;
  const std::vector<int64_t> window_strides = {
      layout.crops * window_size, window_size, to_pixels ? 1 : height * width, to_pixels ? width * channels : width,
      to_pixels ? channels : 1};
  const int64_t in_size = extent(image_shape, image_strides), out_size = layout.images * layout.crops * window_size;
  // Aligned to an element.
  const int64_t in_shift = draw(0, 15), out_shift = aligned ? draw(0, 1) * kChunk : draw(0, 15);
  const std::unique_ptr<In[]> in_memory(new In[in_shift + in_size]);
  const std::unique_ptr<Out[]> out_memory(new Out[out_shift + out_size]);
  In* const in = in_memory.get() + in_shift;
  Out* const out = out_memory.get() + out_shift;
  for (int64_t i = 0; i < in_size; ++i) {
    if constexpr (sizeof(In) == 1) {
      in[i] = static_cast<In>(rng());
    } else {
      in[i] = from_float<In>(one_in(8) ? draw_special() : static_cast<float>(draw(-999, 999)) / 64);
    }
  }
  std::vector<Out> expected(out_size);
  std::vector<float> scale(channels), bias(channels), fill(channels);
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = one_in(50) ? draw_special() : static_cast<float>(draw(1, 99)) / 32;
    bias[c] = static_cast<float>(draw(-99, 99)) / 32;
    fill[c] = one_in(50) ? draw_special() : static_cast<float>(draw(-99, 99)) / 32;
  }

  Windows windows;
  windows.window.in = reinterpret_cast<const char*>(in);
  windows.window.out = reinterpret_cast<char*>(out);
  windows.window.border = border;
  windows.window.dims = 3;
  for (int d = 0; d < 3; ++d) {
    windows.spatial[d] = layout.spatial[d];
    windows.window.dim[d] = {
        layout.sizes[d], fixed[d], layout.in_sizes[d], image_strides[1 + d], window_strides[2 + d]};
  }
  windows.images = layout.images;
  windows.windows_an_image = layout.crops;
  windows.in_image_stride = image_strides[0];
  windows.out_image_stride = window_strides[0];
  windows.out_window_stride = window_strides[1];
  windows.places = layout.places();
  if (centered) windows.places.starts = nullptr;

  for_each_index(window_shape, [&](const std::vector<int64_t>& index) {
    int64_t image_at = index[0] * image_strides[0];
    int64_t window_at = index[0] * window_strides[0] + index[1] * window_strides[1];
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      const int64_t i = index[2 + d];
      const int64_t seen = shown(border, layout.seen(index[0], index[1], d, i), layout.in_sizes[d]);
      inside = inside && seen >= 0;
      image_at += seen * image_strides[1 + d];
      window_at += i * window_strides[2 + d];
    }
    const int64_t c = index[2];
    expected[window_at] = from_float<Out>(inside ? std::fma(to_float(in[image_at]), scale[c], bias[c]) : fill[c]);
  });

  const NormalizedWindows normalized{windows, in_type, out_type, scale.data(), bias.data(), fill.data()};
  return normalize_windows_cuda(normalized, nullptr) == 0 &&
         std::memcmp(out, expected.data(), out_size * sizeof(Out)) == 0;
}

template <class In>
bool try_one_from(PixelType in_type) {
  switch (draw(0, 2)) {
    case 0:
      return try_one_of<In, Half>(in_type, PixelType::kHalf);
    case 1:
      return try_one_of<In, BFloat16>(in_type, PixelType::kBFloat16);
    default:
      return try_one_of<In, float>(in_type, PixelType::kFloat);
  }
}

bool try_one() {
  switch (draw(0, 5)) {
    case 0:
      return try_one_from<Half>(PixelType::kHalf);
    case 1:
      return try_one_from<BFloat16>(PixelType::kBFloat16);
    case 2:
      return try_one_from<float>(PixelType::kFloat);
    default:
      return try_one_from<uint8_t>(PixelType::kUint8);
  }
}

}  // namespace

int main(int, char** arguments) { return run(arguments, "batches", try_one); }
