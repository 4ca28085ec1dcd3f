// Copies windows on the CPU: row by row, each row its left border, what it sees of the input, and its right border.
#include "window_cpu.h"

#include <algorithm>
#include <cstring>

namespace torchcrop_fast {
namespace {

// So many bytes, moved at once whatever their alignment.
template <int kBytes>
struct Block {
  unsigned char bytes[kBytes];

  static Block load(const char* from) {
    Block block;
    std::memcpy(&block, from, kBytes);
    return block;
  }
  void store(char* to) const { std::memcpy(to, this, kBytes); }
};

// Copies n bytes as blocks of kBlock from both ends, kBlocks from each; they may overlap in the middle.
// kBlocks * kBlock <= n <= 2 * kBlocks * kBlock. Straight-line: a call of memcpy costs more than such a short row.
template <int kBlock, int kBlocks>
struct CopyEnds {
  void operator()(char* out, const char* in, int64_t n) const {
    for (int i = 0; i < kBlocks; ++i) {
      const auto head = Block<kBlock>::load(in + i * kBlock);
      const auto tail = Block<kBlock>::load(in + n - (i + 1) * kBlock);
      head.store(out + i * kBlock);
      tail.store(out + n - (i + 1) * kBlock);
    }
  }
};

struct CopyLong {
  void operator()(char* out, const char* in, int64_t n) const { std::memcpy(out, in, n); }
};

constexpr int64_t kShort = 128;  // the longest row, in bytes, that is copied straight-line

// Calls use(copy) with the cheapest copy of n bytes, at least 1.
template <class Use>
inline void with_copy(int64_t n, const Use& use) {
  if (n > kShort) {
    use(CopyLong{});
  } else if (n > 64) {
    use(CopyEnds<16, 4>{});
  } else if (n > 32) {
    use(CopyEnds<16, 2>{});
  } else if (n > 16) {
    use(CopyEnds<16, 1>{});
  } else if (n > 8) {
    use(CopyEnds<8, 1>{});
  } else if (n > 4) {
    use(CopyEnds<4, 1>{});
  } else if (n > 2) {
    use(CopyEnds<2, 1>{});
  } else {
    use(CopyEnds<1, 1>{});
  }
}

// Fills with copies of one element.
template <int kSize>
class Filler {
 public:
  explicit Filler(const unsigned char* element) : uniform_(true), first_(element[0]) {
    for (int i = 0; i < kShort; ++i) {
      pattern_[i] = static_cast<char>(element[i % kSize]);
      uniform_ = uniform_ && element[i % kSize] == first_;
    }
  }

  // Fills n elements that lie side by side.
  void operator()(char* to, int64_t n) const {
    const int64_t bytes = n * kSize;
    if (bytes <= kShort) {
      if (bytes > 0) {
        with_copy(bytes, [&](const auto& copy) { copy(to, pattern_, bytes); });
      }
    } else if (uniform_) {
      std::memset(to, first_, bytes);
    } else {
      for (int64_t i = 0; i < n; ++i) {
        one().store(to + i * kSize);
      }
    }
  }

  Block<kSize> one() const { return Block<kSize>::load(pattern_); }

 private:
  char pattern_[kShort];  // the element over and over
  bool uniform_;          // all its bytes are the same
  unsigned char first_;
};

// Writes ranges of one window whose elements have kSize bytes. A plane is the two innermost dimensions: rows of
// columns.
template <int kSize>
class WindowWriter {
 public:
  explicit WindowWriter(const Window& window) : window_(window), filler_(window.fill) {
    const WindowDim one = {1, 0, 1, 0, 0};
    column_ = window.dims > 0 ? window.dim[window.dims - 1] : one;
    row_ = window.dims > 1 ? window.dim[window.dims - 2] : one;
    outer_dims_ = std::max(window.dims - 2, 0);
    contiguous_ = column_.in_stride == 1 && column_.out_stride == 1;
  }

  void write(int64_t begin, int64_t end) {
    const int64_t plane_size = row_.size * column_.size;
    seek(begin / plane_size);
    int64_t first = begin % plane_size;
    for (int64_t left = end - begin; left > 0; next_plane()) {
      const int64_t last = std::min(plane_size, first + left);
      write_plane(first, last);
      left -= last - first;
      first = 0;
    }
  }

 private:
  // Goes to a plane, counted in the order of the outer dimensions.
  void seek(int64_t plane) {
    in_offset_ = out_offset_ = outside_ = 0;
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      const WindowDim& dim = window_.dim[d];
      index_[d] = plane % dim.size;
      plane /= dim.size;
      enter(d);
    }
  }

  void next_plane() {
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      leave(d);
      const bool carry = ++index_[d] == window_.dim[d].size;
      if (carry) {
        index_[d] = 0;
      }
      enter(d);
      if (!carry) {
        return;
      }
    }
  }

