// Windows that are normalized on the way, through one of the CPU's kernels, for all types and layouts: every element.
#include <memory>

#include "normalize_cpu.h"
#include "numbers.h"
#include "target.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

constexpr int64_t kMostElements = 600;
constexpr char kBetween = 0x5a;  // what lies around the elements of the output, and must stay

// A coefficient or a fill: of any size, and what is none.
float any_float(Choices& choices) {
  constexpr float kSpecial[] = {0.0f,      -0.0f,           1.0f,     0x1p-149f, -0x1.8p-15f, 65519.0f,
                                -65520.0f, 0x1.fffffep127f, INFINITY, -INFINITY, NAN};
  const int64_t kind = choices.from(0, 3);
  if (kind == 0) return choices.one_of(kSpecial);
  if (kind == 1) return static_cast<float>(choices.from(-128, 127)) / 8;
  return static_cast<float>(choices.from(-0xffffff, 0xffffff)) * (kind == 2 ? 0x1p-20f : 0x1p-40f);
}

// Rows [begin, end) of one image's window, and of each type what is right.
struct Case {
  Choices& choices;
  bool is_fused;  // the multiply-add rounds once
  decltype(&normalize_rows_cpu) kernel;
  NormalizedWindow window;
  int64_t begin, end;
  std::vector<Element> elements;  // of the output in the order (channel, y, x); those of other rows left out
  Span in_span, out_span;

  template <class In, class Out>
  void run() {
    constexpr auto kInBytes = static_cast<int64_t>(sizeof(In)), kOutBytes = static_cast<int64_t>(sizeof(Out));
    const Block in(in_span.size() * kInBytes, choices.from(0, 15) / kInBytes * kInBytes);
    const Block out(out_span.size() * kOutBytes, choices.from(0, 63) / kOutBytes * kOutBytes);
    in.scramble(choices.from(0, 255));
    auto* const pixels = reinterpret_cast<In*>(in.data());
    if constexpr (sizeof(In) == 4) {  // else most are far too large or too small for any sum to tell
      const bool as_they_are = choices.one_in(4);
      for (int64_t i = 0; i < (as_they_are ? 0 : in_span.size()); ++i) pixels[i] = static_cast<float>(i % 251) / 8 - 9;
    }
    std::memset(out.data(), kBetween, out.size());
    window.window.in = in.data() - in_span.first() * kInBytes;
    window.window.out = out.data() - out_span.first() * kOutBytes;
    const int64_t middle = choices.one_in(3) ? choices.from(begin, end) : end;
    kernel(window, begin, middle, choices.one_in(2) ? Stores::kStreaming : Stores::kCached);
    kernel(window, middle, end, choices.one_in(2) ? Stores::kStreaming : Stores::kCached);

    std::vector<bool> written(out_span.size());
    const auto a_channel = static_cast<int64_t>(elements.size()) / window.window.dim[0].size;
    for (size_t i = 0; i < elements.size(); ++i) {
      const auto channel = static_cast<int64_t>(i) / a_channel;
      const float scale = window.scale[channel], bias = window.bias[channel];
      float number = window.fill[channel];
      if (elements[i].in != Element::kNone) {
        const auto pixel = static_cast<float>(value_of(pixels[elements[i].in - in_span.first()]));
        const float scaled = pixel * scale;
        number = is_fused ? std::fma(pixel, scale, bias) : scaled + bias;
      }
      const int64_t at = elements[i].out - out_span.first();
      written[at] = true;
      const double shown = value_of(reinterpret_cast<const Out*>(out.data())[at]);
      require(same(shown, rounded_to<Out>(number)), "a normalized element is wrong");
    }
    for (int64_t i = 0; i < out_span.size(); ++i) {
      const char* const between = out.data() + i * kOutBytes;
      require(
          written[i] || std::count(between, between + kOutBytes, kBetween) == kOutBytes,
          "a byte is written that is no element");
    }
  }

