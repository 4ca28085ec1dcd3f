// Chooses at run time which build of the window kernel this CPU runs.
#include "window_cpu.h"

#include "normalize_cpu.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace torchcrop_fast {
namespace {

constexpr CpuCapability kCapabilities[] = {CpuCapability::kDefault, CpuCapability::kAvx2};

bool has(CpuCapability capability) {
#if defined(__x86_64__)
  if (capability == CpuCapability::kAvx2) {
    // The others came with it in every CPU so far; no build uses one without the other.
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
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

// The build of a kernel for the CPU's capability.
template <class Kernel>
Kernel* choose(Kernel* for_default, Kernel* for_avx2) {
  return cpu_capability() == CpuCapability::kAvx2 ? for_avx2 : for_default;
}

}  // namespace

const char* name(CpuCapability capability) { return capability == CpuCapability::kAvx2 ? "avx2" : "default"; }

CpuCapability cpu_capability() {
  static const CpuCapability capability = choose_capability();
  return capability;
}

void copy_window_cpu(const Window& window, int64_t begin, int64_t end, Stores stores) {
  static const auto kernel = choose(copy_window_default, copy_window_avx2);
  kernel(window, begin, end, stores);
}

void normalize_rows_cpu(const NormalizedWindow& window, int64_t begin, int64_t end, Stores stores) {
  static const auto kernel = choose(normalize_rows_default, normalize_rows_avx2);
  kernel(window, begin, end, stores);
}

}  // namespace torchcrop_fast