  // Adds (enter) or takes away (leave) what one outer dimension's index says of the plane: where it lies, whether it
  // sees the input.
  void enter(int d) { move(d, 1); }
  void leave(int d) { move(d, -1); }
  void move(int d, int64_t sign) {
    const WindowDim& dim = window_.dim[d];
    const bool inside = dim.begin() <= index_[d] && index_[d] < dim.end();
    in_offset_ += inside ? sign * (dim.start + index_[d]) * dim.in_stride * kSize : 0;
    out_offset_ += sign * index_[d] * dim.out_stride * kSize;
    outside_ += inside ? 0 : sign;
  }

  // Writes the plane's elements [first, last).
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
    const bool sees = outside_ == 0 && column_.begin() < column_.end();
    const int64_t inside = sees ? std::clamp(row_.begin(), begin, end) : end;
    const int64_t after = sees ? std::clamp(row_.end(), inside, end) : end;
    fill_rows(begin, inside, first, last);
    if (inside < after) {
      copy_rows(inside, after, first, last);
    }
    fill_rows(after, end, first, last);
  }

  void fill_rows(int64_t begin, int64_t end, int64_t first, int64_t last) {
    if (column_.out_stride == 1 && row_.out_stride == last - first) {  // they lie one behind the other
      fill(out(begin, first), (end - begin) * (last - first));
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      fill(out(row, first), last - first);
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
    const Rows rows{out(begin, inside),      in(begin, inside),      end - begin,
                    row_.out_stride * kSize, row_.in_stride * kSize, seen};
    const Borders borders{inside - first, last - after};
    if (contiguous_) {
      with_copy(seen * kSize, [&](const auto& copy) {
        const auto copy_row = [&](char* to, const char* from, int64_t n) { copy(to, from, n * kSize); };
        borders.left + borders.right == 0 ? write(rows, copy_row) : write(rows, borders, copy_row);
      });
    } else {
      const int64_t to_next = column_.out_stride * kSize;
      const int64_t from_next = column_.in_stride * kSize;
      write(rows, borders, [=](char* to, const char* from, int64_t n) {
        for (; n > 0; --n, to += to_next, from += from_next) {
          Block<kSize>::load(from).store(to);
        }
      });
    }
  }

  // What some rows see of the input, and where it goes.
  struct Rows {
    char* to;
    const char* from;
    int64_t count;
    int64_t to_step;    // bytes from row to row
    int64_t from_step;  // bytes
    int64_t seen;       // elements of each row
  };
  // The elements on either side of what a row sees.
  struct Borders {
    int64_t left;
    int64_t right;
  };

  template <class CopyRow>
  static void write(Rows rows, const CopyRow& copy_row) {
    for (; rows.count > 0; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      copy_row(rows.to, rows.from, rows.seen);
    }
  }

  template <class CopyRow>
  void write(Rows rows, Borders borders, const CopyRow& copy_row) const {
    const int64_t next = column_.out_stride * kSize;
    const int64_t between = borders.right + borders.left;
    // One row's right border and the next one's left often lie side by side: filled at once.
    const bool joined = next == kSize && rows.to_step == (between + rows.seen) * kSize;
    fill(rows.to - borders.left * next, borders.left);
    for (; rows.count > 1; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      copy_row(rows.to, rows.from, rows.seen);
      if (joined) {
        filler_(rows.to + rows.seen * kSize, between);
      } else {
        fill(rows.to + rows.seen * next, borders.right);
        fill(rows.to + rows.to_step - borders.left * next, borders.left);
      }
    }
    copy_row(rows.to, rows.from, rows.seen);
    fill(rows.to + rows.seen * next, borders.right);
  }

  void fill(char* to, int64_t n) const {
    if (column_.out_stride == 1) {
      filler_(to, n);
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      filler_.one().store(to + i * column_.out_stride * kSize);
    }
  }

  char* out(int64_t row, int64_t column) const {
    return window_.out + out_offset_ + (row * row_.out_stride + column * column_.out_stride) * kSize;
  }
  const char* in(int64_t row, int64_t column) const {
    return window_.in + in_offset_ +
           ((row_.start + row) * row_.in_stride + (column_.start + column) * column_.in_stride) * kSize;
  }

  const Window& window_;
  const Filler<kSize> filler_;
  WindowDim row_;
  WindowDim column_;
  int outer_dims_;
  bool contiguous_;  // a row's elements lie side by side, in the input and in the output
  // Where the current plane lies.
  int64_t index_[kMaxDims];  // of the outer dimensions
  int64_t in_offset_;        // bytes
  int64_t out_offset_;       // bytes
  int64_t outside_;          // how many outer dimensions see the border there
};

}  // namespace

void copy_window_cpu(const Window& window, int64_t begin, int64_t end) {
  switch (window.element_size) {
    case 1:
      return WindowWriter<1>(window).write(begin, end);
    case 2:
      return WindowWriter<2>(window).write(begin, end);
    case 4:
      return WindowWriter<4>(window).write(begin, end);
    case 8:
      return WindowWriter<8>(window).write(begin, end);
    case 16:
      return WindowWriter<16>(window).write(begin, end);
  }
}

}  // namespace torchcrop_fast
