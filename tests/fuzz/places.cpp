// Windows at places, and windows written back onto images, through the CPU's kernels: every byte.
#include "placed.h"
#include "window_cpu.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

constexpr int64_t kMostElements = 400;
constexpr char kBetween = 0x5a;  // what lies around the elements of the output, and must stay

// What is written of an image and one of its windows, and what is read for it.
std::vector<Element> moves_of(const Placed& placed, int64_t image, int64_t crop, bool to_images) {
  std::vector<Axis> axes;
  for (size_t d = 0; d < placed.sizes().size(); ++d) {
    const int64_t image_stride = placed.image_strides()[1 + d], window_stride = placed.window_strides()[2 + d];
    const std::vector<int64_t> seen = placed.shown_by(image, crop, static_cast<int>(d));
    if (!to_images) {
      axes.push_back({seen, image_stride, window_stride});
      continue;
    }
    std::vector<int64_t> window_index(placed.in_sizes()[d], -1);
    for (size_t i = 0; i < seen.size(); ++i) {
      if (seen[i] >= 0) window_index[seen[i]] = static_cast<int64_t>(i);
    }
    axes.push_back({window_index, window_stride, image_stride});
  }
  const int64_t image_at = image * placed.image_strides()[0];
  const int64_t window_at = image * placed.window_strides()[0] + crop * placed.window_strides()[1];
  return elements_of(to_images ? Element{image_at, window_at} : Element{window_at, image_at}, axes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const auto kernel =
      choices.one_in(3) || cpu_capability() == CpuCapability::kDefault ? copy_window_default : copy_window_avx2;
  const bool to_images = choices.one_in(4);
  const Border border = to_images ? Border::kConstant : choices.border();
  const int bytes = 1 << choices.from(0, 4);
  const auto dims = static_cast<int>(choices.from(0, 5));
  const int64_t smallest = border == Border::kConstant && !to_images ? 0 : 1;
  const Placed placed(
      choices, border, dims, kMostElements, smallest, to_images ? Written::kImages : Written::kWindows, to_images);
  Windows windows = placed.windows(bytes);

  std::vector<Element> moves;
  Span in_span, out_span;
  for (int64_t image = 0; image < placed.images(); ++image) {
    for (int64_t crop = 0; crop < placed.crops(); ++crop) {
      const std::vector<Element> some = moves_of(placed, image, crop, to_images);
      moves.insert(moves.end(), some.begin(), some.end());
    }
  }
  for (const Element& move : moves) {
    out_span.add(move.out);
    if (move.in != Element::kNone) in_span.add(move.in);
  }
  require(out_span.high + 1 == out_extent(windows), "out_extent() is not the last element and one");
  require(in_span.high < in_extent(windows), "in_extent() is less than what is read");

  const Block in(in_span.size() * bytes, choices.from(0, 15));
  const Block out(out_span.size() * bytes, choices.from(0, 63));
  in.scramble(size);
  std::memset(out.data(), kBetween, out.size());
  std::vector<char> expected(out.data(), out.data() + out.size());
  windows.window.in = in.data() - in_span.first() * bytes;
  windows.window.out = out.data() - out_span.first() * bytes;
  for (int i = 0; i < 16; ++i) windows.window.fill[i] = static_cast<unsigned char>(0xc3 + i % bytes);
  for (const Element& move : moves) {
    const bool filled = move.in == Element::kNone;
    const void* const from =
        filled ? static_cast<const void*>(windows.window.fill) : windows.window.in + move.in * bytes;
    std::memcpy(expected.data() + (move.out - out_span.first()) * bytes, from, bytes);
  }

  const int64_t count = placed.images() * placed.crops(), numel = static_cast<int64_t>(moves.size()) / count;
  const int64_t middle = choices.from(0, numel);
  for (int64_t i = 0; i < count; ++i) {
    const Window window = window_at(windows, i);
    kernel(window, 0, middle, Stores::kCached);
    kernel(window, middle, numel, i % 2 ? Stores::kStreaming : Stores::kCached);
  }
  require(std::memcmp(out.data(), expected.data(), out.size()) == 0, "a window at a place shows something else");
  return 0;
}
