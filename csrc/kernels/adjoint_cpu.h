// The adjoint of windows on the CPU: what their gradients add up to.
#pragma once

#include <cstdint>

#include "pixel.h"
#include "window.h"

namespace torchcrop_fast {

// Gives each element of an input's gradient the sum of the output gradients wherever a window showed it, 0 if none did.
//
// windows: of one input, all with the same dimensions but for start and out_stride, none merged, at least one. Here a
//          window's out is read, the output's gradient, and its in is written, the input's.
// begin, end: the rows of the input's gradient to write: its elements along all dimensions but the last, counted in the
//          order of the dimensions. Disjoint ranges may be written by different threads at the same time.
// Half and bfloat16 are added up as float. The order of the sum depends on nothing but the windows.
void add_windows_cpu(const Window* windows, int64_t count, Real type, int64_t begin, int64_t end);

}  // namespace torchcrop_fast
