// The window kernel: row by row, each row its left border, what it sees of the input, and its right border. Each file
// that includes this gets a kernel of its own, for the vector instructions it lets the compiler use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "window_cpu.h"

namespace torchcrop_fast {
namespace {

// So many bytes, moved at once whatever their alignment.
template <int kBytes>
struct Bytes {
  typedef unsigned char Type __attribute__((vector_size(kBytes), aligned(1), may_alias));
};
template <>
struct Bytes<1> {
  typedef unsigned char Type;
};
template <>
struct Bytes<2> {
  typedef uint16_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct Bytes<4> {
  typedef uint32_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct Bytes<8> {
  typedef uint64_t Type __attribute__((aligned(1), may_alias));
};
template <int kBytes>
using Block = typename Bytes<kBytes>::Type;

template <int kBytes>
void move_block(char* to, const char* from) {
  *reinterpret_cast<Block<kBytes>*>(to) = *reinterpret_cast<const Block<kBytes>*>(from);
}

// Copies n bytes as kHeads blocks from the beginning and one that ends with them; they may overlap.
// kBlock <= n, and kHeads * kBlock <= n <= (kHeads + 1) * kBlock. Straight-line: a call of memcpy costs more than such
// a short row.
template <int kBlock, int kHeads>
struct CopyShort {
  void operator()(char* to, const char* from, int64_t n) const {
    for (int i = 0; i < kHeads; ++i) {
      move_block<kBlock>(to + i * kBlock, from + i * kBlock);
    }
    move_block<kBlock>(to + n - kBlock, from + n - kBlock);
  }
};

// Copies n bytes, at least two vectors: the first and the last one wherever they lie, those between to aligned places.
template <int kVector>
struct CopyLong {
  void operator()(char* to, const char* from, int64_t n) const {
    move_block<kVector>(to, from);
    int64_t i = kVector - static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % kVector);
    for (; i + 2 * kVector <= n; i += 2 * kVector) {
      move_block<kVector>(to + i, from + i);
      move_block<kVector>(to + i + kVector, from + i + kVector);
    }
    move_block<kVector>(to + n - 2 * kVector, from + n - 2 * kVector);
    move_block<kVector>(to + n - kVector, from + n - kVector);
  }
};

// Without wide vectors memcpy is faster, whose own choice of them is made at run time; in parts that it does not stream
// past the caches: whether that pays, we decide.
template <>
struct CopyLong<16> {
  void operator()(char* to, const char* from, int64_t n) const {
    constexpr int64_t kPart = 256 * 1024;
    for (; n > kPart; n -= kPart, to += kPart, from += kPart) {
      std::memcpy(to, from, kPart);
    }
    std::memcpy(to, from, n);
  }
};

constexpr int64_t kFilledFirst = 4096;  // bytes that are worth filling whole before a part of them is copied over
constexpr int64_t kLine = 64;           // of the caches, in bytes
constexpr int64_t kTile = 16;           // columns far apart in the input that are copied together
constexpr int64_t kStreamed = 192;      // the shortest row, in bytes, that is worth streaming
constexpr int64_t kShort = 128;         // the longest row, in bytes, that is copied straight-line

// Calls use(copy) with the straight-line copy of n bytes, more than a vector and at most kHeads + 1 of them.
template <int kVector, int kHeads, class Use>
void with_vectors(int64_t n, const Use& use) {
  if constexpr (kHeads > 1) {
    if (n <= kHeads * kVector) {
      return with_vectors<kVector, kHeads - 1>(n, use);
    }
  }
  use(CopyShort<kVector, kHeads>{});
}

// Calls use(copy) with the cheapest copy of n bytes, at least 1.
template <int kVector, class Use>
void with_copy(int64_t n, const Use& use) {
  if (n > kShort) {
    use(CopyLong<kVector>{});
  } else if (n > kVector) {
    with_vectors<kVector, kShort / kVector - 1>(n, use);
  } else if (n > 16) {
    use(CopyShort<16, 1>{});
  } else if (n > 8) {
    use(CopyShort<8, 1>{});
  } else if (n > 4) {
    use(CopyShort<4, 1>{});
  } else if (n > 2) {
    use(CopyShort<2, 1>{});
  } else {
    use(CopyShort<1, 1>{});
  }
}

// Stores a line, at an aligned place, past the caches.
template <int kVector>
void stream_line(char* to, const char* from) {
#if defined(__x86_64__)
  if constexpr (kVector == 32) {
    for (int i = 0; i < kLine; i += 32) {
      const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), part);
    }
  } else {
    for (int i = 0; i < kLine; i += 16) {
      const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), part);
    }
  }
