// The window kernel for x86-64 CPUs with AVX2: vectors of 32 bytes.
#if defined(__x86_64__)
// The standard library first: code of it that is shared with other files must run on every CPU.
#include <immintrin.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "normalize_cpu.h"
#include "pixel.h"
#include "window_cpu.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#include "normalize_writer.h"
#include "repeat_writer.h"

namespace torchcrop_fast {

void copy_window_avx2(const Window& window, int64_t begin, int64_t end, Stores stores) {
  copy_any_window<32>(window, begin, end, stores);
}

void normalize_rows_avx2(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  normalize_rows<32>(window, begin, end, stores);
}

}  // namespace torchcrop_fast

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else  // elsewhere no CPU has it, and these are never called

#include "normalize_cpu.h"

namespace torchcrop_fast {

void copy_window_avx2(const Window& window, int64_t begin, int64_t end, Stores stores) {
  copy_window_default(window, begin, end, stores);
}

void normalize_rows_avx2(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  normalize_rows_default(window, begin, end, stores);
}

}  // namespace torchcrop_fast
#endif
