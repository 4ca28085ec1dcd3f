// Windows onto images that are normalised on their way, on a GPU.
#pragma once

#include <cstdint>

#include "pixel.h"
#include "window_cuda.h"

namespace torchcrop_fast {

// Windows onto images: out = in * scale + bias in each channel, and outside of the image its fill.
struct NormalizedWindows {
  Windows windows;     // of the dimensions (channel, y, x), places as (y, x); element_size and fill mean nothing
  PixelType in_type;   // of window.in
  PixelType out_type;  // of window.out, which is gapless: channel after channel, or pixel after pixel
  const float* scale;  // (channels), on the host
  const float* bias;   // (channels)
  const float* fill;   // (channels), of the output
};

// Writes all elements of the output, each once: in one launch for kLaunchChannels channels.
inline constexpr int kLaunchChannels = 256;
LaunchError normalize_windows_cuda(const NormalizedWindows& windows, Stream stream);

}  // namespace torchcrop_fast
