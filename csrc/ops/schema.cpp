// The schemas of all ops. Names, order and defaults are those of the Python functions. They only ever grow: what one
// version has saved, every later one loads.
#include <torch/library.h>

TORCH_LIBRARY(torchcrop_fast, m) {
  m.def("pad(Tensor input, SymInt[] pad, str mode=\"constant\", Scalar? value=None) -> Tensor");
  // Returns nothing: an op that returns its aliased argument fails opcheck and torch.compile.
  m.def("pad.out(Tensor input, SymInt[] pad, str mode=\"constant\", Scalar? value=None, *, Tensor(a!) out) -> ()");
}