  template <class In>
  void run_from() {
    switch (window.out_type) {
      case PixelType::kHalf:
        return run<In, Half>();
      case PixelType::kBFloat16:
        return run<In, BFloat16>();
      default:
        return run<In, float>();
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const bool is_default = choices.one_in(3) || cpu_capability() == CpuCapability::kDefault;
  const Border border = choices.border();
  constexpr int64_t kChannels[] = {3, 1, 2, 3, 4, 5, 40};
  const int64_t channels = choices.one_of(kChannels);
  const int64_t height = choices.from(1, std::max<int64_t>(std::min<int64_t>(6, kMostElements / channels), 1));
  const int64_t width = choices.from(1, kMostElements / channels / height);

  // The image: channel by channel, pixel by pixel, or any strides; rows or columns mirrored.
  int64_t in_sizes[2], given[2];
  const int64_t sizes[] = {height, width};
  for (int d = 0; d < 2; ++d) {
    const bool whole = choices.one_in(3);
    in_sizes[d] = whole ? sizes[d] : choices.from(border == Border::kConstant ? 0 : 1, 2 * sizes[d] + 2);
    given[d] = choices.start(sizes[d], in_sizes[d]);
  }
  const int64_t gap = choices.one_in(4) ? choices.from(1, 3) : 0;
  const int64_t row = in_sizes[1] * channels + gap;
  int64_t in_strides[] = {1, row, channels};
  const int64_t layout = choices.from(0, 4);
  if (layout == 1) in_strides[2] += gap;
  if (layout == 2)
    in_strides[0] = in_sizes[0] * (in_sizes[1] + gap), in_strides[1] = in_sizes[1] + gap, in_strides[2] = 1;
  if (layout == 3) {
    for (int64_t& stride : in_strides) stride = choices.from(-2 * channels, 2 * channels);
  }
  for (int d = 1; d < 3; ++d) in_strides[d] *= choices.one_in(3) ? -1 : 1;

  // The output: channel by channel or pixel by pixel; with gaps between rows, it can't be streamed.
  const bool planar = choices.one_in(2);
  const int64_t between_planes = choices.one_in(4) ? choices.from(1, 70) : 0;
  const int64_t out_strides[] = {
      planar ? height * width + between_planes : 1, planar ? width : width * channels, planar ? 1 : channels};

  const auto coefficients = std::make_unique<float[]>(3 * channels);
  for (int64_t i = 0; i < 3 * channels; ++i) coefficients[i] = any_float(choices);
  const float* const scale = coefficients.get();
  const auto in_type = static_cast<PixelType>(choices.from(0, 3)),
             out_type = static_cast<PixelType>(choices.from(1, 3));
  Window window;
  window.border = border;
  window.dims = 3;
  window.dim[0] = {channels, 0, channels, in_strides[0], out_strides[0]};
  for (int d = 0; d < 2; ++d) {
    const int64_t start = near_start(border, given[d], sizes[d], in_sizes[d]);
    window.dim[1 + d] = {sizes[d], start, in_sizes[d], in_strides[1 + d], out_strides[1 + d]};
  }
  const int64_t begin = choices.one_in(3) ? choices.from(0, height) : 0;
  const int64_t end = choices.one_in(3) ? choices.from(begin, height) : height;
  std::vector<int64_t> rows = seen_from(border, given[0], height, in_sizes[0]);
  rows = {rows.begin() + begin, rows.begin() + end};
  const std::vector<int64_t> columns = seen_from(border, given[1], width, in_sizes[1]);
  const std::vector<Axis> axes{
      {seen_from(border, 0, channels, channels), in_strides[0], out_strides[0]},
      {rows, in_strides[1], out_strides[1]},
      {columns, in_strides[2], out_strides[2]}};
  Case one{
      choices,
      !is_default,
      is_default ? normalize_rows_default : normalize_rows_avx2,
      {window, in_type, out_type, scale, scale + channels, scale + 2 * channels},
      begin,
      end,
      elements_of({begin * out_strides[1], 0}, axes),
      {},
      {}};
  for (const Element& element : one.elements) {
    one.out_span.add(element.out);
    if (element.in != Element::kNone) one.in_span.add(element.in);
  }
  switch (in_type) {
    case PixelType::kUint8:
      one.run_from<uint8_t>();
      break;
    case PixelType::kHalf:
      one.run_from<Half>();
      break;
    case PixelType::kBFloat16:
      one.run_from<BFloat16>();
      break;
    default:
      one.run_from<float>();
  }
  return 0;
}
