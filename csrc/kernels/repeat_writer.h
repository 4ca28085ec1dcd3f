// The kernel for windows whose border repeats elements of the input. Rows and columns are cut into runs that see the
// input one way; where two of them cross, one copy serves. Included as window_writer.h is, once for each CPU
// capability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "window_writer.h"

namespace torchcrop_fast {
namespace {

constexpr int64_t kNear = 96 * 1024;  // bytes that stay in the second cache until all their runs are written

// Writes ranges of one window. A plane is rows of columns. A column is an element, or all the elements of the innermost
// dimension where they are shown whole and lie side by side: the channels of a pixel.
template <int kVector>
class RepeatWriter {
 public:
  explicit RepeatWriter(const Window& window) : window_(window), bytes_(window.element_size) {
    int dims = window.dims;
    const WindowDim one = {1, 0, 1, 0, 0};
    const auto innermost = [&] { return dims > 0 ? window.dim[--dims] : one; };
    column_ = innermost();
    const bool whole = column_.start == 0 && column_.size == column_.in_size;
    if (dims > 0 && whole && column_.in_stride == 1 && column_.out_stride == 1) {
      elements_ = column_.size;
      bytes_ *= elements_;
      column_ = innermost();
    }
    row_ = innermost();
    outer_dims_ = dims;
    if (dims > 0) {
      planes_.to_step = window.dim[dims - 1].out_stride * window.element_size;
      planes_.from_step = window.dim[dims - 1].in_stride * window.element_size;
    }
    row_size_ = column_.size * elements_;
    rows_together_ = std::clamp<int64_t>(kNear / (row_size_ * window.element_size), 1, row_.size);
    cut(column_, columns_);
    cut(row_, rows_);
  }

  // Writes the output elements [begin, end).
  void write(int64_t begin, int64_t end, Stores stores) {
    if (stores == Stores::kStreaming && streams()) {
      LineStream<kVector> stream(window_.out + begin * window_.element_size);
      stream_ = &stream;
      scratch_.reset(new char[rows_together_ * row_size_ * window_.element_size]);
      write_planes(begin, end);
      stream.finish();
    } else {
      write_planes(begin, end);
    }
  }

 private:
  struct RunHere : Run {
  };  // a type of this file: code of std::vector's for a shared one might be built for another CPU
  using Runs = std::vector<RunHere>;

  void cut(const WindowDim& dim, Runs& runs) const {
    for_each_run(window_.border, dim.start, dim.size, dim.in_size, [&](Run run) { runs.push_back({run}); });
  }

  // Whether the output is contiguous, in the order of the dimensions, and its rows are wide enough to be streamed.
  bool streams() const { return contiguous(window_) && row_size_ * window_.element_size >= kStreamed; }

  void write_planes(int64_t begin, int64_t end) {
    const int64_t plane_size = row_.size * row_size_;
    seek(begin / plane_size);
    int64_t first = begin % plane_size;
    for (int64_t left = end - begin; left > 0;) {
      planes_.count = first == 0 && left > plane_size ? planes_alike(left / plane_size) : 1;
      const int64_t last = std::min(plane_size, first + left);
      write_plane(first, last);
      left -= (planes_.count - 1) * plane_size + last - first;
      first = 0;
      next_planes(planes_.count);
    }
  }

  // How many planes, at most `most`, are written together from the current one on: small ones along the innermost
  // outer dimension that see the input itself.
  int64_t planes_alike(int64_t most) const {
    if (outer_dims_ == 0 || stream_) {
      return 1;
    }
    const WindowDim& dim = window_.dim[outer_dims_ - 1];
    const int64_t index = index_[outer_dims_ - 1];
    const int64_t seen = dim.begin() <= index ? dim.end() - index : 1;
    return std::max<int64_t>(std::min({most, seen, kNear / (row_.size * row_size_ * window_.element_size)}), 1);
  }

  // Writes the elements [first, last) of the current plane, or all of the current planes.
  void write_plane(int64_t first, int64_t last) {
    if (last - first == row_.size * row_size_) {  // nearly always, and without a division
      for (int64_t row = 0; row < row_.size; row += rows_together_) {
        write_rows(row, std::min(rows_together_, row_.size - row), 0, row_size_);
      }
      return;
    }
    while (first < last) {
      const int64_t row = first / row_size_;
      const int64_t begin = first % row_size_;
      const int64_t whole = std::min((last - first) / row_size_, rows_together_);
      const bool part = begin > 0 || whole == 0;  // of a row
      const int64_t end = part ? std::min(row_size_, begin + last - first) : row_size_;
      write_rows(row, part ? 1 : whole, begin, end);
      first += part ? end - begin : whole * row_size_;
    }
  }

