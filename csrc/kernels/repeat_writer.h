// The kernel for windows whose border repeats elements of the input: row by row, each row run by run. Included as
// window_writer.h is, once for each CPU capability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "window_writer.h"

namespace torchcrop_fast {
namespace {

// Copies n elements of so many bytes, to_next and from_next bytes apart.
template <int kVector>
void copy_elements(char* to, const char* from, int64_t n, int64_t bytes, int64_t to_next, int64_t from_next) {
  if (to_next == bytes && from_next == bytes) {
    return with_copy<kVector>(n * bytes, [&](const auto& copy) { copy(to, from, n * bytes); });
  }
  const Rows row{to, from, 1, 0, 0, n};
  switch (bytes) {
    case 1:
      return CopyElementRows<kVector, 1>{to_next, from_next}(row);
    case 2:
      return CopyElementRows<kVector, 2>{to_next, from_next}(row);
    case 4:
      return CopyElementRows<kVector, 4>{to_next, from_next}(row);
    case 8:
      return CopyElementRows<kVector, 8>{to_next, from_next}(row);
    case 16:
      return CopyElementRows<kVector, 16>{to_next, from_next}(row);
  }
  with_copy<kVector>(bytes, [&](const auto& copy) {
    for (; n > 0; --n, to += to_next, from += from_next) {
      copy(to, from, bytes);
    }
  });
}

// Writes ranges of one window. A column is an element, or all the elements of inner dimensions that are shown whole and
// lie side by side: the channels of a pixel.
template <int kVector>
class RepeatWriter {
 public:
  explicit RepeatWriter(const Window& window) : window_(window), bytes_(window.element_size) {
    outer_dims_ = window.dims - 1;
    if (window.dims == 0) {
      column_ = {1, 0, 1, 0, 0};
      outer_dims_ = 0;
    } else {
      column_ = window.dim[outer_dims_];
    }
    const bool whole = column_.start == 0 && column_.size == column_.in_size;
    if (outer_dims_ > 0 && whole && column_.in_stride == 1 && column_.out_stride == 1) {
      elements_ = column_.size;
      bytes_ *= elements_;
      column_ = window.dim[--outer_dims_];
    }
    in_next_ = column_.in_stride * window.element_size;
    out_next_ = column_.out_stride * window.element_size;
    for_each_run(window.border, column_.start, column_.size, column_.in_size, [&](Run run) { runs_.push_back({run}); });
  }

  // Writes the output elements [begin, end).
  void write(int64_t begin, int64_t end) {
    const int64_t row_size = column_.size * elements_;
    seek(begin / row_size);
    int64_t first = begin % row_size;
    for (int64_t left = end - begin; left > 0;) {
      const int64_t last = std::min(row_size, first + left);
      write_row(first, last);
      left -= last - first;
      first = 0;
      next_row();
    }
  }

 private:
  // Writes the elements [first, last) of the current row.
  void write_row(int64_t first, int64_t last) const {
    for (const Run& run : runs_) {
      const int64_t begin = std::max(first, run.out * elements_);
      const int64_t end = std::min(last, (run.out + run.size) * elements_);
      if (begin >= end) {
        continue;
      }
      if (begin % elements_ == 0 && end % elements_ == 0) {
        copy(run, begin / elements_, end / elements_);
        continue;
      }
      // A range that cuts a column: seldom, where one thread's work ends.
      for (int64_t i = begin; i < end; ++i) {
        const int64_t within = i % elements_ * window_.element_size;
        std::memcpy(out(i / elements_) + within, in(run, i / elements_) + within, window_.element_size);
      }
    }
  }

  // Copies the columns [begin, end), which lie in the run.
  void copy(const Run& run, int64_t begin, int64_t end) const {
    copy_elements<kVector>(out(begin), in(run, begin), end - begin, bytes_, out_next_, run.step * in_next_);
  }

  char* out(int64_t column) const { return window_.out + out_offset_ + column * out_next_; }
  const char* in(const Run& run, int64_t column) const {
    return window_.in + in_offset_ + (run.in + (column - run.out) * run.step) * in_next_;
  }

  // Goes to a row, counted in the order of the outer dimensions.
  void seek(int64_t row) {
    in_offset_ = out_offset_ = 0;
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      index_[d] = row % window_.dim[d].size;
      row /= window_.dim[d].size;
      in_offset_ += in_offset(d);
      out_offset_ += index_[d] * window_.dim[d].out_stride * window_.element_size;
    }
  }

  void next_row() {
    for (int d = outer_dims_ - 1; d >= 0; --d) {
      const WindowDim& dim = window_.dim[d];
      in_offset_ -= in_offset(d);
      out_offset_ += dim.out_stride * window_.element_size;
      const bool carry = ++index_[d] == dim.size;
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

  // What an outer dimension adds to the place of the current row in the input, in bytes.
  int64_t in_offset(int d) const {
    const WindowDim& dim = window_.dim[d];
    return border_index(window_.border, dim.start + index_[d], dim.in_size) * dim.in_stride * window_.element_size;
  }

  const Window& window_;
  WindowDim column_;
  int outer_dims_;
  int64_t elements_ = 1;  // of a column
  int64_t bytes_;         // of a column
  int64_t in_next_;       // bytes from column to column
  int64_t out_next_;      // bytes
  struct ColumnRun : Run {
  };  // a type of this file: code of std::vector's for a shared one might be built for another CPU
  std::vector<ColumnRun> runs_;
  // Where the current row lies.
  int64_t index_[kMaxDims];  // of the outer dimensions
  int64_t in_offset_;        // bytes
  int64_t out_offset_;       // bytes
};

template <int kVector>
void copy_any_window(const Window& window, int64_t begin, int64_t end, Stores stores) {
  if (window.border == Border::kConstant) {
    write_window<kVector>(window, begin, end, stores);
  } else {
    RepeatWriter<kVector>(window).write(begin, end);
  }
}

}  // namespace
}  // namespace torchcrop_fast