#else
  std::memcpy(to, from, kLine);
#endif
}

// What some rows see of the input, and where it goes. A column is one byte or one element.
struct Rows {
  char* to;
  const char* from;
  int64_t count;
  int64_t to_step;    // bytes from row to row
  int64_t from_step;  // bytes
  int64_t seen;       // columns of each row
};

// Copies rows whose bytes lie side by side, each with one call of Copy.
template <class Copy>
struct CopyByteRows {
  void operator()(Rows rows) const {
    for (; rows.count > 0; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      copy(rows.to, rows.from, rows.seen);
    }
  }

  // Copies planes of such rows, given the first one and the bytes from the last row of a plane to the next plane. One
  // loop with no branch at a plane's end, which the CPU would mispredict: that costs as much as ten short rows.
  void operator()(Rows rows, int64_t planes, int64_t to_next_plane, int64_t from_next_plane) const {
    int64_t left_in_plane = rows.count;
    for (int64_t left = planes * rows.count; left > 0; --left) {
      copy(rows.to, rows.from, rows.seen);
      const bool last = --left_in_plane == 0;
      rows.to += last ? to_next_plane : rows.to_step;
      rows.from += last ? from_next_plane : rows.from_step;
      left_in_plane = last ? rows.count : left_in_plane;
    }
  }

  Copy copy;
};

#if defined(__x86_64__)
// A vector's elements in the opposite order.
template <int kSize>
__m256i reversed(__m256i elements) {
  struct Order {
    alignas(32) unsigned char from[32];  // in each half, where the bytes come from
  };
  static constexpr Order kOrder = [] {
    Order order{};
    for (int i = 0; i < 32; ++i) {
      order.from[i] = static_cast<unsigned char>((16 / kSize - 1 - i % 16 / kSize) * kSize + i % kSize);
    }
    return order;
  }();
  const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i*>(kOrder.from));
  return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(elements, order), 0x4e);
}
#endif

#if defined(__x86_64__)
// Every second element of two vectors that lie side by side, of 4 or 8 bytes.
template <int kSize>
__m256i every_second(__m256i first, __m256i second) {
  const __m256 a = _mm256_castsi256_ps(first);
  const __m256 b = _mm256_castsi256_ps(second);
  const __m256 kept = _mm256_shuffle_ps(a, b, kSize == 4 ? 0x88 : 0x44);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(kept), 0xd8);
}
#endif

// Copies rows one element at a time.
template <int kVector, int kSize>
struct CopyElementRows {
  // By reference, so that nobody copies it by vectors right after it was stored number by number: that waits.
  void operator()(const Rows& given) const {
    Rows rows = given;
    switch (rows.seen) {
      case 1:
        return copy(rows.to, rows.from, rows.count, rows.to_step, rows.from_step);
      case 2:
        return copy_narrow<2>(rows);
      case 3:
        return copy_narrow<3>(rows);
      case 4:
        return copy_narrow<4>(rows);
    }
    // Where columns lie far apart in the input but rows near each other, so few columns at a time that the lines they
    // bring are still near when the next row reads them.
    const int64_t together = std::abs(from_next) > kLine && std::abs(rows.from_step) < kLine ? kTile : rows.seen;
    for (; rows.seen > 0; rows.seen -= together, rows.to += together * to_next, rows.from += together * from_next) {
      char* to = rows.to;
      const char* from = rows.from;
      for (int64_t row = 0; row < rows.count; ++row, to += rows.to_step, from += rows.from_step) {
        copy(to, from, std::min(rows.seen, together), to_next, from_next);
      }
    }
  }

