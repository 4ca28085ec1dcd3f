// Chooses at run time which build of the window kernel this CPU runs.
#include "window_cpu.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace torchcrop_fast {
namespace {

constexpr CpuCapability kCapabilities[] = {CpuCapability::kDefault, CpuCapability::kAvx2};

bool has(CpuCapability capability) {
#if defined(__x86_64__)
  if (capability == CpuCapability::kAvx2) {
    return __builtin_cpu_supports("avx2");
  }
#endif
  return capability == CpuCapability::kDefault;
}

CpuCapability choose_capability() {
  const char* const variable = "TORCHCROP_FAST_CPU_CAPABILITY";
  const char* const wanted = std::getenv(variable);
  CpuCapability best = CpuCapability::kDefault;
  for (const CpuCapability capability : kCapabilities) {
    const bool is_wanted = wanted && std::string(wanted) == name(capability);
    if (is_wanted && !has(capability)) {
      throw std::invalid_argument(std::string(variable) + " asks for " + wanted + ", which this CPU lacks");
    }
    if (is_wanted) {
      return capability;
    }
    best = has(capability) ? capability : best;
  }
  if (wanted && *wanted) {
    throw std::invalid_argument(std::string(variable) + " must be default or avx2, got '" + wanted + "'");
  }
  return best;
}

auto choose_kernel() {
#if defined(__x86_64__)
  if (cpu_capability() == CpuCapability::kAvx2) {
    return copy_window_avx2;
  }
#endif
  return copy_window_default;
}

}  // namespace

const char* name(CpuCapability capability) { return capability == CpuCapability::kAvx2 ? "avx2" : "default"; }

CpuCapability cpu_capability() {
  static const CpuCapability capability = choose_capability();
  return capability;
}

void copy_window_cpu(const Window& window, int64_t begin, int64_t end, Stores stores) {
  static const auto kernel = choose_kernel();
  kernel(window, begin, end, stores);
}

}  // namespace torchcrop_fast
