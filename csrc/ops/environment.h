// Settings that are read from environment variables.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

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

// Whether a variable is 1. Not where it is 0, empty or not set; another value warns: who loads a library catches
// nothing.
inline bool flag_of_variable(const char* variable) {
  const char* const value = std::getenv(variable);
  const std::string_view flag = value ? value : "";
  if (!flag.empty() && flag != "0" && flag != "1") {
    TORCH_WARN(variable, " must be 0 or 1, got '", flag, "'");
  }
  return flag == "1";
}

}  // namespace torchcrop_fast
