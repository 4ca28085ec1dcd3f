// Whether tensors share memory.
#pragma once

#include <ATen/core/Tensor.h>

namespace torchcrop_fast {

// No two elements of out share memory, nor does out with tensor, an argument of this name. Exact, however the two are
// strided, but for strides so odd that a million steps don't decide it: these are refused. Meta tensors and the like
// have no memory to share.
void check_out_memory(const char* op, const char* argument, const at::Tensor& tensor, const at::Tensor& out);

}  // namespace torchcrop_fast
