// Autograd: the gradient of a pad is the pad with the signs turned, or its adjoint where the border repeats elements;
// the gradient's gradient is the pad again, and so is the tangent. Hand-written Nodes, since torch::autograd::Function
// has no forward mode and fails under torch.func.
#include "autograd.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/library.h>
#include <torch/version.h>
#include <torchcrop_fast/ops.h>

#include <algorithm>

#include "geometry.h"
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

// The gradient of a pad whose border repeats elements is its adjoint, whose gradient is the pad again.
struct RepeatPadBackward : torch::autograd::Node {
  RepeatPadBackward(bool of_adjoint, c10::SymIntArrayRef pad, c10::SymIntArrayRef input_size, std::string_view mode)
      : of_adjoint(of_adjoint), pad(pad.vec()), input_size(input_size.vec()), mode(mode) {}

  std::string name() const override { return of_adjoint ? "PadAdjointBackward" : "PadBackward"; }

  static variable_list backward(
      const at::Tensor& grad,
      bool of_adjoint,
      const std::vector<c10::SymInt>& pad,
      const std::vector<c10::SymInt>& input_size,
      const std::string& mode) {
    if (!grad.defined()) {
      return {at::Tensor()};
    }
    return {
        of_adjoint ? torchcrop_fast::pad_symint(grad, pad, mode)
                   : pad_adjoint_handle().call(grad, pad, input_size, mode)};
  }

  variable_list apply(variable_list&& grads) override {
    return task_should_compute_output(0) ? backward(grads[0], of_adjoint, pad, input_size, mode) : variable_list(1);
  }

  void compiled_args(compiled::CompiledNodeArgs& args) const override {
    args.collect(of_adjoint);
    for (const auto* numbers : {&pad, &input_size}) {
      args.collect(static_cast<int64_t>(numbers->size()));
      for (const c10::SymInt& number : *numbers) {
        args.collect(number.guard_int(__FILE__, __LINE__));
      }
    }
    args.collect(mode);
  }

  variable_list apply_with_saved(const variable_list& grads, compiled::SwapSavedVariables& saved) override {
    using Bool = compiled::IValuePacker<bool>;
    using Numbers = compiled::IValuePacker<std::vector<c10::SymInt>>;
    using String = compiled::IValuePacker<std::string>;
    using Edges = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>;
    const auto run = [](const variable_list& inputs, const std::vector<c10::IValue>& args) {
      return backward(
          inputs[0], Bool::unpack(args[0]), Numbers::unpack(args[1]), Numbers::unpack(args[2]),
          String::unpack(args[3]));
    };
    const auto& compiler = compiled::getPyCompilerInterface();
    static std::string function;  // compiled autograd records one graph at a time
    if (function.empty()) {
      function = compiler->bind_function(
          saved.get_py_compiler(), "torchcrop_fast_repeat_pad_backward", run,
          {Bool::packed_type(), Numbers::packed_type(), Numbers::packed_type(), String::packed_type()});
    }
    return compiler->call_function(
        saved.get_py_compiler(), "apply_functional", function, grads,
        {Bool::pack(of_adjoint), Numbers::pack(pad), Numbers::pack(input_size), String::pack(mode)},
        Edges::pack(compiled::get_input_metadata(next_edges())));
  }

  const bool of_adjoint;
  const std::vector<c10::SymInt> pad;
  const std::vector<c10::SymInt> input_size;
  const std::string mode;
};

void record_repeat_pad(
    const at::Tensor& input,
    bool adjoint,
    c10::SymIntArrayRef pad,
    c10::SymIntArrayRef input_size,
    std::string_view mode,
    const at::Tensor& out) {
  const auto node = make_node<RepeatPadBackward>(adjoint, pad, input_size, mode);
  node->set_next_edges(torch::autograd::collect_next_edges(input));
  torch::autograd::set_history(out, node);
}

