// Gradients of random windows through the GPU's kernel, compiled for the CPU, against sums element by element.
// Arguments: how many cases, the seed. Prints the number added up.
#include <cstring>
#include <memory>

#include "../../csrc/kernels/adjoint_cuda.h"
#include "fuzz.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

// Small whole numbers, whose sums every type holds.
template <class T>
T whole(int64_t number) {
  if constexpr (std::is_same_v<T, double>) {
    return static_cast<double>(number);
  } else {
    return from_float<T>(static_cast<float>(number));
  }
}

template <class T>
bool try_one_of(Real type) {
  const auto border = static_cast<Border>(draw(0, 4));
  const bool placed = one_in(2);
  const int dims = static_cast<int>(draw(1, 4));
  const int64_t longest = dims == 1 ? 60 : (dims == 2 ? 12 : 5);

  Layout layout;
  Windows windows;
  layout.images = placed ? draw(1, 3) : 1;
  layout.crops = placed && one_in(2) ? draw(1, 3) : 1;
  const auto fixed = layout.draw_dims(border, placed, dims, /*smallest=*/1, longest, longest);

  std::vector<int64_t> image_shape = layout.in_sizes, window_shape = layout.sizes;
  image_shape.insert(image_shape.begin(), layout.images);
  window_shape.insert(window_shape.begin(), {layout.images, layout.crops});
  const auto image_strides = draw_strides(image_shape, one_in(4), one_in(4));
  auto window_strides = draw_strides(window_shape, one_in(4), one_in(4));
  if (one_in(8)) window_strides[draw(0, dims + 1)] = 0;
  const int64_t image_size = extent(image_shape, image_strides), window_size = extent(window_shape, window_strides);
  const std::unique_ptr<T[]> gradient(new T[image_size]), upstream(new T[window_size]);
  std::vector<int64_t> numbers(window_size), sums(image_size, 0);
  for (int64_t i = 0; i < window_size; ++i) upstream[i] = whole<T>(numbers[i] = draw(0, 3));
  std::memset(gradient.get(), 0x5a, image_size * sizeof(T));
  std::vector<T> expected(gradient.get(), gradient.get() + image_size);

  Window& window = windows.window;
  window.in = reinterpret_cast<const char*>(gradient.get());
  window.out = reinterpret_cast<char*>(upstream.get());
  window.element_size = sizeof(T);
  window.border = border;
  window.dims = dims;
  for (int d = 0; d < dims; ++d) {
    windows.spatial[d] = layout.spatial[d];
    window.dim[d] = {layout.sizes[d], fixed[d], layout.in_sizes[d], image_strides[1 + d], window_strides[2 + d]};
  }
  windows.images = layout.images;
  windows.windows_an_image = layout.crops;
  windows.in_image_stride = image_strides[0];
  windows.out_image_stride = window_strides[0];
  windows.out_window_stride = window_strides[1];
  if (placed) windows.places = layout.places();

  for_each_index(window_shape, [&](const std::vector<int64_t>& index) {
    int64_t image_at = index[0] * image_strides[0];
    int64_t window_at = index[0] * window_strides[0] + index[1] * window_strides[1];
    for (int d = 0; d < dims; ++d) {
      const int64_t i = index[2 + d];
      const int64_t seen = shown(border, fixed[d] + layout.seen(index[0], index[1], d, i), layout.in_sizes[d]);
      if (seen < 0) return;
      image_at += seen * image_strides[1 + d];
      window_at += i * window_strides[2 + d];
    }
    sums[image_at] += numbers[window_at];
  });
  for_each_index(image_shape, [&](const std::vector<int64_t>& index) {
    int64_t at = 0;
    for (int d = 0; d <= dims; ++d) at += index[d] * image_strides[d];
    expected[at] = whole<T>(sums[at]);
  });

  return add_windows_cuda(windows, type, nullptr) == 0 &&
         std::memcmp(gradient.get(), expected.data(), image_size * sizeof(T)) == 0;
}

bool try_one() {
  switch (draw(0, 3)) {
    case 0:
      return try_one_of<Half>(Real::kHalf);
    case 1:
      return try_one_of<BFloat16>(Real::kBFloat16);
    case 2:
      return try_one_of<float>(Real::kFloat);
    default:
      return try_one_of<double>(Real::kDouble);
  }
}

}  // namespace

int main(int, char** arguments) { return run(arguments, "gradients", try_one); }