  void operator()(Rows rows, int64_t planes, int64_t to_next_plane, int64_t from_next_plane) const {
    for (; planes > 0; --planes) {
      (*this)(rows);
      rows.to += (rows.count - 1) * rows.to_step + to_next_plane;
      rows.from += (rows.count - 1) * rows.from_step + from_next_plane;
    }
  }

  int64_t to_next;    // bytes from element to element
  int64_t from_next;  // bytes

 private:
  // Copies rows of so many columns: a loop over each would cost more than the row.
  template <int kColumns>
  void copy_narrow(Rows& rows) const {
    for (; rows.count > 0; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      move_apart<kColumns>(rows.to, rows.from, to_next, from_next);
    }
  }

  // Moves kCount elements, to_next and from_next bytes apart. All are read before one is written: then the reads need
  // not wait for the writes.
  template <int kCount>
  static void move_apart(char* to, const char* from, int64_t to_next, int64_t from_next) {
    Block<kSize> elements[kCount];
    for (int i = 0; i < kCount; ++i) {
      elements[i] = *reinterpret_cast<const Block<kSize>*>(from + i * from_next);
    }
    for (int i = 0; i < kCount; ++i) {
      *reinterpret_cast<Block<kSize>*>(to + i * to_next) = elements[i];
    }
  }

  static void copy(char* to, const char* from, int64_t n, int64_t to_next, int64_t from_next) {
#if defined(__x86_64__)
    if constexpr (kVector == 32) {
      if (from_next == -kSize && to_next == kSize) {  // mirrored
        constexpr int64_t kTogether = 32 / kSize;
        for (; n >= kTogether; n -= kTogether, to += 32, from -= 32) {
          const char* const vector = from - (32 - kSize);
          const __m256i elements = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(vector));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reversed<kSize>(elements));
        }
      }
    }
#endif
#if defined(__x86_64__)
    if constexpr (kVector == 32 && (kSize == 4 || kSize == 8)) {
      if (from_next == 2 * kSize && to_next == kSize) {
        constexpr int64_t kTogether = 32 / kSize;
        for (; n > kTogether; n -= kTogether, to += 32, from += 64) {  // not the last: what follows it is not ours
          const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
          const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), every_second<kSize>(first, second));
        }
      }
    }
#endif
    if (from_next <= kLine) {  // elsewhere every read brings a line of its own, and they are better spread out
      for (; n >= 4; n -= 4, to += 4 * to_next, from += 4 * from_next) {
        move_apart<4>(to, from, to_next, from_next);
      }
    }
    for (; n > 0; --n, to += to_next, from += from_next) {
      move_block<kSize>(to, from);
    }
  }
};

// Fills with copies of one element.
template <int kVector>
class Filler {
 public:
  explicit Filler(const unsigned char* fill) : byte_(fill[0]) {
    for (int i = 0; i < kShort; i += 16) {
      std::memcpy(pattern_ + i, fill, 16);
    }
    uniform_ = std::memcmp(pattern_, pattern_ + 1, 15) == 0;
  }

  // Fills n bytes, whole elements.
  void operator()(char* to, int64_t n) const {
    if (n > kShort && uniform_) {
      std::memset(to, byte_, n);
      return;
    }
    for (; n > kShort; n -= kShort, to += kShort) {
      CopyShort<kVector, kShort / kVector - 1>{}(to, pattern_, kShort);
    }
    if (n > 0) {
      with_copy<kVector>(n, [&](const auto& copy) { copy(to, pattern_, n); });
    }
  }

  const char* pattern() const { return pattern_; }

 private:
  char pattern_[kShort];  // the element over and over
  unsigned char byte_;
  bool uniform_;  // all the element's bytes are byte_
};

// Writes bytes one behind the other past the caches. Only whole lines go that way, since a line that is written both
// ways costs many times more: the bytes of a line that come from several places gather in a buffer first.
template <int kVector>
class LineStream {
 public:
  explicit LineStream(char* to)
      : first_(static_cast<int>(reinterpret_cast<uintptr_t>(to) % kLine)), gathered_(first_), to_(to - first_) {}

  void copy(const char* from, int64_t n) {
    append(from, n, [](const char* at, int64_t bytes) { return at + bytes; });
  }

