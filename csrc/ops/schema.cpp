// The schemas of all ops. Names, order and defaults are those of the Python functions. They only ever grow: what one
// version has saved, every later one loads.
#include <torch/library.h>

TORCH_LIBRARY(torchcrop_fast, m) {
  m.def("pad(Tensor input, SymInt[] pad, str mode=\"constant\", Scalar? value=None) -> Tensor");
  // Returns nothing: an op that returns its aliased argument fails opcheck and torch.compile.
  m.def("pad.out(Tensor input, SymInt[] pad, str mode=\"constant\", Scalar? value=None, *, Tensor(a!) out) -> ()");
  m.def(
      "crop_at(Tensor input, Tensor offsets, SymInt[] size, *, Tensor? flip=None, str padding_mode=\"constant\","
      " Scalar fill=0) -> Tensor");
  m.def(
      "crop_at.out(Tensor input, Tensor offsets, SymInt[] size, *, Tensor? flip=None, str padding_mode=\"constant\","
      " Scalar fill=0, Tensor(a!) out) -> ()");
  m.def(
      "crop_mirror_normalize(Tensor input, Tensor? offsets, SymInt[] size, *, float[] mean, float[] std,"
      " Tensor? flip=None, ScalarType dtype=float, str layout=\"CHW\", MemoryFormat memory_format=contiguous_format,"
      " str padding_mode=\"constant\", float[] fill=[0.]) -> Tensor");
  m.def(
      "crop_mirror_normalize.out(Tensor input, Tensor? offsets, SymInt[] size, *, float[] mean, float[] std,"
      " Tensor? flip=None, ScalarType dtype=float, str layout=\"CHW\", MemoryFormat memory_format=contiguous_format,"
      " str padding_mode=\"constant\", float[] fill=[0.], Tensor(a!) out) -> ()");
  // The gradient of an input of pad.
  m.def("_pad_adjoint(Tensor grad, SymInt[] pad, SymInt[] input_size, str mode) -> Tensor");
  // The gradient of an input of crop_at.
  m.def(
      "_crop_at_adjoint(Tensor grad, Tensor offsets, SymInt[] input_size, *, Tensor? flip=None,"
      " str padding_mode=\"constant\") -> Tensor");
}