// The gradient of crop_at is its adjoint, whose gradient is crop_at again, with a fill of 0.
struct CropAtBackward : torch::autograd::Node {
  CropAtBackward(
      bool of_adjoint,
      const at::Tensor& offsets,
      c10::SymIntArrayRef size,
      const std::optional<at::Tensor>& flip,
      std::string_view padding_mode)
      : of_adjoint(of_adjoint),
        offsets(offsets, /*is_output=*/false),
        size(size.vec()),
        flip(flip.value_or(at::Tensor()), /*is_output=*/false),
        padding_mode(padding_mode) {}

  std::string name() const override { return of_adjoint ? "CropAtAdjointBackward" : "CropAtBackward"; }

  static variable_list backward(
      const at::Tensor& grad,
      bool of_adjoint,
      const at::Tensor& offsets,
      const std::vector<c10::SymInt>& size,
      const at::Tensor& flip,
      const std::string& padding_mode) {
    const std::optional<at::Tensor> flips = flip.defined() ? std::optional(flip) : std::nullopt;
    if (!grad.defined()) {
      return {at::Tensor()};
    }
    return {
        of_adjoint ? crop_at_handle().call(grad, offsets, size, flips, padding_mode, 0)
                   : crop_at_adjoint_handle().call(grad, offsets, size, flips, padding_mode)};
  }

  variable_list apply(variable_list&& grads) override {
    if (!task_should_compute_output(0)) {
      return variable_list(1);
    }
    return backward(grads[0], of_adjoint, offsets.unpack(), size, flip.unpack(), padding_mode);
  }

  void release_variables() override {
    offsets.reset_data();
    flip.reset_data();
  }

  void compiled_args(compiled::CompiledNodeArgs& args) const override {
    args.collect(of_adjoint);
    args.collect(offsets, false);
    for (const c10::SymInt& entry : size) {
      args.collect(entry.guard_int(__FILE__, __LINE__));
    }
    args.collect(flip, false);
    args.collect(padding_mode);
  }

  variable_list apply_with_saved(const variable_list& grads, compiled::SwapSavedVariables& saved) override {
    using Bool = compiled::IValuePacker<bool>;
    using Tensor = compiled::IValuePacker<at::Tensor>;
    using Size = compiled::IValuePacker<std::vector<c10::SymInt>>;
    using String = compiled::IValuePacker<std::string>;
    using Edges = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>;
    saved.before(offsets);
    saved.before(flip);
    const auto run = [](const variable_list& inputs, const std::vector<c10::IValue>& args) {
      return backward(
          inputs[0], Bool::unpack(args[0]), Tensor::unpack(args[1]), Size::unpack(args[2]), Tensor::unpack(args[3]),
          String::unpack(args[4]));
    };
    const auto& compiler = compiled::getPyCompilerInterface();
    static std::string function;  // compiled autograd records one graph at a time
    if (function.empty()) {
      function = compiler->bind_function(
          saved.get_py_compiler(), "torchcrop_fast_crop_at_backward", run,
          {Bool::packed_type(), Tensor::packed_type(), Size::packed_type(), Tensor::packed_type(),
           String::packed_type()});
    }
    const auto result = compiler->call_function(
        saved.get_py_compiler(), "apply_functional", function, grads,
        {Bool::pack(of_adjoint), Tensor::pack(offsets.unpack()), Size::pack(size), Tensor::pack(flip.unpack()),
         String::pack(padding_mode)},
        Edges::pack(compiled::get_input_metadata(next_edges())));
    saved.after(offsets);
    saved.after(flip);
    return result;
  }

  const bool of_adjoint;
  torch::autograd::SavedVariable offsets;
  const std::vector<c10::SymInt> size;  // of the windows, or of their images
  torch::autograd::SavedVariable flip;
  const std::string padding_mode;
};

void record_windows(
    const at::Tensor& input,
    bool adjoint,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Tensor& out) {
  const auto node = make_node<CropAtBackward>(adjoint, offsets, size, flip, padding_mode);
  node->set_next_edges(torch::autograd::collect_next_edges(input));
  torch::autograd::set_history(out, node);
}

