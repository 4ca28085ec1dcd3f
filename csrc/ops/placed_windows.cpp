// Reads starts and flips, and turns them into windows.
#include "placed_windows.h"

#include <algorithm>

namespace torchcrop_fast {

PlacedWindows::PlacedWindows(
    const at::Tensor& images,
    const at::Tensor& windows,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    Border border,
    Order order,
    int64_t tail)
    : border_(border), images_(images.size(0)) {
  const bool several = offsets.dim() == 3;
  crops_ = several ? windows.size(1) : 1;
  spatial_dims_ = offsets.size(-1);
  image_element_size_ = images.element_size();
  window_element_size_ = windows.element_size();
  image_ = const_cast<char*>(static_cast<const char*>(images.const_data_ptr()));
  window_ = const_cast<char*>(static_cast<const char*>(windows.const_data_ptr()));
  image_step_ = images.stride(0) * image_element_size_;
  window_step_ = windows.stride(0) * window_element_size_;
  crop_step_ = several ? windows.stride(1) * window_element_size_ : 0;
  const int64_t first_spatial = images.dim() - tail - spatial_dims_;
  for (int64_t d = 1; d < images.dim(); ++d) {
    const int64_t spatial = d - first_spatial;
    const int64_t of_window = d + (several ? 1 : 0);
    axes_.push_back(
        {images.size(d), images.stride(d), windows.size(of_window), windows.stride(of_window),
         spatial >= 0 && spatial < spatial_dims_ ? spatial : -1});
  }
  if (order != Order::kAsGiven) {
    std::stable_sort(axes_.begin(), axes_.end(), [&](const Axis& a, const Axis& b) {
      return order == Order::kOfImages ? a.image_stride > b.image_stride : a.window_stride > b.window_stride;
    });
  }
  starts_ = offsets.const_data_ptr<int64_t>();
  start_strides_ = {offsets.stride(0), several ? offsets.stride(1) : 0, offsets.stride(-1)};
  if (flip) {
    flips_ = flip->const_data_ptr<bool>();
    flips_each_dim_ = flip->dim() == offsets.dim();
    flip_strides_ = {flip->stride(0), several ? flip->stride(1) : 0, flips_each_dim_ ? flip->stride(-1) : 0};
  }
}

int64_t PlacedWindows::start(int64_t i, const Axis& axis) const {
  const int64_t start =
      starts_[i / crops_ * start_strides_[0] + i % crops_ * start_strides_[1] + axis.spatial * start_strides_[2]];
  return near_start(border_, start, axis.window_size, axis.image_size);
}

bool PlacedWindows::mirrored(int64_t i, const Axis& axis) const {
  if (!flips_ || (!flips_each_dim_ && axis.spatial != spatial_dims_ - 1)) {
    return false;
  }
  return flips_[i / crops_ * flip_strides_[0] + i % crops_ * flip_strides_[1] + axis.spatial * flip_strides_[2]];
}

Window PlacedWindows::empty() const {
  Window window;
  window.element_size = static_cast<int>(image_element_size_);
  window.border = border_;
  window.dims = 0;
  std::fill(std::begin(window.fill), std::end(window.fill), 0);
  return window;
}

Window PlacedWindows::as_it_is(int64_t i, Backwards side) const {
  Window window = empty();
  window.in = image(i);
  window.out = this->window(i);
  for (const Axis& axis : axes_) {
    WindowDim dim{axis.window_size, 0, axis.image_size, axis.image_stride, axis.window_stride};
    if (axis.spatial >= 0) {
      dim.start = start(i, axis);
      const bool backwards = mirrored(i, axis);
      if (backwards && side == Backwards::kWindow) {
        dim.out_stride = -axis.window_stride;
        window.out += (axis.window_size - 1) * axis.window_stride * window_element_size_;
      } else if (backwards) {  // a window of the mirrored image
        dim.start = axis.image_size - axis.window_size - dim.start;
        dim.in_stride = -axis.image_stride;
        window.in += std::max<int64_t>(axis.image_size - 1, 0) * axis.image_stride * image_element_size_;
      }
    }
    window.dim[window.dims++] = dim;
  }
  return window;
}

Window PlacedWindows::onto_window(int64_t i, const std::array<unsigned char, 16>& fill) const {
  const Window plain = as_it_is(i, Backwards::kImage);
  Window window = empty();
  window.in = plain.in;
  window.out = plain.out;
  std::copy(fill.begin(), fill.end(), window.fill);
  for (int d = 0; d < plain.dims; ++d) {
    append_dim(window, plain.dim[d]);
  }
  order_for_reading(window);
  return window;
}

Window PlacedWindows::onto_image(int64_t i) const {
  Window window = empty();
  window.in = this->window(i);
  window.out = image(i);
  for (const Axis& axis : axes_) {
    WindowDim dim{axis.image_size, 0, axis.window_size, axis.window_stride, axis.image_stride};
    if (axis.spatial >= 0) {
      dim.start = -start(i, axis);
      if (mirrored(i, axis)) {
        dim.in_stride = -axis.window_stride;
        window.in += (axis.window_size - 1) * axis.window_stride * window_element_size_;
      }
    }
    append_dim(window, dim);
  }
  order_for_reading(window);
  return window;
}

Places PlacedWindows::places() const {
  Places places;
  places.starts = starts_;
  std::copy(start_strides_.begin(), start_strides_.end(), places.start_strides);
  places.flips = flips_;
  std::copy(flip_strides_.begin(), flip_strides_.end(), places.flip_strides);
  places.spatial_dims = static_cast<int>(spatial_dims_);
  places.first_flipped = flips_each_dim_ ? 0 : places.spatial_dims - 1;
  return places;
}

Windows PlacedWindows::all_onto_windows(const std::array<unsigned char, 16>& fill) const {
  Windows all;
  all.window = empty();
  all.window.in = image_;
  all.window.out = window_;
  std::copy(fill.begin(), fill.end(), all.window.fill);
  for (const Axis& axis : axes_) {
    all.spatial[all.window.dims] = static_cast<int>(axis.spatial);
    all.window.dim[all.window.dims++] = {axis.window_size, 0, axis.image_size, axis.image_stride, axis.window_stride};
  }
  all.images = images_;
  all.windows_an_image = crops_;
  all.in_image_stride = image_step_ / image_element_size_;
  all.out_image_stride = window_step_ / window_element_size_;
  all.out_window_stride = crop_step_ / window_element_size_;
  all.places = places();
  return all;
}

Windows PlacedWindows::all_onto_images() const {
  Windows all = all_onto_windows({});
  all.window.in = window_;
  all.window.out = image_;
  for (int d = 0; d < all.window.dims; ++d) {
    WindowDim& dim = all.window.dim[d];
    dim = {dim.in_size, 0, dim.size, dim.out_stride, dim.in_stride};
  }
  std::swap(all.in_image_stride, all.out_image_stride);
  all.onto_images = true;
  return all;
}

}  // namespace torchcrop_fast
