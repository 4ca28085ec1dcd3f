// Where the memory of CPU outputs comes from.
#pragma once

#include <c10/core/Allocator.h>

namespace torchcrop_fast {

// Hands out memory for outputs and keeps what comes back for the next ones, up to a limit (torchcrop_fast/memory.h).
// Thread-safe; a forked child starts with an empty cache. torch's own allocator where the cache is off.
c10::Allocator* output_allocator();

// Whether this memory comes from output_allocator() and has been handed out before.
bool used_before(const c10::DataPtr& memory);

}  // namespace torchcrop_fast
