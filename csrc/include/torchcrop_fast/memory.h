// The memory of CPU outputs: freed blocks are kept for the next output, since fresh memory costs many times the copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include <torchcrop_fast/ops.h>

namespace torchcrop_fast {

struct MemoryStats {
  int64_t limit;            // the most bytes kept in freed blocks; 0: the cache is off
  int64_t cached_bytes;     // in freed blocks now
  int64_t allocated_bytes;  // in blocks that tensors hold now
  int64_t hits;             // outputs that got a kept block
  int64_t misses;           // outputs that got a fresh one
  int64_t evictions;        // blocks that went back to the system because of the limit
};

TORCHCROP_FAST_API MemoryStats memory_stats();

// Gives all kept blocks back to the system. Blocks that tensors hold stay.
TORCHCROP_FAST_API void empty_cache();

// Keeps at most `bytes` in freed blocks; 0 turns the cache off.
TORCHCROP_FAST_API void set_cache_limit(int64_t bytes);

}  // namespace torchcrop_fast
