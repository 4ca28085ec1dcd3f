// The adjoint of windows on the CPU: what their gradients add up to.
#pragma once

#include <cstdint>

#include "windows.h"

namespace torchcrop_fast {

// Gives each element of an input's gradient the sum of the output gradients wherever a window showed it, 0 if none did.
//
// windows: here window.out is read, the output's gradient, and window.in is written, the input's. One dimension at
//          least. Not windows_to_images.
// image:   the one whose gradient is written.
// begin, end: its rows to write: its elements along all dimensions but the last, counted in the order of the
//          dimensions. Disjoint ranges may be written by different threads at the same time.
// Half and bfloat16 are added up as float. The order of the sum depends on nothing but the windows.
void add_windows_cpu(const Windows& windows, Real type, int64_t image, int64_t begin, int64_t end);

}  // namespace torchcrop_fast
