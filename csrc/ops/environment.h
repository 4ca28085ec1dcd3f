// Settings that are read from environment variables.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstdlib>

namespace torchcrop_fast {

// The bytes that a variable says, or `otherwise` where it isn't set or is empty.
template <class Otherwise>
int64_t bytes_of_variable(const char* variable, const Otherwise& otherwise) {
  const char* const value = std::getenv(variable);
  if (!value || !*value) {
    return otherwise();
  }
  char* end = nullptr;
  const int64_t bytes = std::strtoll(value, &end, 10);
  TORCH_CHECK(*end == '\0' && bytes >= 0, variable, " must be a number of bytes, got '", value, "'");
  return bytes;
}

}  // namespace torchcrop_fast
