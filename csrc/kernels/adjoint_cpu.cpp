// The adjoint of windows as a gather, row by row of the input's gradient: no scratch but a row, and no atomics.
#include "adjoint_cpu.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "pixel.h"

namespace torchcrop_fast {
namespace {

// The output indexes that see each input index along one dimension: those of index i are out[first[i]], and so on up to
// out[first[i + 1]].
struct OccurrenceTable {
  std::vector<int64_t> first;
  std::vector<int64_t> out;
};

OccurrenceTable occurrence_table(Border border, const WindowDim& dim) {
  OccurrenceTable table{std::vector<int64_t>(dim.in_size + 1), std::vector<int64_t>(dim.size)};
  for (int64_t i = 0; i < dim.size; ++i) {
    const int64_t in = border_index(border, dim.start + i, dim.in_size);
    if (in >= 0) {
      ++table.first[in + 1];
    }
  }
  for (int64_t i = 0; i < dim.in_size; ++i) {
    table.first[i + 1] += table.first[i];
  }
  std::vector<int64_t> next(table.first.begin(), table.first.end() - 1);
  for (int64_t i = 0; i < dim.size; ++i) {
    const int64_t in = border_index(border, dim.start + i, dim.in_size);
    if (in >= 0) {
      table.out[next[in]++] = i;
    }
  }
  return table;
}

template <class T>
class WindowAdder {
 public:
  using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

  // Of windows on one image, which share all but starts and what is reversed, in their unmerged form.
  explicit WindowAdder(const std::vector<Window>& windows) : shape_(windows[0]), last_(shape_.dims - 1) {
    for (const Window& window : windows) {
      WindowOccurrences shown{&window, {}, {}};
      for (int d = 0; d < last_; ++d) {
        shown.tables.push_back(occurrence_table(window.border, window.dim[d]));
      }
      const WindowDim& column = window.dim[last_];
      for_each_run(
          window.border, column.start, column.size, column.in_size, [&](const Run& run) { shown.runs.push_back(run); });
      shown_.push_back(std::move(shown));
    }
  }

  void write(int64_t begin, int64_t end) {
    const int64_t size = shape_.dim[last_].in_size, stride = shape_.dim[last_].in_stride;
    const bool in_place = std::is_same_v<T, Sum> && stride == 1;
    std::vector<Sum> sums(in_place ? 0 : size);
    seek(begin);
    for (int64_t row = begin; row < end; ++row, next_row()) {
      T* const in = reinterpret_cast<T*>(const_cast<char*>(shape_.in)) + in_offset_;
      sums_ = in_place ? reinterpret_cast<Sum*>(in) : sums.data();
      std::fill(sums_, sums_ + size, Sum(0));
      for (const WindowOccurrences& shown : shown_) {
        add(shown, 0, reinterpret_cast<const T*>(shown.window->out));
      }
      if (in_place) {
        continue;
      }
      if (stride == 1) {  // separate loop, so that compilers vectorize it
        for (int64_t i = 0; i < size; ++i) {
          in[i] = narrow(sums_[i]);
        }
        continue;
      }
      for (int64_t i = 0; i < size; ++i) {
        in[i * stride] = narrow(sums_[i]);
      }
    }
  }

 private:
  struct WindowOccurrences {
    const Window* window;
    std::vector<OccurrenceTable> tables;  // of each dimension but the last
    std::vector<Run> runs;                // of the last
  };

  // Goes to a row, counted in the order of the dimensions.
  void seek(int64_t row) {
    in_offset_ = 0;
    for (int d = last_ - 1; d >= 0; --d) {
      index_[d] = row % shape_.dim[d].in_size;
      row /= shape_.dim[d].in_size;
      in_offset_ += index_[d] * shape_.dim[d].in_stride;
    }
  }

  void next_row() {
    for (int d = last_ - 1; d >= 0; --d) {
      in_offset_ += shape_.dim[d].in_stride;
      if (++index_[d] < shape_.dim[d].in_size) {
        return;
      }
      index_[d] = 0;
      in_offset_ -= shape_.dim[d].in_size * shape_.dim[d].in_stride;
    }
  }

  // Adds all rows that show the current one, from dimension d on, whose elements begin at out.
  void add(const WindowOccurrences& shown, int d, const T* out) {
    const int64_t stride = shown.window->dim[d].out_stride;
    if (d < last_) {
      const OccurrenceTable& table = shown.tables[d];
      for (int64_t i = table.first[index_[d]]; i < table.first[index_[d] + 1]; ++i) {
        add(shown, d + 1, out + table.out[i] * stride);
      }
      return;
    }
    for (const Run& run : shown.runs) {
      Sum* const sum = sums_ + run.in;
      const T* from = out + run.out * stride;
      if (stride == 1 && run.step == 1) {  // separate, as above
        for (int64_t i = 0; i < run.size; ++i) {
          sum[i] += to_float(from[i]);
        }
        continue;
      }
      for (int64_t i = 0; i < run.size; ++i) {
        sum[i * run.step] += to_float(from[i * stride]);
      }
    }
  }

  static T narrow(Sum sum) {
    if constexpr (std::is_same_v<T, double>) {
      return sum;
    } else {
      return from_float<T>(sum);
    }
  }

  const Window& shape_;  // one of them: they share sizes and the input's strides
  const int last_;
  std::vector<WindowOccurrences> shown_;
  // The current row.
  Sum* sums_;  // (its size); the input's gradient itself where that is a row of sums
  int64_t index_[kMaxDims];
  int64_t in_offset_;  // elements
};

}  // namespace

void add_windows_cpu(const Windows& windows, Real type, int64_t image, int64_t begin, int64_t end) {
  const int64_t count = windows.windows_an_image, bytes = windows.window.element_size;
  std::vector<Window> of_image;
  for (int64_t i = image * count; i < (image + 1) * count; ++i) {
    of_image.push_back(unmerged_window_at(windows, i, Reversed::kOut, bytes, bytes));
  }
  switch (type) {
    case Real::kHalf:
      return WindowAdder<Half>(of_image).write(begin, end);
    case Real::kBFloat16:
      return WindowAdder<BFloat16>(of_image).write(begin, end);
    case Real::kFloat:
      return WindowAdder<float>(of_image).write(begin, end);
    case Real::kDouble:
      return WindowAdder<double>(of_image).write(begin, end);
  }
}

}  // namespace torchcrop_fast
