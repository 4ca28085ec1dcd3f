// One window through one of the CPU's kernels: any strides, borders and starts, a part of its elements, every byte.
#include <cstdlib>

#include "target.h"
#include "window_cpu.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

constexpr int64_t kMostElements = 400;  // of a window; of some large ones many more, which are cut into parts
constexpr int64_t kLarge = 7000;
constexpr int64_t kMostApart = int64_t{1} << 33;  // elements of an input's dimension, as files mapped to memory have
constexpr int64_t kLogMost = 48;                  // of the elements of one that is expanded
constexpr int64_t kMostBytes = 1 << 17;           // between the first byte read and the last
constexpr char kBetween = 0x5a;                   // what lies around the elements of the output, and must stay

struct Dim {
  int64_t size;
  int64_t given;  // start, of any value
  int64_t in_size;
  int64_t in_stride;
  int64_t out_stride;
};

std::vector<Dim> choose_dims(Choices& choices, Border border) {
  const int count = static_cast<int>(choices.from(0, 6));
  std::vector<Dim> dims(count);
  std::vector<int64_t> sizes;
  int64_t left = choices.one_in(100) ? kLarge : kMostElements;
  for (Dim& dim : dims) {
    dim.size = choices.size(left);
    left /= dim.size;
    sizes.push_back(dim.size);
    const int64_t kind = choices.from(0, 7);
    dim.in_size = kind < 3   ? dim.size
                  : kind < 7 ? choices.from(border == Border::kConstant ? 0 : 1, 2 * dim.size + 2)
                             : (int64_t{1} << choices.from(8, kLogMost)) - choices.from(0, 2);
    dim.given = kind < 2 ? 0 : choices.start(dim.size, dim.in_size);
  }
  const std::vector<int64_t> out_strides = choices.strides(sizes);
  int64_t stride = 1;
  const std::vector<int> order = choices.shuffled(count);
  for (int i = count - 1; i >= 0; --i) {
    Dim& dim = dims[order[i]];
    const int64_t natural = dim.in_size < kLarge ? stride : 1;
    const int64_t strides[] = {natural, natural, natural, -natural, 0, choices.from(-70, 70)};
    dim.in_stride = dim.in_size > kMostApart ? 0 : choices.one_of(strides);
    stride = std::min(kMostBytes, dim.in_size < kLarge ? stride * std::max<int64_t>(dim.in_size, 1) : stride);
    dim.out_stride = choices.one_in(24) ? -out_strides[order[i]] : out_strides[order[i]];
  }
  return dims;
}

std::vector<Element> elements_of(const std::vector<Dim>& dims, Border border) {
  std::vector<Axis> axes;
  for (const Dim& dim : dims) {
    axes.push_back({seen_from(border, dim.given, dim.size, dim.in_size), dim.in_stride, dim.out_stride});
  }
  return fuzz::elements_of({0, 0}, axes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const auto kernel =
      choices.one_in(3) || cpu_capability() == CpuCapability::kDefault ? copy_window_default : copy_window_avx2;
  const Border border = choices.border();
  const int bytes = 1 << choices.from(0, 4);
  std::vector<Dim> dims = choose_dims(choices, border);

  std::vector<Element> elements = elements_of(dims, border);
  const auto numel = static_cast<int64_t>(elements.size());
  const bool all = !choices.one_in(2);
  const int64_t begin = all ? 0 : choices.from(0, numel);
  const int64_t end = all ? numel : choices.from(begin, numel);
  const int64_t middle = choices.one_in(3) ? choices.from(begin, end) : end;
  const auto read = [&] {
    Span span;
    for (int64_t i = begin; i < end; ++i) {
      if (elements[i].in != Element::kNone) span.add(elements[i].in);
    }
    return span;
  };
  for (Dim& dim : dims) {
    if (read().size() * bytes <= kMostBytes) break;
    dim.in_stride = 0;
    elements = elements_of(dims, border);
  }
  const Span in_span = read();
  Span out_span;
  for (const Element& element : elements) out_span.add(element.out);

  const Block in(in_span.size() * bytes, choices.from(0, 15));
  const Block out(out_span.size() * bytes, choices.from(0, 63));
  in.scramble(size);
  std::memset(out.data(), kBetween, out.size());
  std::vector<char> expected(out.data(), out.data() + out.size());

  Window window;
  const char* const first = in.data() - in_span.first() * bytes;
  window.in = first;
  window.out = out.data() - out_span.first() * bytes;
  window.element_size = bytes;
  window.border = border;
  window.dims = 0;
  const bool uniform = choices.one_in(2);
  for (int i = 0; i < 16; ++i) {
    window.fill[i] = static_cast<unsigned char>(uniform ? 0xc3 : 0xc3 + i % bytes);
  }
  const bool merged = !choices.one_in(4);
  for (const Dim& dim : dims) {
    const int64_t start = near_start(border, dim.given, dim.size, dim.in_size);
    const WindowDim of_window{dim.size, start, dim.in_size, dim.in_stride, dim.out_stride};
    if (merged) {
      append_dim(window, of_window);
    } else {
      window.dim[window.dims++] = of_window;
    }
  }

  for (int64_t i = begin; i < end; ++i) {
    const Element& element = elements[i];
    const bool filled = element.in == Element::kNone;
    const void* const from = filled ? static_cast<const void*>(window.fill) : first + element.in * bytes;
    std::memcpy(expected.data() + (element.out - out_span.first()) * bytes, from, bytes);
  }
  kernel(window, begin, middle, choices.one_in(2) ? Stores::kStreaming : Stores::kCached);
  kernel(window, middle, end, choices.one_in(2) ? Stores::kStreaming : Stores::kCached);
  require(std::memcmp(out.data(), expected.data(), out.size()) == 0, "a window shows something else");
  return 0;
}
