// The window kernel: row by row, each row its left border, what it sees of the input, and its right border. Each file
// that includes this gets a kernel of its own, for the vector instructions it lets the compiler use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "copy_rows.h"
#include "line_stream.h"
#include "window_cpu.h"

namespace torchcrop_fast {
namespace {

// Whether the output's elements are contiguous, in the order of the dimensions.
bool contiguous(const Window& window) {
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
    row_is_contiguous_ = column_.in_stride == 1 && column_.out_stride == 1;
    columns_an_element_ = row_is_contiguous_ ? window.element_size : 1;
    column_bytes_ = row_is_contiguous_ ? 1 : window.element_size;
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
  // Whether the output is contiguous and its rows are wide enough to be streamed.
  bool streams() const {
    return contiguous(window_) && row_is_contiguous_ && column_.end() - column_.begin() >= kStreamed;
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
    const bool small = plane_is_contiguous() && row_.size * column_.size * column_bytes_ <= kFilledFirst;
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

  bool plane_is_contiguous() const { return rows_contiguous(column_.size); }

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
    } else if (rows_contiguous(last - first)) {
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

  // Calls use(copy) with what copies rows of `columns` columns.
  template <class Use>
  void with_row_copy(int64_t columns, const Use& use) const {
    if (row_is_contiguous_) {
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

  // The rows [begin, end), which show `seen` columns from the column on.
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
    const bool joined = rows_contiguous(between + rows.seen);
    if (joined && rows.to_step <= (row_is_contiguous_ ? kShort : kFilledFirst)) {
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
    if (!row_is_contiguous_) {
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

  // Whether rows of `columns` columns leave no gap in the output.
  bool rows_contiguous(int64_t columns) const {
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
  bool row_is_contiguous_;
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
