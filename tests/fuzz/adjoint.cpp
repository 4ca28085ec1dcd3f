// Sums of the gradients of windows through the CPU's kernel, for all types: some rows of each image, and no other byte.
#include "adjoint_cpu.h"
#include "numbers.h"
#include "placed.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

constexpr int64_t kMostElements = 300;
constexpr char kBetween = 0x5a;  // what lies around what is written, and must stay
constexpr int64_t kNotWritten = -1;

// Whole numbers that the type has: their sums are exact in any order, but for the last rounding.
template <class T>
T whole(int64_t number) {
  if constexpr (std::is_same_v<T, double>) {
    return static_cast<double>(number);
  } else {
    return from_float<T>(static_cast<float>(number));
  }
}

// What adds to an element of the images' gradient: an element of the windows' gradient.
struct Term {
  int64_t to;
  int64_t from;
};

template <class T>
void try_type(Choices& choices, Real type) {
  const auto border = static_cast<Border>(choices.from(0, 4));
  const auto dims = static_cast<int>(choices.from(1, 5));
  const Placed placed(choices, border, dims, kMostElements, /*smallest=*/1, Written::kImages, /*to_images=*/false);
  Windows windows = placed.windows(sizeof(T));
  std::vector<int64_t> outer(placed.in_sizes().begin(), placed.in_sizes().end() - 1);
  const int64_t rows = product(outer);
  const int64_t begin = choices.one_in(3) ? choices.from(0, rows) : 0;
  const int64_t end = choices.one_in(3) ? choices.from(begin, rows) : rows;
  const int64_t middle = choices.from(begin, end);

  std::vector<int64_t> written;  // elements of the images' gradient
  std::vector<Term> terms;
  Span written_span, read_span;
  for (int64_t image = 0; image < placed.images(); ++image) {
    const int64_t image_at = image * placed.image_strides()[0];
    std::vector<Axis> of_image;
    for (int d = 0; d < dims; ++d) {
      const int64_t in_size = placed.in_sizes()[d];
      of_image.push_back({seen_from(border, 0, in_size, in_size), 0, placed.image_strides()[1 + d]});
    }
    const std::vector<Element> image_elements = elements_of({image_at, 0}, of_image);
    const int64_t row_size = placed.in_sizes().back();
    for (int64_t i = begin * row_size; i < end * row_size; ++i) {
      written.push_back(image_elements[i].out);
      written_span.add(image_elements[i].out);
    }
  }
  std::vector<int64_t> expected(written_span.size(), kNotWritten);
  for (const int64_t at : written) expected[at - written_span.first()] = 0;
  for (int64_t image = 0; image < placed.images(); ++image) {
    const int64_t image_at = image * placed.image_strides()[0];
    for (int64_t crop = 0; crop < placed.crops(); ++crop) {
      const int64_t window_at = image * placed.window_strides()[0] + crop * placed.window_strides()[1];
      std::vector<Axis> axes;
      for (int d = 0; d < dims; ++d) {
        axes.push_back(
            {placed.shown_by(image, crop, d), placed.image_strides()[1 + d], placed.window_strides()[2 + d]});
      }
      for (const Element& element : elements_of({window_at, image_at}, axes)) {
        if (element.in == Element::kNone) continue;
        const int64_t at = element.in - written_span.first();
        if (at < 0 || at >= written_span.size() || expected[at] < 0) continue;
        terms.push_back({at, element.out});
        read_span.add(element.out);
      }
    }
  }

  constexpr auto kBytes = static_cast<int64_t>(sizeof(T));
  const Block upstream(read_span.size() * kBytes, choices.from(0, 15) / kBytes * kBytes);
  const Block gradient(written_span.size() * kBytes, choices.from(0, 15) / kBytes * kBytes);
  auto* const numbers = reinterpret_cast<T*>(upstream.data());
  auto* const sums = reinterpret_cast<T*>(gradient.data());
  const auto number_at = [](int64_t at) { return (at * 7919 + at / 5) % (1 << std::min(11, format_of<T>().digits)); };
  for (int64_t i = 0; i < read_span.size(); ++i) numbers[i] = whole<T>(number_at(i));
  std::memset(gradient.data(), kBetween, gradient.size());
  windows.window.in = gradient.data() - written_span.first() * kBytes;
  windows.window.out = upstream.data() - read_span.first() * kBytes;
  for (int64_t image = 0; image < placed.images(); ++image) {
    add_windows_cpu(windows, type, image, begin, middle);
    add_windows_cpu(windows, type, image, middle, end);
  }

  for (const Term& term : terms) expected[term.to] += number_at(term.from - read_span.first());
  for (int64_t i = 0; i < written_span.size(); ++i) {
    if (expected[i] < 0) {
      const char* const between = gradient.data() + i * kBytes;
      require(std::count(between, between + kBytes, kBetween) == kBytes, "a byte is written that is no element");
    } else {
      require(same(value_of(sums[i]), rounded_to<T>(static_cast<double>(expected[i]))), "a sum is wrong");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  switch (choices.from(0, 3)) {
    case 0:
      try_type<Half>(choices, Real::kHalf);
      break;
    case 1:
      try_type<BFloat16>(choices, Real::kBFloat16);
      break;
    case 2:
      try_type<float>(choices, Real::kFloat);
      break;
    default:
      try_type<double>(choices, Real::kDouble);
  }
  return 0;
}
