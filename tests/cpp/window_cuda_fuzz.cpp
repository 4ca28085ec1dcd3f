// Random windows through the GPU's kernels, compiled for the CPU, or the CPU's, against a plain loop over indexes.
// Input and output lie in memory of just their size, or, where a third argument says "far", some elements of theirs lie
// gigabytes away from the others. Arguments: how many windows, the seed. Prints the number copied.
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <new>
#include <set>
#include <string>

#include "../../csrc/kernels/window_cuda.h"
#include "fuzz.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

bool far = false;

// Memory of which few pages are used, or just the bytes asked for.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(bytes) {
    if (!far) {
      near_.reset(new char[bytes]);
      return;
    }
    void* const mapped =
        mmap(nullptr, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    far_ = static_cast<char*>(mapped);
  }
  ~Memory() {
    if (far_) munmap(far_, bytes_ + 1);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* get() const { return far ? far_ : near_.get(); }

 private:
  int64_t bytes_;
  std::unique_ptr<char[]> near_;
  char* far_ = nullptr;
};

// Moves what lies farthest apart farther still.
void spread(const std::vector<int64_t>& sizes, std::vector<int64_t>& strides) {
  size_t farthest = 0;
  for (size_t d = 1; d < sizes.size(); ++d) {
    const bool more = sizes[farthest] < 2 || strides[d] > strides[farthest];
    farthest = sizes[d] > 1 && more ? d : farthest;
  }
  if (sizes[farthest] < 5) strides[farthest] = std::max(strides[farthest], draw(int64_t{1} << 26, int64_t{1} << 31));
}

