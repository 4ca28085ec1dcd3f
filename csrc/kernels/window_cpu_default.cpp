// The window kernel for every CPU: vectors of 16 bytes, which x86-64 always has.
#include "normalize_writer.h"
#include "repeat_writer.h"

namespace torchcrop_fast {

void copy_window_default(const Window& window, int64_t begin, int64_t end, Stores stores) {
  copy_any_window<16>(window, begin, end, stores);
}

void normalize_rows_default(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  normalize_rows<16>(window, begin, end, stores);
}

}  // namespace torchcrop_fast