// The gradient of crop_mirror_normalize: what the windows show, divided by std, added up where they show it. All in
// ops that have gradients of their own.
struct NormalizeBackward : torch::autograd::Node {
  NormalizeBackward(
      const at::Tensor& input,
      const std::optional<at::Tensor>& offsets,
      at::ArrayRef<double> std,
      const std::optional<at::Tensor>& flip,
      std::string_view layout,
      std::string_view padding_mode)
      : offsets(offsets.value_or(at::Tensor()), /*is_output=*/false),
        flip(flip.value_or(at::Tensor()), /*is_output=*/false),
        input_size(input.sym_sizes().vec()),
        std(std.vec()),
        dtype(static_cast<int64_t>(input.scalar_type())),
        channels_last(layout == "HWC"),
        padding_mode(padding_mode) {}

  std::string name() const override { return "CropMirrorNormalizeBackward"; }

  static variable_list backward(
      const at::Tensor& grad,
      const at::Tensor& offsets,
      const at::Tensor& flip,
      const std::vector<c10::SymInt>& input_size,
      const std::vector<double>& std,
      int64_t dtype,
      bool channels_last,
      const std::string& padding_mode) {
    if (!grad.defined()) {
      return {at::Tensor()};
    }
    std::vector<c10::SymInt> sizes = input_size;
    if (channels_last) {
      sizes = {sizes[0], sizes[3], sizes[1], sizes[2]};
    }
    const auto optional = [](const at::Tensor& tensor) {
      return tensor.defined() ? std::optional(tensor) : std::nullopt;
    };
    const at::Tensor places = offsets.defined() ? offsets : centre_offsets(grad, sizes);
    const at::Tensor scaled = grad.to(at::kFloat) / one_a_channel(std, grad.device());
    const at::Tensor sum = crop_at_adjoint_handle().call(scaled, places, sizes, optional(flip), padding_mode);
    return {(channels_last ? sum.permute({0, 2, 3, 1}) : sum).to(static_cast<at::ScalarType>(dtype))};
  }

  variable_list apply(variable_list&& grads) override {
    if (!task_should_compute_output(0)) {
      return variable_list(1);
    }
    return backward(grads[0], offsets.unpack(), flip.unpack(), input_size, std, dtype, channels_last, padding_mode);
  }

  void release_variables() override {
    offsets.reset_data();
    flip.reset_data();
  }

  void compiled_args(compiled::CompiledNodeArgs& args) const override {
    args.collect(offsets, false);
    args.collect(flip, false);
    for (const c10::SymInt& entry : input_size) {
      args.collect(entry.guard_int(__FILE__, __LINE__));
    }
    args.collect(std);
    args.collect(dtype);
    args.collect(channels_last);
    args.collect(padding_mode);
  }

  variable_list apply_with_saved(const variable_list& grads, compiled::SwapSavedVariables& saved) override {
    using Tensor = compiled::IValuePacker<at::Tensor>;
    using Size = compiled::IValuePacker<std::vector<c10::SymInt>>;
    using Numbers = compiled::IValuePacker<std::vector<double>>;
    using Int = compiled::IValuePacker<int64_t>;
    using Bool = compiled::IValuePacker<bool>;
    using String = compiled::IValuePacker<std::string>;
    using Edges = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>;
    saved.before(offsets);
    saved.before(flip);
    const auto run = [](const variable_list& inputs, const std::vector<c10::IValue>& args) {
      return backward(
          inputs[0], Tensor::unpack(args[0]), Tensor::unpack(args[1]), Size::unpack(args[2]), Numbers::unpack(args[3]),
          Int::unpack(args[4]), Bool::unpack(args[5]), String::unpack(args[6]));
    };
    const auto& compiler = compiled::getPyCompilerInterface();
    static std::string function;  // compiled autograd records one graph at a time
    if (function.empty()) {
      function = compiler->bind_function(
          saved.get_py_compiler(), "torchcrop_fast_crop_mirror_normalize_backward", run,
          {Tensor::packed_type(), Tensor::packed_type(), Size::packed_type(), Numbers::packed_type(),
           Int::packed_type(), Bool::packed_type(), String::packed_type()});
    }
    const auto result = compiler->call_function(
        saved.get_py_compiler(), "apply_functional", function, grads,
        {Tensor::pack(offsets.unpack()), Tensor::pack(flip.unpack()), Size::pack(input_size), Numbers::pack(std),
         Int::pack(dtype), Bool::pack(channels_last), String::pack(padding_mode)},
        Edges::pack(compiled::get_input_metadata(next_edges())));
    saved.after(offsets);
    saved.after(flip);
    return result;
  }

