// Copies windows on the CPU.
#pragma once

#include <cstdint>

#include "window.h"

namespace torchcrop_fast {

// Writes the output elements [begin, end) of the window, counted in the order of its dimensions (the last one runs
// fastest), each exactly once. Disjoint ranges may be written by different threads at the same time.
// Reads the input only where the window sees it.
void copy_window_cpu(const Window& window, int64_t begin, int64_t end);

}  // namespace torchcrop_fast
