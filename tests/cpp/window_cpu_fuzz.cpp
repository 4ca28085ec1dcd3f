// Random windows through every kernel that this CPU runs, against a plain loop over indexes; for AddressSanitizer to
// watch, since input and output lie in allocations of just their size. Arguments: how many windows, the seed. Prints
// the number copied.
#include <cstring>
#include <memory>

#include "../../csrc/kernels/window_cpu.h"
#include "fuzz.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

// Copies one random window in one or several ranges and compares; false where an element is wrong.
bool try_one() {
  decltype(&copy_window_cpu) const kernels[] = {copy_window_default, copy_window_avx2};
  const auto kernel = kernels[draw(0, static_cast<int>(cpu_capability()))];
  const int element_sizes[] = {1, 2, 4, 8, 16};
  const int bytes = element_sizes[draw(0, 4)];
  const int dims = static_cast<int>(draw(0, 5));
  const int64_t longest = dims == 1 ? 3000 : (dims == 2 ? 80 : 7);
  const int64_t widest = draw(0, 3) ? longest : std::max<int64_t>(longest, 300);  // of the innermost dimension
  std::vector<int64_t> sizes, in_sizes, starts;
  for (int d = 0; d < dims; ++d) {
    in_sizes.push_back(draw(0, d == dims - 1 ? widest : longest));
    sizes.push_back(draw(1, d == dims - 1 ? widest : longest));
    starts.push_back(draw(0, 2) ? draw(-sizes[d], in_sizes[d]) : 0);
    if (draw(0, 2) == 0) sizes[d] = in_sizes[d] = std::max<int64_t>(in_sizes[d], 1), starts[d] = 0;
  }
  auto in_strides = draw_strides(in_sizes, one_in(2), one_in(4));
  const auto out_strides = draw_strides(sizes, one_in(2), one_in(4));
  if (dims > 0 && draw(0, 5) == 0) in_strides[draw(0, dims - 1)] = 0;

  const int64_t in_bytes = extent(in_sizes, in_strides) * bytes;
  const int64_t out_bytes = extent(sizes, out_strides) * bytes;
  // Neither is aligned, but for every 16th.
  const int64_t in_shift = draw(0, 15), out_shift = draw(0, 15);
  const std::unique_ptr<char[]> in_memory(new char[in_shift + in_bytes]), out_memory(new char[out_shift + out_bytes]);
  char* const in = in_memory.get() + in_shift;
  char* const out = out_memory.get() + out_shift;
  for (int64_t i = 0; i < in_bytes; ++i) in[i] = static_cast<char>(rng());
  std::memset(out, 0x5a, out_bytes);
  std::vector<char> expected(out, out + out_bytes);

  Window window;
  window.in = in;
  window.out = out;
  window.element_size = bytes;
  window.dims = 0;
  const bool uniform = draw(0, 1);
  for (int i = 0; i < 16; ++i) {
    window.fill[i] = i >= bytes ? window.fill[i - bytes] : (uniform ? 0 : static_cast<unsigned char>(rng()));
  }
  std::vector<int> order(dims);
  for (int d = 0; d < dims; ++d) order[d] = d;
  if (draw(0, 1)) {
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return out_strides[a] > out_strides[b]; });
  }
  for (const int d : order) append_dim(window, {sizes[d], starts[d], in_sizes[d], in_strides[d], out_strides[d]});
  if (draw(0, 1)) order_for_reading(window);

  int64_t numel = 1;
  for (const int64_t size : sizes) numel *= size;
  for (int64_t i = 0; i < numel; ++i) {
    int64_t rest = i, in_offset = 0, out_offset = 0;
    bool inside = true;
    for (int d = dims; d-- > 0;) {
      const int64_t index = rest % sizes[d], at = starts[d] + index;
      rest /= sizes[d];
      inside = inside && at >= 0 && at < in_sizes[d];
      in_offset += at * in_strides[d];
      out_offset += index * out_strides[d];
    }
    const void* from = inside ? static_cast<const void*>(in + in_offset * bytes) : window.fill;
    std::memcpy(expected.data() + out_offset * bytes, from, bytes);
  }

  for (int64_t begin = 0; begin < numel;) {
    const int64_t end = draw(0, 1) ? numel : draw(begin + 1, numel);
    kernel(window, begin, end, draw(0, 1) ? Stores::kStreaming : Stores::kCached);
    begin = end;
  }
  return std::memcmp(out, expected.data(), out_bytes) == 0;
}

}  // namespace

int main(int, char** arguments) { return run(arguments, "windows", try_one); }
