// Windows onto images that are normalized on their way, on a GPU.
#pragma once

#include "window_cuda.h"

namespace torchcrop_fast {

// Writes all elements of the output, each once: in one launch for kLaunchChannels channels.
inline constexpr int kLaunchChannels = 256;
LaunchError normalize_windows_cuda(const NormalizedWindows& windows, Stream stream);

}  // namespace torchcrop_fast
