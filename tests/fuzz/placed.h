// Images and windows at places that a fuzzer chooses: what the targets of windows and of gradients are given.
#pragma once

#include <memory>

#include "target.h"
#include "windows.h"

namespace fuzz {

using torchcrop_fast::Reversed;
using torchcrop_fast::Windows;

// Which of the two shares no memory, since it is written.
enum class Written { kWindows, kImages };

// Windows of one shape at chosen places. What is chosen is what Windows says: strides of at least 0.
class Placed {
 public:
  // most: elements of all that is written, roughly. smallest: size of an image's dimension.
  Placed(Choices& choices, Border border, int dims, int64_t most, int64_t smallest, Written written, bool to_images)
      : border_(border), to_images_(to_images) {
    images_ = choices.from(1, 3);
    crops_ = to_images ? 1 : choices.from(1, 3);
    int64_t left = most / (images_ * crops_);
    spatial_.assign(dims, -1);
    for (int d = 0; d < dims; ++d) {
      const int64_t size = choices.size(left);
      const int64_t in_size = choices.one_in(3) ? size : choices.from(smallest, 2 * size + 2);
      sizes_.push_back(size);
      in_sizes_.push_back(in_size);
      left = std::max<int64_t>(left / (written == Written::kImages ? std::max(size, in_size) : size), 1);
      if (choices.one_in(2)) spatial_[d] = spatial_dims_++;
    }
    const std::vector<int> entries = choices.shuffled(spatial_dims_);
    for (int& entry : spatial_) entry = entry < 0 ? -1 : entries[entry];
    choose_places(choices);
    choose_strides(choices, written);
  }

  int64_t images() const { return images_; }
  int64_t crops() const { return crops_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }
  const std::vector<int64_t>& in_sizes() const { return in_sizes_; }

  // (images, dims) and (images, crops, dims).
  const std::vector<int64_t>& image_strides() const { return image_strides_; }
  const std::vector<int64_t>& window_strides() const { return window_strides_; }

  // The index of an image's dimension d that a window shows at each of its indexes, -1 for the fill.
  std::vector<int64_t> shown_by(int64_t image, int64_t crop, int d) const {
    const int entry = spatial_[d];
    __int128 start = fixed_[d];
    bool flipped = false;
    if (entry >= 0) {
      start = starts_ ? starts_[of_place(start_steps_, image, crop, entry)] : fixed_[d];
      flipped = flips_ && entry >= first_flipped_ && flips_[of_place(flip_steps_, image, crop, entry)];
    }
    std::vector<int64_t> seen = seen_from(border_, start, sizes_[d], in_sizes_[d]);
    if (flipped) std::reverse(seen.begin(), seen.end());
    return seen;
  }

  // As a kernel takes them, but for the memory.
  Windows windows(int element_size) const {
    Windows all;
    all.window.element_size = element_size;
    all.window.border = border_;
    all.window.dims = static_cast<int>(sizes_.size());
    for (size_t d = 0; d < sizes_.size(); ++d) {
      const int64_t start = torchcrop_fast::near_start(border_, fixed_[d], sizes_[d], in_sizes_[d]);
      const int64_t image_stride = image_strides_[1 + d], window_stride = window_strides_[2 + d];
      all.spatial[d] = spatial_[d];
      all.window.dim[d] = {sizes_[d], start, in_sizes_[d], image_stride, window_stride};
      if (to_images_) all.window.dim[d] = {in_sizes_[d], -start, sizes_[d], window_stride, image_stride};
    }
    all.images = images_;
    all.windows_an_image = crops_;
    all.in_image_stride = to_images_ ? window_strides_[0] : image_strides_[0];
    all.out_image_stride = to_images_ ? image_strides_[0] : window_strides_[0];
    all.out_window_stride = window_strides_[1];
    all.windows_to_images = to_images_;
    all.places.starts = starts_.get();
    all.places.flips = flips_.get();
    std::copy(start_steps_, start_steps_ + 3, all.places.start_strides);
    std::copy(flip_steps_, flip_steps_ + 3, all.places.flip_strides);
    all.places.first_flipped = first_flipped_;
    all.places.spatial_dims = spatial_dims_;
    return all;
  }

 private:
  static int64_t of_place(const int64_t (&steps)[3], int64_t image, int64_t crop, int64_t entry) {
    return image * steps[0] + crop * steps[1] + entry * steps[2];
  }

  // Strides of starts or flips, one of which may repeat them; returns how many there are.
  int64_t choose_steps(Choices& choices, int64_t (&steps)[3]) const {
    const std::vector<int64_t> shape{images_, crops_, std::max(spatial_dims_, 1)};
    std::vector<int64_t> strides = choices.strides(shape);
    if (choices.one_in(6)) strides[choices.from(0, 2)] = 0;
    std::copy(strides.begin(), strides.end(), steps);
    return extent(shape, strides);
  }

  // The dimension whose start is this entry of a place.
  int dim_of(int64_t entry) const {
    return static_cast<int>(std::find(spatial_.begin(), spatial_.end(), entry) - spatial_.begin());
  }

  void choose_places(Choices& choices) {
    for (size_t d = 0; d < sizes_.size(); ++d) {
      fixed_.push_back(choices.one_in(2) ? choices.start(sizes_[d], in_sizes_[d]) : 0);
    }
    if (spatial_dims_ == 0) return;
    if (to_images_ || !choices.one_in(6)) {
      const int64_t count = choose_steps(choices, start_steps_);
      starts_.reset(new int64_t[count]);
      for (int64_t i = 0; i < count; ++i) {
        const int d = dim_of(i % spatial_dims_);
        starts_[i] = choices.start(sizes_[d], in_sizes_[d]);
      }
    }
    if (choices.one_in(2)) {
      const int64_t count = choose_steps(choices, flip_steps_);
      flips_.reset(new bool[count]);
      for (int64_t i = 0; i < count; ++i) flips_[i] = choices.one_in(2);
      first_flipped_ = static_cast<int>(choices.from(0, spatial_dims_));
    }
  }

  void choose_strides(Choices& choices, Written written) {
    std::vector<int64_t> image_shape = in_sizes_, window_shape = sizes_;
    image_shape.insert(image_shape.begin(), images_);
    window_shape.insert(window_shape.begin(), {images_, crops_});
    image_strides_ = choices.strides(image_shape);
    window_strides_ = choices.strides(window_shape);
    std::vector<int64_t>& read = written == Written::kImages ? window_strides_ : image_strides_;
    if (choices.one_in(4)) read[choices.from(0, static_cast<int64_t>(read.size()) - 1)] = choices.from(0, 5);
  }

  const Border border_;
  const bool to_images_;  // as Windows::windows_to_images
  int64_t images_;
  int64_t crops_;
  std::vector<int64_t> sizes_, in_sizes_;
  std::vector<int> spatial_;  // of each dimension: which entry of a place, or -1
  int spatial_dims_ = 0;
  int first_flipped_ = 0;
  std::vector<int64_t> fixed_;         // starts of the dimensions where no place has them, of any value
  std::unique_ptr<int64_t[]> starts_;  // just as many as are read
  std::unique_ptr<bool[]> flips_;
  int64_t start_steps_[3] = {}, flip_steps_[3] = {};
  std::vector<int64_t> image_strides_, window_strides_;
};

}  // namespace fuzz