  void fill(const Filler<kVector>& filler, int64_t n) {
    const char* const pattern = filler.pattern();
    append(pattern, n, [=](const char* at, int64_t bytes) { return pattern + (at - pattern + bytes) % 16; });
  }

  // The bytes that complete the line begun, 0 if none is.
  int64_t left_in_line() const { return gathered_ > 0 ? kLine - gathered_ : 0; }

  // Where the next lines go, of which none is begun: the caller writes them, past the caches.
  char* next_lines(int64_t lines) { return std::exchange(to_, to_ + lines * kLine); }

  // Writes what is left, and orders all before what this thread stores next.
  void finish() {
    stream_waiting();
    std::memcpy(to_ + first_, line_ + first_, gathered_ - first_);
#if defined(__x86_64__)
    _mm_sfence();
#endif
  }

 private:
  // Appends n bytes; next(at, bytes) tells what to read after so many bytes read at a place.
  template <class Next>
  void append(const char* from, int64_t n, const Next& next) {
    if (gathered_ > 0) {
      const int64_t part = std::min<int64_t>(n, kLine - gathered_);
      gather(from, part);
      from = next(from, part);
      n -= part;
      if (gathered_ == kLine) {
        finish_line();
      }
    }
    char* to = to_;
    for (; n >= kLine; n -= kLine, from = next(from, kLine), to += kLine) {
      stream_line<kVector>(to, from);
    }
    to_ = to;
    gather(from, n);
  }

  void gather(const char* from, int64_t n) {
    if (n > 0) {
      with_copy<kVector>(n, [&](const auto& copy) { copy(line_ + gathered_, from, n); });
      gathered_ += static_cast<int>(n);
    }
  }

  void finish_line() {
    if (first_ > 0) {  // the bytes before belong to another thread
      std::memcpy(to_ + first_, line_ + first_, kLine - first_);
      first_ = 0;
    } else {
      stream_waiting();
      waiting_ = to_;
      std::swap(line_, waiting_line_);
    }
    to_ += kLine;
    gathered_ = 0;
  }

  // A gathered line waits until the next one is complete: read at once, it would hold up the CPU until its parts,
  // stored one by one, have left for the cache.
  void stream_waiting() {
    if (waiting_) {
      stream_line<kVector>(waiting_, waiting_line_);
      waiting_ = nullptr;
    }
  }

  int first_;                // the current line's bytes before it are not ours
  int gathered_;             // its bytes up to here are in line_
  char* to_;                 // where it begins
  char* waiting_ = nullptr;  // where the gathered line goes that waits, if one does
  alignas(kLine) char lines_[2][kLine];
  char* line_ = lines_[0];
  char* waiting_line_ = lines_[1];
};

// Whether the output's elements lie one behind the other, in the order of the dimensions.
bool gapless(const Window& window) {
  int64_t stride = 1;
  for (int d = window.dims - 1; d >= 0; --d) {
    if (window.dim[d].out_stride != stride) {
      return false;
    }
    stride *= window.dim[d].size;
  }
  return true;
}

// Writes ranges of one window. A plane is the two innermost dimensions: rows of columns. A column is one byte where a
// row's bytes lie side by side in the input and in the output, and else one element.
template <int kVector>
class WindowWriter {
 public:
  explicit WindowWriter(const Window& window) : window_(window), filler_(window.fill) {
    const WindowDim one = {1, 0, 1, 0, 0};
    column_ = window.dims > 0 ? window.dim[window.dims - 1] : one;
    row_ = window.dims > 1 ? window.dim[window.dims - 2] : one;
    outer_dims_ = std::max(window.dims - 2, 0);
    bytes_side_by_side_ = column_.in_stride == 1 && column_.out_stride == 1;
    columns_an_element_ = bytes_side_by_side_ ? window.element_size : 1;
    column_bytes_ = bytes_side_by_side_ ? 1 : window.element_size;
    column_.size *= columns_an_element_;
    column_.start *= columns_an_element_;
    column_.in_size *= columns_an_element_;
  }