  torch::autograd::SavedVariable offsets;  // undefined for the middle
  torch::autograd::SavedVariable flip;
  const std::vector<c10::SymInt> input_size;
  const std::vector<double> std;
  const int64_t dtype;  // of the input
  const bool channels_last;
  const std::string padding_mode;

 private:
  // As geometry.h's, from the sizes of grad (N, C, h, w) and of the images.
  static at::Tensor centre_offsets(const at::Tensor& grad, const std::vector<c10::SymInt>& sizes) {
    const at::Tensor images = at::empty_symint(sizes, grad.options().device(at::kMeta));
    return torchcrop_fast::centre_offsets(images, {grad.size(2), grad.size(3)}, grad.device());
  }
};

}  // namespace

void record_pad(const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const at::Tensor& out) {
  const auto adds = [](const c10::SymInt& entry) { return entry > 0; };
  if (mode != "constant" && std::any_of(pad.begin(), pad.end(), adds)) {  // a border that nobody sees may be constant
    record_repeat_pad(input, /*adjoint=*/false, pad, input.sym_sizes(), mode, out);
    return;
  }
  const auto node = make_node<PadBackward>(pad);
  node->set_next_edges(torch::autograd::collect_next_edges(input));
  torch::autograd::set_history(out, node);
}

void record_crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Tensor& out) {
  record_windows(input, /*adjoint=*/false, offsets, input.sym_sizes(), flip, padding_mode, out);
}

namespace {

void check_no_autograd(const char* op, const at::Tensor& input, const at::Tensor& out) {
  const bool differentiates = torch::autograd::compute_requires_grad(input, out) ||
                              torch::autograd::isFwGradDefined(input) || torch::autograd::isFwGradDefined(out);
  TORCH_CHECK(!differentiates, op, ": out cannot be given where input or out takes part in autograd");
}

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
    record_pad(input, pad, mode, out);
  }
  if (torch::autograd::isFwGradDefined(input)) {
    const at::Tensor tangent = torchcrop_fast::pad_symint(input._fw_grad(/*level=*/0), pad, mode);
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

at::Tensor pad_adjoint_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& grad,
    c10::SymIntArrayRef pad,
    c10::SymIntArrayRef input_size,
    std::string_view mode) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return pad_adjoint_handle().redispatch(keys & c10::after_autograd_keyset, grad, pad, input_size, mode);
  }();
  if (torch::autograd::compute_requires_grad(grad)) {
    record_repeat_pad(grad, /*adjoint=*/true, pad, input_size, mode, out);
  }
  if (torch::autograd::isFwGradDefined(grad)) {
    const at::Tensor tangent = pad_adjoint_handle().call(grad._fw_grad(/*level=*/0), pad, input_size, mode);
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
  check_no_autograd("pad", input, out);
  const at::AutoDispatchBelowAutograd guard;
  pad_out_handle().redispatch(keys & c10::after_autograd_keyset, input, pad, mode, value, out);
}