// Copies one random window, or windows at random places, and compares; false where an element is wrong.
bool try_one() {
  const int element_sizes[] = {1, 2, 4, 8, 16};
  const int bytes = element_sizes[draw(0, 4)];
  const auto border = one_in(2) ? Border::kConstant : static_cast<Border>(draw(0, 4));
  const bool placed = one_in(2);
  const int dims = static_cast<int>(draw(placed ? 1 : 0, 4));
  const int64_t longest = dims <= 1 ? 400 : (dims == 2 ? 60 : 7);
  const int64_t widest = one_in(3) ? std::max<int64_t>(longest, 150) : longest;  // of the innermost dimension

  Layout layout;
  Windows windows;
  layout.images = placed ? draw(1, 4) : 1;
  windows.windows_to_images = placed && border == Border::kConstant && one_in(4);
  layout.crops = placed && !windows.windows_to_images && one_in(2) ? draw(1, 3) : 1;
  const int64_t smallest = border == Border::kConstant && !windows.windows_to_images ? 0 : 1;
  const auto fixed = layout.draw_dims(border, placed, dims, smallest, longest, widest);

  // What is read and what is written: (images, dims) and (images, crops, dims), or the other way round.
  std::vector<int64_t> image_shape = layout.in_sizes, window_shape = layout.sizes;
  image_shape.insert(image_shape.begin(), layout.images);
  window_shape.insert(window_shape.begin(), {layout.images, layout.crops});
  auto image_strides = draw_strides(image_shape, one_in(4), one_in(4));
  auto window_strides = draw_strides(window_shape, one_in(6), one_in(6));
  if (one_in(8)) (windows.windows_to_images ? window_strides : image_strides).back() = 0;
  if (far) {
    spread(image_shape, image_strides);
    spread(window_shape, window_strides);
  }
  const int64_t image_bytes = extent(image_shape, image_strides) * bytes;
  const int64_t window_bytes = extent(window_shape, window_strides) * bytes;
  const int64_t in_bytes = windows.windows_to_images ? window_bytes : image_bytes;
  const int64_t out_bytes = windows.windows_to_images ? image_bytes : window_bytes;
  // Aligned to an element, or to nothing.
  const int64_t step = one_in(8) ? 1 : bytes;
  const int64_t in_shift = draw(0, 15) / step * step, out_shift = draw(0, 15) / step * step;
  const Memory in_memory(in_shift + in_bytes), out_memory(out_shift + out_bytes);
  char* const in = in_memory.get() + in_shift;
  char* const out = out_memory.get() + out_shift;
  const auto& in_shape = windows.windows_to_images ? window_shape : image_shape;
  const auto& in_strides = windows.windows_to_images ? window_strides : image_strides;
  for_each_index(in_shape, [&](const std::vector<int64_t>& index) {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d) at += index[d] * in_strides[d];
    for (int i = 0; i < bytes; ++i) in[at * bytes + i] = static_cast<char>(rng());
  });

  Window& window = windows.window;
  window.in = in;
  window.out = out;
  window.element_size = bytes;
  window.border = border;
  window.dims = dims;
  for (int i = 0; i < 16; ++i) {
    window.fill[i] = i >= bytes ? window.fill[i - bytes] : static_cast<unsigned char>(rng());
  }
  for (int d = 0; d < dims; ++d) {
    windows.spatial[d] = layout.spatial[d];
    window.dim[d] = {layout.sizes[d], fixed[d], layout.in_sizes[d], image_strides[1 + d], window_strides[2 + d]};
    if (windows.windows_to_images) {
      window.dim[d] = {layout.in_sizes[d], 0, layout.sizes[d], window_strides[2 + d], image_strides[1 + d]};
    }
  }
  windows.images = layout.images;
  windows.windows_an_image = layout.crops;
  windows.in_image_stride = windows.windows_to_images ? window_strides[0] : image_strides[0];
  windows.out_image_stride = windows.windows_to_images ? image_strides[0] : window_strides[0];
  windows.out_window_stride = window_strides[1];
  if (placed) windows.places = layout.places();

  // What lies between the elements of the output must stay. (The emulation watches that, too, and then also elsewhere.)
  constexpr char kBetween = 0x5a;
  std::vector<char> written(far ? 0 : out_bytes, 0);
  if (!far) std::memset(out, kBetween, out_bytes);
  if (copy_windows_cuda(windows, nullptr) != 0) return false;

  const auto right = [&](int64_t in_at, int64_t out_at) {
    const void* const from = in_at < 0 ? static_cast<const void*>(window.fill) : window.in + in_at * bytes;
    if (!far) std::memset(written.data() + out_at * bytes, 1, bytes);
    return std::memcmp(out + out_at * bytes, from, bytes) == 0;
  };
  bool all_right = true;
  std::set<int64_t> seen_images;
  for_each_index(window_shape, [&](const std::vector<int64_t>& index) {
    int64_t image_at = index[0] * image_strides[0];
    int64_t window_at = index[0] * window_strides[0] + index[1] * window_strides[1];
    bool inside = true;
    for (int d = 0; d < dims; ++d) {
      const int64_t i = index[2 + d];
      const int64_t seen = shown(border, fixed[d] + layout.seen(index[0], index[1], d, i), layout.in_sizes[d]);
      inside = inside && seen >= 0;
      image_at += seen * image_strides[1 + d];
      window_at += i * window_strides[2 + d];
    }
    if (!windows.windows_to_images) {
      all_right = all_right && right(inside ? image_at : -1, window_at);
    } else if (inside) {
      seen_images.insert(image_at);
      all_right = all_right && right(window_at, image_at);
    }
  });
  for_each_index(
      windows.windows_to_images ? image_shape : std::vector<int64_t>{0}, [&](const std::vector<int64_t>& index) {
        int64_t at = 0;
        for (int d = 0; d <= dims; ++d) at += index[d] * image_strides[d];
        all_right = all_right && (seen_images.count(at) > 0 || right(-1, at));
      });
  for (size_t i = 0; i < written.size(); ++i) all_right = all_right && (written[i] || out[i] == kBetween);
  return all_right;
}

}  // namespace

int main(int count, char** arguments) {
  far = count > 3 && std::string(arguments[3]) == "far";
  return run(arguments, "windows", try_one);
}