  // Writes the output elements [begin, end).
  void write(int64_t begin, int64_t end, Stores stores) {
    begin *= columns_an_element_;
    end *= columns_an_element_;
    if (stores == Stores::kStreaming && streams()) {
      LineStream<kVector> stream(window_.out + begin);
      stream_ = &stream;
      write_planes(begin, end);
      stream.finish();
    } else {
      write_planes(begin, end);
    }
  }

 private:
  // Whether the output is gapless and its rows are wide enough to be streamed.
  bool streams() const {
    return gapless(window_) && bytes_side_by_side_ && column_.end() - column_.begin() >= kStreamed;
  }

  // The columns on either side of what a row sees.
  struct Borders {
    int64_t left;
    int64_t right;
  };

  void write_planes(int64_t begin, int64_t end) {
    const int64_t plane_size = row_.size * column_.size;
    seek(begin / plane_size);
    const int64_t first = begin % plane_size;
    int64_t left = end - begin;
    if (first > 0) {
      const int64_t last = std::min(plane_size, first + left);
      write_plane(first, last);
      left -= last - first;
      next_planes(1);
    }
    write_whole_planes(left / plane_size);
    if (left % plane_size > 0) {
      write_plane(0, left % plane_size);
    }
  }

  void write_whole_planes(int64_t count) {
    if (stream_ || !sees(row_) || !sees(column_)) {
      for (; count > 0; --count, next_planes(1)) {
        write_plane(0, row_.size * column_.size);
      }
      return;
    }
    const Borders borders{column_.begin(), column_.size - column_.end()};
    const int64_t seen = column_.end() - column_.begin();
    const bool bordered = seen < column_.size || row_.end() - row_.begin() < row_.size;
    const bool small = gapless_plane() && row_.size * column_.size * column_bytes_ <= kFilledFirst;
    with_row_copy(seen, [&](const auto& copy) {
      while (count > 0) {
        int64_t alike = 1;
        if (outside_ > 0) {
          fill_rows(0, row_.size, 0, column_.size);
        } else if (!bordered) {
          alike = std::min(count, planes_seen_from_here());
          const int64_t to_next = out_step(outer_dims_ - 1) - (row_.size - 1) * out_bytes(1, 0);
          const int64_t from_next = in_step(outer_dims_ - 1) - (row_.size - 1) * in_bytes(1, 0);
          copy(rows(0, row_.size, 0, seen), alike, to_next, from_next);
        } else if (small) {
          fill(out(0, 0), row_.size * column_.size);
          copy(rows(row_.begin(), row_.end(), borders.left, seen));
        } else {
          fill_rows(0, row_.begin(), 0, column_.size);
          write(rows(row_.begin(), row_.end(), borders.left, seen), borders, copy);
          fill_rows(row_.end(), row_.size, 0, column_.size);
        }
        count -= alike;
        next_planes(alike);
      }
    });
  }

  bool gapless_plane() const { return one_behind_the_other(column_.size); }

  // How many planes from the current one on, which sees the input, lie along the innermost outer dimension and see it.
  int64_t planes_seen_from_here() const {
    return outer_dims_ == 0 ? 1 : window_.dim[outer_dims_ - 1].end() - index_[outer_dims_ - 1];
  }

