// Prints what a machine, whose files lie in the directory given, lets the process use: memory, last-level cache.
#include "../../csrc/ops/machine.h"

#include <cstdio>

int main(int, char** arguments) {
  std::printf(
      "%ld %ld\n", static_cast<long>(torchcrop_fast::usable_memory(arguments[1])),
      static_cast<long>(torchcrop_fast::last_level_cache(arguments[1])));
}
