// The kernel for windows in both builds, without the one that normalizes: what tests that plant defects compile.
#include "repeat_writer.h"

namespace torchcrop_fast {

CpuCapability cpu_capability() { return CpuCapability::kAvx2; }

void copy_window_default(const Window& window, int64_t begin, int64_t end, Stores stores) {
  copy_any_window<16>(window, begin, end, stores);
}

void copy_window_avx2(const Window& window, int64_t begin, int64_t end, Stores stores) {
  copy_any_window<32>(window, begin, end, stores);
}

}  // namespace torchcrop_fast
