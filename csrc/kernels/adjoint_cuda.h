// The adjoint of windows on a GPU: what their gradients add up to.
#pragma once

#include "pixel.h"
#include "window_cuda.h"

namespace torchcrop_fast {

// Gives each element of an input's gradient the sum of the output gradients wherever a window showed it, 0 if none did.
//
// windows: here window.out is read, the output's gradient, and window.in is written, the input's. Not
// windows_to_images. Half and bfloat16 are added up as float. The order of the sum is the one of add_windows_cpu.
LaunchError add_windows_cuda(const Windows& windows, Real type, Stream stream);

}  // namespace torchcrop_fast