  // Writes the elements [first, last) of `count` rows from a row on.
  void write_rows(int64_t row, int64_t count, int64_t first, int64_t last) {
    char* const to = stream_ ? scratch_.get() - out_bytes(first) : window_.out + out_offset_ + row * out_step();
    for (const Run& rows : rows_) {
      const int64_t begin = std::max(row, rows.out);
      const int64_t end = std::min(row + count, rows.out + rows.size);
      if (begin >= end) {
        continue;
      }
      const char* const from = window_.in + in_offset_ + (rows.in + (begin - rows.out) * rows.step) * in_step();
      const Rows here{to + (begin - row) * out_step(), from,      end - begin, out_step(),
                      rows.step * in_step(),           /*seen=*/0};
      for (const Run& columns : columns_) {
        const int64_t run_begin = columns.out * elements_;
        const int64_t run_end = run_begin + columns.size * elements_;
        if (first <= run_begin && run_end <= last) {
          copy_columns(here, columns, columns.out, columns.size);
        } else {
          copy_part(here, columns, std::max(first, run_begin), std::min(last, run_end));
        }
      }
    }
    if (stream_) {
      stream_->copy(scratch_.get(), count * (last - first) * window_.element_size);
    }
  }

  // Copies `count` columns of rows from a column on, which lie in the run.
  void copy_columns(const Rows& rows, const Run& run, int64_t column, int64_t count) const {
    const Rows here{rows.to + column * out_next(),
                    rows.from + in_bytes(run, column),
                    rows.count,
                    rows.to_step,
                    rows.from_step,
                    count};
    copy_element_rows<kVector>(here, planes_, bytes_, out_next(), run.step * in_next());
  }

  // Copies the elements [begin, end) of one row, which lie in the run: seldom, where one thread's work ends.
  void copy_part(const Rows& row, const Run& run, int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t within = i % elements_ * window_.element_size;
      std::memcpy(row.to + out_bytes(i), row.from + in_bytes(run, i / elements_) + within, window_.element_size);
    }
  }

  // Bytes from the beginning of a row to one of its columns or elements, and from one to the next.
  int64_t in_bytes(const Run& run, int64_t column) const {
    return (run.in + (column - run.out) * run.step) * in_next();
  }
  int64_t out_bytes(int64_t element) const {
    return element / elements_ * out_next() + element % elements_ * window_.element_size;
  }
  int64_t in_next() const { return column_.in_stride * window_.element_size; }
  int64_t out_next() const { return column_.out_stride * window_.element_size; }
  int64_t in_step() const { return row_.in_stride * window_.element_size; }
  int64_t out_step() const { return row_.out_stride * window_.element_size; }

  // Goes to a plane, counted in the order of the outer dimensions.
  void seek(int64_t plane) {
    in_offset_ = out_offset_ = 0;
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      index_[d] = plane % window_.dim[d].size;
      plane /= window_.dim[d].size;
      in_offset_ += in_offset(d);
      out_offset_ += index_[d] * window_.dim[d].out_stride * window_.element_size;
    }
  }

  void next_planes(int64_t count) {
    for (int d = outer_dims_ - 1; d >= 0; --d, count = 1) {
      const WindowDim& dim = window_.dim[d];
      in_offset_ -= in_offset(d);
      index_[d] += count;
      out_offset_ += count * dim.out_stride * window_.element_size;
      const bool carry = index_[d] == dim.size;
      if (carry) {
        index_[d] = 0;
        out_offset_ -= dim.size * dim.out_stride * window_.element_size;
      }
      in_offset_ += in_offset(d);
      if (!carry) {
        return;
      }
    }
  }

  // What an outer dimension adds to the place of the current plane in the input, in bytes.
  int64_t in_offset(int d) const {
    const WindowDim& dim = window_.dim[d];
    return border_index(window_.border, dim.start + index_[d], dim.in_size) * dim.in_stride * window_.element_size;
  }

  const Window& window_;
  WindowDim column_;
  WindowDim row_;
  int outer_dims_;
  int64_t elements_ = 1;   // of a column
  int64_t bytes_;          // of a column
  int64_t row_size_;       // elements
  int64_t rows_together_;  // at most kNear bytes
  Runs columns_;
  Runs rows_;
  LineStream<kVector>* stream_ = nullptr;  // where the range goes, if it is streamed,
  std::unique_ptr<char[]> scratch_;        // and its rows on the way there
  Planes planes_{1, 0, 0};                 // that are written together
  // Where the first of them lies.
  int64_t index_[kMaxDims];  // of the outer dimensions
  int64_t in_offset_;        // bytes
  int64_t out_offset_;       // bytes
};

template <int kVector>
void copy_any_window(const Window& window, int64_t begin, int64_t end, Stores stores) {
  if (window.border == Border::kConstant) {
    write_window<kVector>(window, begin, end, stores);
  } else {
    RepeatWriter<kVector>(window).write(begin, end, stores);
  }
}

}  // namespace
}  // namespace torchcrop_fast
