// Each op once, for any backend: check, allocate, write.
//
// A backend is a struct of static functions and a type:
//   Guard                                    made of a device, which is the current one while it lives
//   empty(sizes, strides, dtype, device)     an uninitialized tensor
//   memory_of(out)                           of one that empty() made: whether its memory was used before
//   copy(name, Window, Memory)               writes what a window, or all windows, show
//   copy(name, Windows, Memory)
//   add(name, Windows, Real)                 writes to window.in what windows of window.out add up to
//   normalize(NormalizedWindows, Memory)     writes what windows show, normalized
// name is the op's, for the texts of errors.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/native/Resize.h>
#include <torch/library.h>

#include <string>

#include "geometry.h"
#include "layout.h"
#include "overlap.h"

namespace torchcrop_fast {

// Of an output: streaming into fresh pages costs more than it saves.
enum class Memory { kUsed, kFresh };

// Write an op's result to out, which has the result's sizes, and an element at least.

template <class Backend>
void write(
    const at::Tensor& input,
    const Pad<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out,
    Memory memory) {
  Backend::copy(op.kName, window_of(input, op, checked, out), memory);
}

template <class Backend>
void write(
    const at::Tensor& grad,
    const PadAdjoint<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out,
    Memory) {
  const bool crops = std::any_of(op.pad.begin(), op.pad.end(), [](int64_t entry) { return entry < 0; });
  if (grad.numel() == 0 || (crops && checked.border == Border::kCircular)) {
    out.zero_();
  }
  if (grad.numel() > 0) {
    check_adds_up(op.kName, grad.scalar_type());
    Backend::add(op.kName, added_windows_of(grad, op, checked, out), real_type(grad.scalar_type()));
  }
}

template <class Backend>
void write(
    const at::Tensor& input,
    const CropAt<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out,
    Memory memory) {
  Backend::copy(op.kName, windows_of(input, op, checked, out), memory);
}

template <class Backend>
void write(
    const at::Tensor& grad,
    const CropAtAdjoint<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out,
    Memory memory) {
  if (grad.numel() == 0) {  // no window at all
    out.zero_();
  } else if (checked.border == Border::kConstant && op.offsets.dim() == 2) {
    Backend::copy(op.kName, windows_of(grad, op, checked, out), memory);
  } else {
    check_adds_up(op.kName, grad.scalar_type());
    Backend::add(op.kName, added_windows_of(grad, op, checked, out), real_type(grad.scalar_type()));
  }
}

template <class Backend>
void write(
    const at::Tensor& input,
    const CropMirrorNormalize<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out,
    Memory memory) {
  Backend::normalize(Normalization(input, op, checked, out).windows, memory);
}

// Whether write() takes an out of these strides.
template <class Op>
bool writes_strides(const at::Tensor&, const Op&, const Checked<int64_t>&, const at::Tensor&) {
  return true;
}
inline bool writes_strides(
    const at::Tensor& input,
    const CropMirrorNormalize<int64_t>& op,
    const Checked<int64_t>& checked,
    const at::Tensor& out) {
  return out.strides() == at::IntArrayRef(strides_of(input, op, checked));
}

// All tensors that are read lie in memory.
template <class Op>
void check_storages(const at::Tensor& input, const Op& op) {
  check_storage(op.kName, [] { return "input"; }, input);
  for_each_tensor(op, [&](const auto& name, const at::Tensor& tensor) { check_storage(op.kName, name, tensor); });
}

// Makes the op's result.
template <class Backend, class Op>
at::Tensor make(const at::Tensor& input, const Op& op) {
  [[maybe_unused]] const typename Backend::Guard guard(input.device());
  const auto checked = check(input, op);
  check_storages(input, op);
  const auto strides = strides_of(input, op, checked);
  const at::Tensor out = Backend::empty(checked.sizes, strides, dtype_of(input, op), input.device());
  if (out.numel() > 0) {
    write<Backend>(input, op, checked, out, Backend::memory_of(out));
  }
  return out;
}

// Writes the op's result to out, which is resized if its shape is another.
template <class Backend, class Op>
void make_into(const at::Tensor& input, const Op& op, at::Tensor& out) {
  [[maybe_unused]] const typename Backend::Guard guard(input.device());
  const auto checked = check(input, op);
  check_out_type(op.kName, dtype_of(input, op), input.device(), out);
  const auto check_memory = [&] {
    check_out_memory(op.kName, "input", input, out);
    for_each_tensor(
        op, [&](const auto& name, const at::Tensor& tensor) { check_out_memory(op.kName, name(), tensor, out); });
  };
  check_storages(input, op);
  check_memory();
  if (at::native::resize_output(out, checked.sizes)) {
    check_memory();
  }
  check_storage(op.kName, [] { return "out"; }, out);
  if (!writes_strides(input, op, checked, out)) {
    const at::AutoDispatchBelowADInplaceOrView below;  // a write counts once, and who calls this counts it
    out.copy_(make<Backend>(input, op));
  } else if (out.numel() > 0) {
    out.mutable_data_ptr();  // a lazy clone gets memory of its own here
    write<Backend>(input, op, checked, out, Memory::kUsed);
  }
}

template <class Backend, template <class> class Op>
at::Tensor make_kernel(const at::Tensor& input, const Op<c10::SymInt>& op) {
  return with_ints(op, [&](const auto& ints) { return make<Backend>(input, ints); });
}
template <class Backend, template <class> class Op>
void make_into_kernel(const at::Tensor& input, const Op<c10::SymInt>& op, at::Tensor& out) {
  with_ints(op, [&](const auto& ints) { make_into<Backend>(input, ints, out); });
}

template <class Backend, template <class> class Op>
void register_op(torch::Library& m) {
  using Registered = Registered<Op<c10::SymInt>>;
  m.impl(Op<c10::SymInt>::kSchema, Registered::template kernel<make_kernel<Backend, Op>>);
}
template <class Backend, template <class> class Op>
void register_out(torch::Library& m) {
  using Registered = Registered<Op<c10::SymInt>>;
  const std::string name = std::string(Op<c10::SymInt>::kSchema) + ".out";
  m.impl(name.c_str(), Registered::template out_kernel<make_into_kernel<Backend, Op>>);
}

// Registers all ops for a backend's dispatch key.
template <class Backend>
void register_ops(torch::Library& m) {
#define TORCHCROP_FAST_REGISTER(Op) register_op<Backend, Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP(TORCHCROP_FAST_REGISTER)
#undef TORCHCROP_FAST_REGISTER
#define TORCHCROP_FAST_REGISTER(Op) register_out<Backend, Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP_WITH_OUT(TORCHCROP_FAST_REGISTER)
#undef TORCHCROP_FAST_REGISTER
}

}  // namespace torchcrop_fast
