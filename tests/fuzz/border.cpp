// The arithmetic of borders and the simplest form of a window, for all sizes and indexes, against wider numbers.
#include <cstdlib>

#include "target.h"
#include "window.h"

using namespace fuzz;
using namespace torchcrop_fast;

namespace {

using Wide = __int128;

bool repeats(Border border) { return border != Border::kConstant && border != Border::kReplicate; }

// A size of an input: a few elements, or any number of them.
int64_t any_size(Choices& choices, Border border) {
  const int64_t smallest = border == Border::kConstant ? 0 : 1;
  if (choices.one_in(2)) return choices.from(smallest, 12);
  const int64_t size = std::max(std::abs(std::max(choices.extreme(), -INT64_MAX)), smallest);
  return repeats(border) ? std::min(size, kMaxRepeated) : size;
}

// After how many elements the border shows the same again; 0 if never.
Wide true_period(Border border, Wide size) {
  switch (border) {
    case Border::kReflect:
      return std::max<Wide>(2 * size - 2, 1);
    case Border::kSymmetric:
      return 2 * size;
    case Border::kCircular:
      return size;
    default:
      return 0;
  }
}

void try_index(Choices& choices, Border border) {
  const int64_t size = any_size(choices, border), index = choices.extreme();
  require(border_index(border, index, size) == shown(border, index, size), "border_index() shows another element");
  const Wide period = size > 0 ? true_period(border, size) : 0;
  if (size > 0 && period <= INT64_MAX) {
    require(border_period(border, size) == period, "border_period() is wrong");
  }
}

void try_index_of_32_bits(Choices& choices, Border border) {
  const auto size = static_cast<int32_t>(any_size(choices, border) & (INT32_MAX / 4));
  if (size == 0 && border != Border::kConstant) return;
  const auto index = static_cast<int32_t>(choices.extreme());
  require(border_index(border, index, size) == shown(border, index, size), "border_index() in 32 bits is wrong");
  require(size == 0 || border_period(border, size) == true_period(border, size), "border_period() in 32 bits is wrong");
}

void try_start(Choices& choices, Border border) {
  const int64_t in_size = any_size(choices, border), given = choices.extreme();
  const int64_t size = choices.one_in(2) ? choices.from(1, 12) : std::max<int64_t>(choices.extreme(), 1);
  const int64_t start = near_start(border, given, size, in_size);
  const Wide period = true_period(border, in_size);
  if (period > 0) {
    require(-period < start && start < period, "near_start() is farther than a period");
  } else {
    require(-size <= start && start <= in_size, "near_start() is not near");
  }
  const WindowDim dim{size, start, in_size, 1, 1};
  for (const Wide i : {Wide{0}, Wide{size - 1}, Wide{choices.from(0, size - 1)}}) {
    const bool inside = 0 <= start + i && start + i < in_size;
    require((dim.begin() <= i && i < dim.end()) == inside, "a dimension sees another part of the input");
    require(
        shown(border, start + i, in_size) == shown(border, given + i, in_size), "near_start() shows another element");
  }
}

// For sizes whose sums with a start are numbers, as where the input and the output lie in memory.
void try_occurrences(Choices& choices, Border border) {
  constexpr int64_t kMost = kMaxRepeated / 2;
  const int64_t in_size = any_size(choices, Border::kReplicate) % kMost + 1;
  const int64_t size = any_size(choices, Border::kReplicate) % kMost + 1;
  const int64_t start = near_start(border, choices.extreme(), size, in_size);
  const int64_t index =
      choices.one_in(2) ? choices.from(0, in_size - 1) : std::min<int64_t>(choices.from(0, 3), in_size - 1);
  const auto occurrences = occurrences_of(border, start, size, in_size, index);

  Wide count = 0;
  const auto sees = [&](Wide i) { return shown(border, start + i, in_size) == index; };
  const Wide period = true_period(border, in_size);
  if (period > 0) {
    const auto count_from =
        [&](Wide at) {  // of the indexes of the window that are so far from the start, up to periods
          const Wide first = ((at - start) % period + period) % period;
          return first < size ? (size - 1 - first) / period + 1 : 0;
        };
    const Wide mirrored = border == Border::kReflect ? -index : -1 - Wide{index};
    const bool twice = border != Border::kCircular && (mirrored - index) % period != 0;
    count = count_from(index) + (twice ? count_from(mirrored) : 0);
  } else {
    const Wide at = Wide{index} - start;
    Wide low = at, high = at + 1;
    if (border == Border::kReplicate) low = index == 0 ? 0 : low, high = index == in_size - 1 ? size : high;
    count = std::max<Wide>(std::min<Wide>(high, size) - std::max<Wide>(low, 0), 0);
  }
  require(occurrences.count == count, "occurrences_of() counts wrongly");
  Wide last = -1;
  for (int64_t nth = 0; nth < std::min<int64_t>(occurrences.count, 6); ++nth) {
    const Wide i = occurrences[nth];
    require(last < i && i < size && sees(i), "an occurrence sees another element");
    last = i;
  }
  if (occurrences.count > 0) {
    const Wide i = occurrences[occurrences.count - 1];
    require(0 <= i && i < size && sees(i), "the last occurrence sees another element");
  }
  if (size <= 64) {
    Wide seen = 0;
    for (int64_t i = 0; i < size; ++i) seen += sees(i) ? 1 : 0;
    require(occurrences.count == seen, "occurrences_of() counts not what is seen");
  }
}

void try_runs(Choices& choices, Border border) {
  const int64_t in_size = any_size(choices, border), given = choices.extreme();
  constexpr int64_t kMostRuns = 40;
  int64_t size = std::max<int64_t>(choices.one_in(2) ? choices.from(1, 30) : choices.extreme(), 1);
  if (repeats(border)) size = static_cast<int64_t>(std::min<Wide>({size, kMaxRepeated, Wide{in_size} * kMostRuns}));
  const int64_t start = near_start(border, given, size, in_size);
  Wide next = 0;
  const auto require_fill = [&](Wide begin, Wide end) {
    if (begin >= end) return;
    require(border == Border::kConstant, "for_each_run() leaves out what is seen");
    for (const Wide i : {begin, end - 1}) require(shown(border, given + i, in_size) < 0, "a run is missing");
    require(
        given + end <= 0 || given + begin >= in_size || in_size == 0, "for_each_run() leaves out the input in between");
  };
  for_each_run(border, start, size, in_size, [&](const Run& run) {
    require(next <= run.out && run.size > 0 && Wide{run.out} + run.size <= size, "runs overlap");
    require_fill(next, run.out);
    next = Wide{run.out} + run.size;
    for (const Wide i : {Wide{0}, Wide{run.size} - 1, Wide{run.size} / 2, Wide{1}}) {
      if (i >= run.size) continue;
      require(shown(border, Wide{given} + run.out + i, in_size) == run.in + i * run.step, "a run shows something else");
    }
    require(run.step != 0 || border == Border::kReplicate || in_size == 1, "a run stands still");
  });
  require_fill(next, size);
}

// append_dim() and order_for_reading(): the same elements, in the same order but for the latter.
void try_form(Choices& choices, Border border) {
  const auto dims = static_cast<int>(choices.from(0, 6));
  const bool large = choices.one_in(4);  // too many elements to go through each
  Window window;
  window.in = window.out = nullptr;
  window.element_size = 1 << choices.from(0, 4);
  window.border = border;
  window.dims = 0;
  const auto address = [](const char* at) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(at)); };
  std::vector<Axis> axes;
  int64_t in_stride = 1, out_stride = 1;
  std::vector<WindowDim> all(dims);
  for (int d = dims - 1; d >= 0; --d) {
    const int64_t size = choices.from(1, large ? 200 : 4);
    const int64_t in_size = choices.one_in(2) ? size : choices.from(border == Border::kConstant ? 0 : 1, size + 3);
    const int64_t given = choices.one_in(2) ? 0 : choices.start(size, in_size);
    const int64_t stride = choices.one_in(5) ? choices.from(-9, 9) : in_stride;
    all[d] = {size, near_start(border, given, size, in_size), in_size, stride, out_stride};
    in_stride = choices.one_in(4) ? in_stride + 1 : in_stride * std::max<int64_t>(in_size, 1);
    out_stride *= size + (choices.one_in(6) ? 1 : 0);
    axes.insert(axes.begin(), Axis{seen_from(border, given, size, in_size), stride, all[d].out_stride});
  }
  // A base in the middle of the addresses: only numbers are made of it.
  const char* const base = reinterpret_cast<const char*>(uintptr_t{1} << 46);
  window.in = base;
  for (const WindowDim& dim : all) append_dim(window, dim);
  require(window.dims <= dims, "append_dim() makes dimensions");
  if (!large) {
    const auto expected = elements_of({0, 0}, axes);
    std::vector<Axis> merged;
    for (int d = 0; d < window.dims; ++d) {
      const WindowDim& dim = window.dim[d];
      merged.push_back({seen_from(border, dim.start, dim.size, dim.in_size), dim.in_stride, dim.out_stride});
    }
    const auto got = elements_of({0, (address(window.in) - address(base)) / window.element_size}, merged);
    require(got.size() == expected.size(), "append_dim() loses elements");
    for (size_t i = 0; i < got.size(); ++i) {
      require(got[i].out == expected[i].out && got[i].in == expected[i].in, "append_dim() shows something else");
    }
  }

  const std::vector<WindowDim> before(window.dim, window.dim + window.dims);
  order_for_reading(window);
  int moved = 0;
  while (moved < window.dims && std::memcmp(&before[moved], &window.dim[moved], sizeof(WindowDim)) == 0) ++moved;
  for (int d = moved; d < window.dims - 2; ++d) {
    require(std::memcmp(&before[d + 1], &window.dim[d], sizeof(WindowDim)) == 0, "order_for_reading() loses an order");
  }
  if (moved < window.dims) {
    require(moved < window.dims - 2, "order_for_reading() moves the columns");
    require(
        std::memcmp(&before[moved], &window.dim[window.dims - 2], sizeof(WindowDim)) == 0 &&
            std::memcmp(&before.back(), &window.dim[window.dims - 1], sizeof(WindowDim)) == 0,
        "order_for_reading() loses a dimension");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const Border border = static_cast<Border>(choices.from(0, 4));
  constexpr decltype(&try_index) kTries[] = {try_index, try_index_of_32_bits, try_start, try_occurrences, try_runs,
                                             try_form};
  choices.one_of(kTries)(choices, border);
  return 0;
}
