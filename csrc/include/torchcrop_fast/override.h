// The override: torch's own pads (F.pad, torch.nn's layers, scripted models, C++ calls) run our kernels.
#pragma once

#include <torchcrop_fast/ops.h>

#include <atomic>
#include <memory>

namespace torchcrop_fast {

// An override that is on until it is removed, like torch's RemovableHandle: it stays on where the handle goes. Copies
// are handles of the same override.
class TORCHCROP_FAST_API PadOverride {
 public:
  PadOverride();

  // torch's own kernels run again, unless there is another override; from the next call on, in every thread. To remove
  // an override again does nothing.
  void remove() const;

 private:
  std::shared_ptr<std::atomic<bool>> on_;
};

// From now on, in every thread, aten::constant_pad_nd, reflection_pad1d/2d/3d and replication_pad1d/2d/3d and their
// backwards run our kernels on the CPU and, where these are built, on CUDA. They give the same results, strides and
// errors, and sum gradients up in an order of their own. The .out variants stay torch's.
//
// The environment variable TORCHCROP_FAST_OVERRIDE=1 does the same when the library is loaded.
TORCHCROP_FAST_API PadOverride override_torch_pad();

// Whether there is an override.
TORCHCROP_FAST_API bool torch_pad_overridden();

}  // namespace torchcrop_fast
