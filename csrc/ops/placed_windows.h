// Windows at places that tensors hold: crop_at's arguments as what kernels copy or add up.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <vector>

#include "../kernels/window.h"
#include "../kernels/window_cuda.h"

namespace torchcrop_fast {

// Windows of one size on a batch of images, one or several on each. The tensors must outlive it. Those of one window
// can be asked for where they lie on the CPU.
class PlacedWindows {
 public:
  enum class Order { kOfImages, kOfWindows, kAsGiven };

  // images:  (N, ..., spatial)
  // windows: (N, ..., size), or (N, K, ..., size) where offsets has three dimensions
  // offsets, flip: as check_crop_at takes them
  // tail:    how many last dimensions of images and windows come after the spatial ones
  // order:   the windows' dimensions go from the outermost one to the innermost in this memory, or are as given
  PlacedWindows(
      const at::Tensor& images,
      const at::Tensor& windows,
      const at::Tensor& offsets,
      const std::optional<at::Tensor>& flip,
      Border border,
      Order order,
      int64_t tail = 0);

  int64_t images() const { return images_; }
  int64_t windows_an_image() const { return crops_; }

  // The window i, counted through all images, from its image onto itself, around it the border or this fill.
  Window onto_window(int64_t i, const std::array<unsigned char, 16>& fill) const;

  // From the window onto its image, zeros around it: the adjoint of a constant border. For one window an image.
  Window onto_image(int64_t i) const;

  // As onto_window, but with each dimension as it is, none merged. What is mirrored runs backwards on this side; for
  // add_windows_cpu that is the window.
  enum class Backwards { kImage, kWindow };
  Window as_it_is(int64_t i, Backwards side) const;

  // All windows, for a launch that reads places itself: from the images onto the windows or, for one window an image,
  // turned round.
  Windows all_onto_windows(const std::array<unsigned char, 16>& fill) const;
  Windows all_onto_images() const;

 private:
  struct Axis {
    int64_t image_size;
    int64_t image_stride;
    int64_t window_size;
    int64_t window_stride;
    int64_t spatial;  // which entry of an offset is its start; -1 where the whole axis is shown
  };

  char* image(int64_t i) const { return image_ + i / crops_ * image_step_; }
  char* window(int64_t i) const { return window_ + i / crops_ * window_step_ + i % crops_ * crop_step_; }
  int64_t start(int64_t i, const Axis& axis) const;
  bool mirrored(int64_t i, const Axis& axis) const;
  Window empty() const;
  Places places() const;

  const Border border_;
  int64_t images_;
  int64_t crops_;  // windows of one image
  int64_t spatial_dims_;
  char* image_;
  int64_t image_step_;  // bytes
  char* window_;
  int64_t window_step_;          // bytes from an image's windows to the next one's
  int64_t crop_step_;            // bytes from a window to the next one of the same image
  int64_t image_element_size_;   // bytes
  int64_t window_element_size_;  // bytes
  std::vector<Axis> axes_;       // of one image, outermost in memory first
  // Where starts and flips lie, in elements.
  const int64_t* starts_;
  std::array<int64_t, 3> start_strides_{};  // of image, window, dimension
  const bool* flips_ = nullptr;
  std::array<int64_t, 3> flip_strides_{};  // the last one is 0 where only the last dimension is mirrored
  bool flips_each_dim_ = false;
};

}  // namespace torchcrop_fast
