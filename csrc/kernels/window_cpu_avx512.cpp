// The window kernel for x86-64 CPUs with AVX-512: vectors of 64 bytes.
#if defined(__x86_64__)
// The standard library first: code of it that is shared with other files must run on every CPU.
#include <immintrin.h>
#include <algorithm>
#include <cstring>

#include "window_cpu.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw")
#endif
#include "window_writer.h"

namespace torchcrop_fast {

void copy_window_avx512(const Window& window, int64_t begin, int64_t end, Stores stores) {
  write_window<64>(window, begin, end, stores);
}

}  // namespace torchcrop_fast

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
