// The override of torch's own pads: on and off, and registered once, for good.
#include <ATen/CPUFunctions.h>

#include "direct.h"
#include "environment.h"
#include "torch_pads.h"

namespace torchcrop_fast {
namespace {

std::atomic<int64_t> overrides = 0;  // that are on

struct OnCpu {
  template <class Op>
  static at::Tensor make(const at::Tensor& input, const Op& op) {
    return make_on_cpu(input, op);
  }
};

struct Quiet : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

// They stay registered, and pass calls on to torch's own kernels while no override is on: to take a kernel away from
// under calls in other threads is not safe.
void register_torch_pads() {
  // The dispatcher warns that kernels are overridden, the first time only: others' are still told of.
  Quiet quiet;
  const c10::WarningUtils::WarningHandlerGuard silence(&quiet);
  const c10::WarningUtils::WarnAlways next_time_too;
  static torch::Library cpu(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  TORCHCROP_FAST_REGISTER_TORCH_PADS(cpu, OnCpu, at::cpu)
  if (register_torch_pads_on_cuda) {
    static torch::Library cuda(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
    register_torch_pads_on_cuda(cuda);
  }
}

// For the life of the library, if the environment says so.
[[maybe_unused]] const bool on_from_the_start = [] {
  const bool on = flag_of_variable("TORCHCROP_FAST_OVERRIDE");
  if (on) {
    override_torch_pad();
  }
  return on;
}();

}  // namespace

PadOverride::PadOverride() : on_(std::make_shared<std::atomic<bool>>(true)) {
  static const bool registered = (register_torch_pads(), true);
  static_cast<void>(registered);
  ++overrides;
}

void PadOverride::remove() const {
  if (on_->exchange(false)) {
    --overrides;
  }
}

PadOverride override_torch_pad() { return {}; }

bool torch_pad_overridden() { return overrides.load(std::memory_order_relaxed) > 0; }

}  // namespace torchcrop_fast
