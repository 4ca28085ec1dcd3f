// What the fuzz targets share: a fuzzer's bytes as choices, memory of just its size, and borders by their picture.
#pragma once

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "border.h"

// What libFuzzer, and replay.cpp, call for each input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fuzz {

using torchcrop_fast::Border;

// Neither libFuzzer nor replay.cpp goes on after an exception.
inline void require(bool right, const char* what) {
  if (!right) throw std::logic_error(what);
}

// A fuzzer's bytes, read as numbers one after another; once they are used up, each is the lowest of its range.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  int64_t from(int64_t low, int64_t high) {
    const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    uint64_t number = 0;
    for (uint64_t rest = span; rest > 0; rest >>= 8) number = number << 8 | (at_ < end_ ? *at_++ : 0);
    if (span < UINT64_MAX) number %= span + 1;
    return static_cast<int64_t>(static_cast<uint64_t>(low) + number);
  }
  bool one_in(int64_t n) { return from(1, n) == n; }
  template <class T, size_t kCount>
  T one_of(const T (&these)[kCount]) {
    return these[from(0, kCount - 1)];
  }
  Border border() { return one_in(2) ? static_cast<Border>(from(1, 4)) : Border::kConstant; }

  // Any number; most often one where arithmetic goes wrong: near 0, an end of int64, a power of two or its negative.
  int64_t extreme() {
    const int64_t kind = from(0, 3);
    if (kind == 0) return from(-20, 20);
    if (kind == 1) return from(INT64_MIN, INT64_MAX);
    const uint64_t power = uint64_t{1} << from(0, 63);
    return static_cast<int64_t>((kind == 2 ? power : -power) + static_cast<uint64_t>(from(-3, 3)));
  }

  // The numbers from 0 on, in any order.
  std::vector<int> shuffled(int count) {
    std::vector<int> order(count);
    for (int i = 0; i < count; ++i) order[i] = i;
    if (!one_in(2)) return order;
    for (int i = count - 1; i > 0; --i) std::swap(order[i], order[from(0, i)]);
    return order;
  }

  // The size of a dimension: of at most `most` elements, often of few.
  int64_t size(int64_t most) {
    const int64_t longest[] = {4, 1, 20, most};
    return from(1, std::min(most, one_of(longest)));
  }

  // The start of a window, on the input, beside it, or anywhere.
  int64_t start(int64_t size, int64_t in_size) {
    switch (from(0, 3)) {
      case 0:
        return 0;
      case 1:
        return from(-size - 2, size + 2);
      case 2:
        return in_size + from(-size - 2, size + 2);
      default:
        return extreme();
    }
  }

  // Strides, at least 0, of elements that share no memory: in any order, with gaps or without.
  std::vector<int64_t> strides(const std::vector<int64_t>& sizes) {
    constexpr int64_t kDense = 2048;  // elements; from there on without gaps
    std::vector<int64_t> strides(sizes.size());
    int64_t stride = one_in(8) ? 2 : 1;
    const bool gaps = one_in(4);
    const std::vector<int> order = shuffled(static_cast<int>(sizes.size()));
    for (size_t i = sizes.size(); i-- > 0;) {
      strides[order[i]] = stride;
      stride *= std::max<int64_t>(sizes[order[i]], 1);
      stride += gaps && stride < kDense ? from(0, 2) : 0;
    }
    return strides;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

// Bytes on the heap with nothing addressable around them, where AddressSanitizer watches (to within 7 bytes in front of
// them). They begin `shift` bytes, up to 63, behind a multiple of 64, so that a run does not depend on the allocator.
class Block {
 public:
  Block(int64_t size, int64_t shift)
      : memory_(static_cast<char*>(::operator new(shift + size, kAlignment))), shift_(shift), size_(size) {
    ASAN_POISON_MEMORY_REGION(memory_, shift_ / 8 * 8);
  }
  ~Block() {
    ASAN_UNPOISON_MEMORY_REGION(memory_, shift_);
    ::operator delete(memory_, kAlignment);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  char* data() const { return memory_ + shift_; }
  int64_t size() const { return size_; }

  // Bytes that differ from place to place.
  void scramble(uint64_t seed) const {
    for (int64_t i = 0; i < size_; i += 8) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      const uint64_t mixed = seed ^ seed >> 29;
      std::memcpy(data() + i, &mixed, std::min<int64_t>(8, size_ - i));
    }
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  char* memory_;
  int64_t shift_;
  int64_t size_;
};

// The index that a border shows at another, as its picture says; -1 for the fill.
inline __int128 shown(Border border, __int128 at, __int128 size) {
  if (0 <= at && at < size) return at;
  const auto folded = [&](__int128 period, __int128 turn) {  // there, and back from turn on
    const __int128 there = (at % period + period) % period;
    return std::min(there, turn - there);
  };
  switch (border) {
    case Border::kReplicate:
      return at < 0 ? 0 : size - 1;
    case Border::kReflect:
      return size == 1 ? 0 : folded(2 * size - 2, 2 * size - 2);
    case Border::kSymmetric:
      return folded(2 * size, 2 * size - 1);
    case Border::kCircular:
      return (at % size + size) % size;
    default:
      return -1;
  }
}

// The lowest and the highest of some places.
struct Span {
  int64_t low = INT64_MAX;
  int64_t high = INT64_MIN;

  void add(int64_t at) {
    low = std::min(low, at);
    high = std::max(high, at);
  }
  int64_t first() const { return low <= high ? low : 0; }
  int64_t size() const { return low <= high ? high - low + 1 : 0; }
};

// An element of the output, and the one of the input that it shows: where they lie.
struct Element {
  static constexpr int64_t kNone = INT64_MIN;  // in place of in: it shows the fill
  int64_t out;
  int64_t in;
};

// A dimension of a window.
struct Axis {
  std::vector<int64_t> seen;  // the input's index at each of the output's, or -1
  int64_t in_stride;
  int64_t out_stride;
};

// All elements of a window whose first ones lie there, the last dimension fastest.
inline std::vector<Element> elements_of(const Element& first, const std::vector<Axis>& axes) {
  int64_t count = 1;
  for (const Axis& axis : axes) count *= static_cast<int64_t>(axis.seen.size());
  std::vector<Element> elements(count);
  if (count == 0) return elements;
  elements[0] = first;
  int64_t outer = 1;
  for (const Axis& axis : axes) {
    const auto size = static_cast<int64_t>(axis.seen.size());
    for (int64_t n = outer; n-- > 0;) {  // backwards: each one's place is taken by what it becomes, or one before it
      const Element element = elements[n];
      for (int64_t i = size; i-- > 0;) {
        const bool none = element.in == Element::kNone || axis.seen[i] < 0;
        elements[n * size + i] = {
            element.out + i * axis.out_stride, none ? Element::kNone : element.in + axis.seen[i] * axis.in_stride};
      }
    }
    outer *= size;
  }
  return elements;
}

// Of a dimension that a window of this start, which may be any number, shows.
inline std::vector<int64_t> seen_from(Border border, __int128 start, int64_t size, int64_t in_size) {
  std::vector<int64_t> seen(size);
  for (int64_t i = 0; i < size; ++i) seen[i] = static_cast<int64_t>(shown(border, start + i, in_size));
  return seen;
}

inline int64_t product(const std::vector<int64_t>& sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

// Elements from the first to the last, and one more, of strides that are at least 0.
inline int64_t extent(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return 0;
    last += (sizes[d] - 1) * strides[d];
  }
  return last + 1;
}

}  // namespace fuzz
