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
  // dtype and memory_format are optional, since AOTInductor writes defaults of these types as ints that never load.
  m.def(
      "crop_mirror_normalize(Tensor input, Tensor? offsets, SymInt[] size, *, float[] mean, float[] std,"
      " Tensor? flip=None, ScalarType? dtype=None, str layout=\"CHW\", MemoryFormat? memory_format=None,"
      " str padding_mode=\"constant\", float[] fill=[0.]) -> Tensor");
  m.def(
      "crop_mirror_normalize.out(Tensor input, Tensor? offsets, SymInt[] size, *, float[] mean, float[] std,"
      " Tensor? flip=None, ScalarType? dtype=None, str layout=\"CHW\", MemoryFormat? memory_format=None,"
      " str padding_mode=\"constant\", float[] fill=[0.], Tensor(a!) out) -> ()");
  // The gradients of the inputs. size is that of the input's padded or spatial dimensions alone: the others may be
  // those of a part of a batch.
  m.def("_pad_adjoint(Tensor grad, SymInt[] pad, SymInt[] size, str mode) -> Tensor");
  m.def(
      "_crop_at_adjoint(Tensor grad, Tensor offsets, SymInt[] size, *, Tensor? flip=None,"
      " str padding_mode=\"constant\") -> Tensor");
  m.def(
      "_crop_mirror_normalize_adjoint(Tensor grad, Tensor? offsets, SymInt[] size, *, float[] std, Tensor? flip=None,"
      " ScalarType? dtype=None, str layout=\"CHW\", str padding_mode=\"constant\") -> Tensor");
}