  // Goes to a plane, counted in the order of the outer dimensions.
  void seek(int64_t plane) {
    in_offset_ = out_offset_ = outside_ = 0;
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      const WindowDim& dim = window_.dim[d];
      index_[d] = plane % dim.size;
      plane /= dim.size;
      in_offset_ += (dim.start + index_[d]) * in_step(d);
      out_offset_ += index_[d] * out_step(d);
      outside_ += is_inside(dim, index_[d]) ? 0 : 1;
    }
  }

  void next_planes(int64_t count) {
    for (int d = outer_dims_ - 1; d >= 0; --d, count = 1) {
      const WindowDim& dim = window_.dim[d];
      outside_ -= is_inside(dim, index_[d]) ? 0 : 1;
      index_[d] += count;
      in_offset_ += count * in_step(d);
      out_offset_ += count * out_step(d);
      const bool carry = index_[d] == dim.size;
      if (carry) {
        index_[d] = 0;
        in_offset_ -= dim.size * in_step(d);
        out_offset_ -= dim.size * out_step(d);
      }
      outside_ += is_inside(dim, index_[d]) ? 0 : 1;
      if (!carry) {
        return;
      }
    }
  }

  static bool is_inside(const WindowDim& dim, int64_t index) { return dim.begin() <= index && index < dim.end(); }

  // Bytes from one index of an outer dimension to the next; 0 where there is no such dimension.
  int64_t in_step(int d) const { return d < 0 ? 0 : window_.dim[d].in_stride * window_.element_size; }
  int64_t out_step(int d) const { return d < 0 ? 0 : window_.dim[d].out_stride * window_.element_size; }

  // Writes the plane's columns [first, last).
  void write_plane(int64_t first, int64_t last) {
    int64_t row = first / column_.size;
    const int64_t last_row = last / column_.size;
    const int64_t first_column = first - row * column_.size;
    const int64_t last_column = last - last_row * column_.size;
    if (row == last_row) {
      write_rows(row, row + 1, first_column, last_column);
      return;
    }
    if (first_column > 0) {
      write_rows(row, row + 1, first_column, column_.size);
      ++row;
    }
    write_rows(row, last_row, 0, column_.size);
    if (last_column > 0) {
      write_rows(last_row, last_row + 1, 0, last_column);
    }
  }

  // Writes the columns [first, last) of the rows [begin, end): rows that see the border alone, rows that see the input,
  // and again rows that see the border.
  void write_rows(int64_t begin, int64_t end, int64_t first, int64_t last) {
    const bool inside_others = outside_ == 0 && sees(column_);
    const int64_t inside = inside_others ? std::clamp(row_.begin(), begin, end) : end;
    const int64_t after = inside_others ? std::clamp(row_.end(), inside, end) : end;
    fill_rows(begin, inside, first, last);
    if (inside < after) {
      copy_rows(inside, after, first, last);
    }
    fill_rows(after, end, first, last);
  }

  void fill_rows(int64_t begin, int64_t end, int64_t first, int64_t last) {
    if (begin == end) {
      return;
    }
    const int64_t columns = (end - begin) * (last - first);
    if (stream_) {
      stream_->fill(filler_, columns);
    } else if (one_behind_the_other(last - first)) {
      fill(out(begin, first), columns);
    } else {
      for (int64_t row = begin; row < end; ++row) {
        fill(out(row, first), last - first);
      }
    }
  }

  void copy_rows(int64_t begin, int64_t end, int64_t first, int64_t last) {
    const int64_t inside = std::clamp(column_.begin(), first, last);
    const int64_t after = std::clamp(column_.end(), inside, last);
    const int64_t seen = after - inside;
    if (seen == 0) {
      fill_rows(begin, end, first, last);
      return;
    }
    const Rows seen_rows = rows(begin, end, inside, seen);
    const Borders borders{inside - first, last - after};
    if (stream_) {
      stream(seen_rows, borders);
    } else {
      with_row_copy(seen, [&](const auto& copy) { write(seen_rows, borders, copy); });
    }
  }

  // Calls use(copy) with what copies rows of so many columns.
  template <class Use>
  void with_row_copy(int64_t columns, const Use& use) const {
    if (bytes_side_by_side_) {
      with_copy<kVector>(columns, [&](const auto& copy) { use(CopyByteRows<std::decay_t<decltype(copy)>>{copy}); });
      return;
    }
    switch (window_.element_size) {
      case 1:
        return use(CopyElementRows<kVector, 1>{out_bytes(0, 1), in_bytes(0, 1)});
      case 2:
        return use(CopyElementRows<kVector, 2>{out_bytes(0, 1), in_bytes(0, 1)});
      case 4:
        return use(CopyElementRows<kVector, 4>{out_bytes(0, 1), in_bytes(0, 1)});
      case 8:
        return use(CopyElementRows<kVector, 8>{out_bytes(0, 1), in_bytes(0, 1)});
      case 16:
        return use(CopyElementRows<kVector, 16>{out_bytes(0, 1), in_bytes(0, 1)});
    }
  }

  // The rows [begin, end), which see so many columns from the column on.
  Rows rows(int64_t begin, int64_t end, int64_t column, int64_t seen) const {
    return {out(begin, column), in(begin, column), end - begin, out_bytes(1, 0), in_bytes(1, 0), seen};
  }

  void stream(Rows rows, Borders borders) {
    for (; rows.count > 0; --rows.count, rows.from += rows.from_step) {
      stream_->fill(filler_, borders.left);
      stream_->copy(rows.from, rows.seen);
      stream_->fill(filler_, borders.right);
    }
  }

  template <class CopyRows>
  void write(Rows rows, Borders borders, const CopyRows& copy) const {
    const int64_t between = borders.right + borders.left;
    if (between == 0) {
      copy(rows);
      return;
    }
    const int64_t next = out_bytes(0, 1);
    // One row's right border and the next one's left often lie side by side.
    const bool joined = one_behind_the_other(between + rows.seen);
    if (joined && rows.to_step <= (bytes_side_by_side_ ? kShort : kFilledFirst)) {
      // Short rows: filled first, as many as stay near, and then copied over.
      const int64_t together = std::max<int64_t>(kFilledFirst / rows.to_step, 1);
      for (Rows part = rows; part.count > 0; part.count -= together) {
        Rows now = part;
        now.count = std::min(part.count, together);
        filler_(now.to - borders.left * next, now.count * rows.to_step);
        copy(now);
        part.to += together * rows.to_step;
        part.from += together * rows.from_step;
      }
      return;
    }
    if (!bytes_side_by_side_) {
      char* to = rows.to;
      for (int64_t row = 0; row < rows.count; ++row, to += rows.to_step) {
        fill(to - borders.left * next, borders.left);
        fill(to + rows.seen * next, borders.right);
      }
      copy(rows);
      return;
    }
    fill(rows.to - borders.left * next, borders.left);
    for (Rows row = rows; row.count > 0; --row.count, row.to += rows.to_step, row.from += rows.from_step) {
      const bool last = row.count == 1;
      copy({row.to, row.from, 1, 0, 0, row.seen});
      if (joined) {
        filler_(row.to + row.seen * next, (last ? borders.right : between) * next);
      } else {
        fill(row.to + row.seen * next, borders.right);
        fill(row.to + row.to_step - borders.left * next, last ? 0 : borders.left);
      }
    }
  }

  void fill(char* to, int64_t columns) const {
    if (column_.out_stride == 1) {
      filler_(to, columns * column_bytes_);
      return;
    }
    for (int64_t i = 0; i < columns; ++i) {
      std::memcpy(to + i * out_bytes(0, 1), filler_.pattern(), column_bytes_);
    }
  }

  static bool sees(const WindowDim& dim) { return dim.begin() < dim.end(); }

  // Whether rows of so many columns leave no gap in the output.
  bool one_behind_the_other(int64_t columns) const {
    return column_.out_stride == 1 && out_bytes(1, 0) == columns * column_bytes_;
  }

  int64_t out_bytes(int64_t rows, int64_t columns) const {
    return rows * row_.out_stride * window_.element_size + columns * column_.out_stride * column_bytes_;
  }
  int64_t in_bytes(int64_t rows, int64_t columns) const {
    return rows * row_.in_stride * window_.element_size + columns * column_.in_stride * column_bytes_;
  }
  char* out(int64_t row, int64_t column) const { return window_.out + out_offset_ + out_bytes(row, column); }
  const char* in(int64_t row, int64_t column) const {
    return window_.in + in_offset_ + in_bytes(row_.start + row, column_.start + column);
  }

  const Window& window_;
  const Filler<kVector> filler_;
  WindowDim row_;
  WindowDim column_;  // counts columns
  int outer_dims_;
  bool bytes_side_by_side_;
  int64_t columns_an_element_;
  int64_t column_bytes_;
  LineStream<kVector>* stream_ = nullptr;  // where the range goes, if it is streamed
  // Where the current plane lies.
  int64_t index_[kMaxDims];  // of the outer dimensions
  int64_t in_offset_;        // bytes
  int64_t out_offset_;       // bytes
  int64_t outside_;          // how many outer dimensions see the border there
};

template <int kVector>
void write_window(const Window& window, int64_t begin, int64_t end, Stores stores) {
  WindowWriter<kVector>(window).write(begin, end, stores);
}

}  // namespace
}  // namespace torchcrop_fast
