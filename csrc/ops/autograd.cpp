// Autograd: the gradient of a pad is the pad with the signs turned; so is the gradient's gradient, and the tangent is
// the same pad. A hand-written Node, since torch::autograd::Function has no forward mode and fails under torch.func.
#include "autograd.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/library.h>
#include <torch/version.h>
#include <torchcrop_fast/ops.h>

#include "handles.h"

namespace torchcrop_fast {
namespace {

using torch::autograd::variable_list;
namespace compiled = torch::dynamo::autograd;

// A node of the graph, owned as this version of torch owns its own.
template <class T, class... Args>
auto make_node(Args&&... args) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 13)
  return c10::make_intrusive<T>(std::forward<Args>(args)...);
#else
  return std::shared_ptr<T>(new T(std::forward<Args>(args)...), torch::autograd::deleteNode);
#endif
}

variable_list pad_backward(const variable_list& grads, c10::SymIntArrayRef grad_pad) {
  return {grads[0].defined() ? torchcrop_fast::pad_symint(grads[0], grad_pad) : at::Tensor()};
}

struct PadBackward : torch::autograd::Node {
  explicit PadBackward(c10::SymIntArrayRef pad) {
    grad_pad.reserve(pad.size());
    for (const c10::SymInt& entry : pad) {
      grad_pad.push_back(-entry);
    }
  }

  std::string name() const override { return "PadBackward"; }

  variable_list apply(variable_list&& grads) override {
    return task_should_compute_output(0) ? pad_backward(grads, grad_pad) : variable_list(1);
  }

  // Compiled autograd runs no node while it records: it asks for a function and what to call it with. The pad is part
  // of what the graph is compiled for, since as a symbol it would leave shapes undecided.
  void compiled_args(compiled::CompiledNodeArgs& args) const override {
    for (const c10::SymInt& entry : grad_pad) {
      args.collect(entry.guard_int(__FILE__, __LINE__));
    }
  }

  variable_list apply_with_saved(const variable_list& grads, compiled::SwapSavedVariables& saved) override {
    using Pad = compiled::IValuePacker<std::vector<c10::SymInt>>;
    const auto run = [](const variable_list& inputs, const std::vector<c10::IValue>& args) {
      return pad_backward(inputs, Pad::unpack(args[0]));
    };
    using Edges = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>;
    const auto& compiler = compiled::getPyCompilerInterface();
    static std::string function;  // compiled autograd records one graph at a time
    if (function.empty()) {
      function =
          compiler->bind_function(saved.get_py_compiler(), "torchcrop_fast_pad_backward", run, {Pad::packed_type()});
    }
    return compiler->call_function(
        saved.get_py_compiler(), "apply_functional", function, grads, {Pad::pack(grad_pad)},
        Edges::pack(compiled::get_input_metadata(next_edges())));
  }

  std::vector<c10::SymInt> grad_pad;  // the pad of the gradient
};

}  // namespace

void record_pad(const at::Tensor& input, c10::SymIntArrayRef pad, const at::Tensor& out) {
  const auto node = make_node<PadBackward>(pad);
  node->set_next_edges(torch::autograd::collect_next_edges(input));
  torch::autograd::set_history(out, node);
}

namespace {

at::Tensor pad_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return pad_handle().redispatch(keys & c10::after_autograd_keyset, input, pad, mode, value);
  }();
  if (torch::autograd::compute_requires_grad(input)) {
    record_pad(input, pad, out);
  }
  if (torch::autograd::isFwGradDefined(input)) {
    const at::Tensor tangent = torchcrop_fast::pad_symint(input._fw_grad(/*level=*/0), pad);
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

void pad_out_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    c10::SymIntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value,
    at::Tensor& out) {
  const bool differentiates = torch::autograd::compute_requires_grad(input, out) ||
                              torch::autograd::isFwGradDefined(input) || torch::autograd::isFwGradDefined(out);
  TORCH_CHECK(!differentiates, "pad: out cannot be given where input or out takes part in autograd");
  const at::AutoDispatchBelowAutograd guard;
  pad_out_handle().redispatch(keys & c10::after_autograd_keyset, input, pad, mode, value, out);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Autograd, m) {
  m.impl("pad", torchcrop_fast::pad_autograd);
  m.impl("pad.out", torchcrop_fast::pad_out_autograd);
}
