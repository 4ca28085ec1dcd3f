// Copies windows on the CPU.
#pragma once

#include <cstdint>

#include "window.h"

namespace torchcrop_fast {

// Which vector instructions the kernels may use. kDefault runs on every CPU.
enum class CpuCapability { kDefault, kAvx2 };

// As the environment variable TORCHCROP_FAST_CPU_CAPABILITY and `python -m torchcrop_fast info` say it.
const char* name(CpuCapability capability);

// The best that this CPU has, or what the environment variable asks for; read once.
// Throws std::invalid_argument where it asks for something unknown, or for what the CPU lacks.
CpuCapability cpu_capability();

// How a large output is stored: through the caches, or past them, which is faster where the output is larger than they
// are and its memory has been used before.
enum class Stores { kCached, kStreaming };

// Writes the output elements [begin, end) of the window, counted in the order of its dimensions (the last one runs
// fastest), each exactly once. Disjoint ranges may be written by different threads at the same time.
// Reads the input only where the window sees it. Streaming is a hint: where it cannot pay, stores go through the
// caches.
void copy_window_cpu(const Window& window, int64_t begin, int64_t end, Stores stores);

// The same with the vector instructions of one capability, which the CPU must have.
void copy_window_default(const Window& window, int64_t begin, int64_t end, Stores stores);
void copy_window_avx2(const Window& window, int64_t begin, int64_t end, Stores stores);

}  // namespace torchcrop_fast