at::Tensor crop_at_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return crop_at_handle().redispatch(
        keys & c10::after_autograd_keyset, input, offsets, size, flip, padding_mode, fill);
  }();
  if (torch::autograd::compute_requires_grad(input)) {
    record_crop_at(input, offsets, flip, padding_mode, out);
  }
  if (torch::autograd::isFwGradDefined(input)) {
    const at::Tensor tangent =
        crop_at_handle().call(input._fw_grad(/*level=*/0), offsets, size, flip, padding_mode, /*fill=*/0);
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

void crop_at_out_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::SymIntArrayRef size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode,
    const at::Scalar& fill,
    at::Tensor& out) {
  check_no_autograd("crop_at", input, out);
  const at::AutoDispatchBelowAutograd guard;
  crop_at_out_handle().redispatch(
      keys & c10::after_autograd_keyset, input, offsets, size, flip, padding_mode, fill, out);
}

at::Tensor crop_at_adjoint_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::SymIntArrayRef input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return crop_at_adjoint_handle().redispatch(
        keys & c10::after_autograd_keyset, grad, offsets, input_size, flip, padding_mode);
  }();
  const auto dims = static_cast<size_t>(offsets.sym_size(-1).guard_int(__FILE__, __LINE__));
  if (torch::autograd::compute_requires_grad(grad)) {
    const auto sizes = grad.sym_sizes();
    record_windows(grad, /*adjoint=*/true, offsets, sizes.slice(sizes.size() - dims), flip, padding_mode, out);
  }
  if (torch::autograd::isFwGradDefined(grad)) {
    const at::Tensor tangent =
        crop_at_adjoint_handle().call(grad._fw_grad(/*level=*/0), offsets, input_size, flip, padding_mode);
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

at::Tensor crop_mirror_normalize_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    c10::SymIntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return crop_mirror_normalize_handle().redispatch(
        keys & c10::after_autograd_keyset, input, offsets, size, mean, std, flip, dtype, layout, memory_format,
        padding_mode, fill);
  }();
  if (torch::autograd::compute_requires_grad(input)) {
    const auto node = make_node<NormalizeBackward>(input, offsets, std, flip, layout, padding_mode);
    node->set_next_edges(torch::autograd::collect_next_edges(input));
    torch::autograd::set_history(out, node);
  }
  if (torch::autograd::isFwGradDefined(input)) {
    const std::vector<double> zeros(mean.size());
    const at::Tensor tangent = crop_mirror_normalize_handle().call(
        input._fw_grad(/*level=*/0), offsets, size, zeros, std, flip, dtype, layout, memory_format, padding_mode,
        at::ArrayRef<double>(0.));
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

void crop_mirror_normalize_out_autograd(
    c10::DispatchKeySet keys,
    const at::Tensor& input,
    const std::optional<at::Tensor>& offsets,
    c10::SymIntArrayRef size,
    at::ArrayRef<double> mean,
    at::ArrayRef<double> std,
    const std::optional<at::Tensor>& flip,
    at::ScalarType dtype,
    std::string_view layout,
    at::MemoryFormat memory_format,
    std::string_view padding_mode,
    at::ArrayRef<double> fill,
    at::Tensor& out) {
  check_no_autograd("crop_mirror_normalize", input, out);
  const at::AutoDispatchBelowAutograd guard;
  crop_mirror_normalize_out_handle().redispatch(
      keys & c10::after_autograd_keyset, input, offsets, size, mean, std, flip, dtype, layout, memory_format,
      padding_mode, fill, out);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Autograd, m) {
  m.impl("pad", torchcrop_fast::pad_autograd);
  m.impl("pad.out", torchcrop_fast::pad_out_autograd);
  m.impl("_pad_adjoint", torchcrop_fast::pad_adjoint_autograd);
  m.impl("crop_at", torchcrop_fast::crop_at_autograd);
  m.impl("crop_at.out", torchcrop_fast::crop_at_out_autograd);
  m.impl("crop_mirror_normalize", torchcrop_fast::crop_mirror_normalize_autograd);
  m.impl("crop_mirror_normalize.out", torchcrop_fast::crop_mirror_normalize_out_autograd);
  m.impl("_crop_at_adjoint", torchcrop_fast::crop_at_adjoint_autograd);
}
