// What the runtime on PTX offers beside CUDA's functions.
#pragma once

#include "ptx.h"

namespace ptx {

// Of all launches so far.
Counts& counts();

// How many blocks of a launch run, at least 2; 0 for all.
unsigned& blocks_of_launch();

}  // namespace ptx
