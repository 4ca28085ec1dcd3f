// Calls that need no dispatcher, since it would only pass them on to the CPU's kernel.
#pragma once

#include "op.h"

namespace torchcrop_fast {

// How the dispatcher would route a call with a tensor.
enum class Route {
  kCpu,          // to the CPU's kernel alone: a plain tensor under no mode, transform, trace or profiler
  kCpuAutograd,  // there, after backward mode
  kDispatcher,   // elsewhere, or through other keys
};

Route route_of(const at::Tensor& tensor);

// The op on the CPU. In cpu.cpp: into out, for the public ops.
template <class Op>
at::Tensor make_on_cpu(const at::Tensor& input, const Op& op);
template <class Op>
void make_on_cpu(const at::Tensor& input, const Op& op, at::Tensor& out);

// Has backward mode go from out, which the op made, to input, which requires a gradient. In autograd.cpp, for each op.
template <class Op>
void record(const at::Tensor& input, const Op& op, const at::Tensor& out);

template <class Op>
bool all_route_to_cpu(const Op& op) {
  bool all = true;
  for_each_tensor(op, [&](const auto&, const at::Tensor& tensor) { all = all && route_of(tensor) == Route::kCpu; });
  return all;
}

// Runs the op the shortest way there is.
template <template <class> class Op>
at::Tensor run(const at::Tensor& input, const Op<int64_t>& op) {
  const Route route = route_of(input);
  if (route == Route::kDispatcher || !all_route_to_cpu(op)) {
    return with_symbols(op, [&](const auto& symbols) { return call(input, symbols); });
  }
  at::Tensor out = make_on_cpu(input, op);
  if (route == Route::kCpuAutograd) {
    with_symbols(op, [&](const auto& symbols) { record(input, symbols, out); });
  }
  return out;
}

template <class Int>
bool has_symbols(const Int&) {
  return false;
}
inline bool has_symbols(c10::SymIntArrayRef sizes) {
  return std::any_of(sizes.begin(), sizes.end(), [](const c10::SymInt& size) { return size.is_symbolic(); });
}

template <template <class> class Op>
at::Tensor run(const at::Tensor& input, const Op<c10::SymInt>& op) {
  const bool symbolic =
      std::apply([](const auto&... argument) { return (has_symbols(argument) || ...); }, op.arguments());
  return symbolic ? call(input, op) : with_ints(op, [&](const auto& ints) { return run(input, ints); });
}
inline at::Tensor run(const at::Tensor& grad, const CropMirrorNormalizeAdjoint<c10::SymInt>& op) {
  return call(grad, op);
}

template <template <class> class Op>
at::Tensor& run_out(const at::Tensor& input, const Op<int64_t>& op, at::Tensor& out) {
  if (route_of(input) == Route::kCpu && route_of(out) == Route::kCpu && all_route_to_cpu(op)) {
    make_on_cpu(input, op, out);
    out.unsafeGetTensorImpl()->bump_version();
  } else {
    with_symbols(op, [&](const auto& symbols) { call_out(input, symbols, out); });
  }
  return out;
}

}  // namespace torchcrop_fast
