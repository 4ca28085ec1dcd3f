// Windows onto images that are normalized on their way, on the CPU.
#pragma once

#include <cstdint>

#include "pixel.h"
#include "window.h"
#include "window_cpu.h"

namespace torchcrop_fast {

// A window onto one image: out = in * scale + bias in each channel, and outside of the image its fill.
struct NormalizedWindow {
  Window window;       // of three dimensions (channel, y, x), unmerged; element_size and fill are unused
  PixelType in_type;   // of window.in
  PixelType out_type;  // of window.out; its x lies side by side, or its channels do and x goes on after them
  const float* scale;  // (channels)
  const float* bias;   // (channels)
  const float* fill;   // (channels), of the output
};

// Writes the rows [begin, end) of all channels of the output. Disjoint ranges may be written by different threads at
// the same time. For streaming, each channel's rows lie one after another, or the pixels' rows do.
void normalize_rows_cpu(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores);

// The same with the vector instructions of one capability, which the CPU must have.
void normalize_rows_default(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores);
void normalize_rows_avx2(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores);

}  // namespace torchcrop_fast
