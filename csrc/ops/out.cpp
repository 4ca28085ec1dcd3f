// The .out variants, boxed, for all keys but those of backends with kernels of ours: the op without out, then a copy.
#include <ATen/FunctionalTensorWrapper.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/stack.h>
#include <ATen/native/Resize.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/library.h>

#include "check.h"
#include "overlap.h"

namespace torchcrop_fast {
namespace {

using at::functionalization::impl::isFunctionalTensor;

// As it opens the texts of errors.
const char* name_of(const c10::OperatorHandle& op) { return op.schema().name().c_str() + sizeof("torchcrop_fast:"); }

// out, the last argument, becomes what the op without it makes of the others.
void write_result(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::Tensor out = torch::jit::pop(*stack).toTensor();
  const char* const name = name_of(op);
  const auto& arguments = op.schema().arguments();
  const bool functional = isFunctionalTensor(out);  // in a graph, which has neither memory nor writes
  for (size_t i = 0; i + 1 < arguments.size() && !functional; ++i) {
    const c10::IValue& argument = torch::jit::peek(*stack, i, arguments.size() - 1);
    if (argument.isTensor()) {
      check_out_memory(name, arguments[i].name().c_str(), argument.toTensor(), out);
    }
  }
  c10::Dispatcher::singleton().findSchemaOrThrow(op.schema().name().c_str(), "").callBoxed(stack);
  const at::Tensor result = torch::jit::pop(*stack).toTensor();
  check_out_type(name, result.scalar_type(), result.device(), out);
  TORCH_CHECK(
      !functional || result.sym_sizes() == out.sym_sizes(), name, ": out must have sizes ", result.sym_sizes(),
      ", got ", out.sym_sizes(), ": a graph cannot resize it");
  at::native::resize_output_symint(out, result.sym_sizes());
  out.copy_(result);
}

void functionalize(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  TORCH_CHECK(
      isFunctionalTensor(stack->back().toTensor()), name_of(op),
      ": out must be an input of the functionalized function or be created inside it");
  write_result(op, stack);
}

// So that a backward which needs the old values notices.
void bump_version(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const at::Tensor out = stack->back().toTensor();
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    op.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
  }
  torch::autograd::impl::bump_version(out);
}

void refuse_autograd(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const at::Tensor& input = torch::jit::peek(*stack, 0, op.schema().arguments().size()).toTensor();
  const at::Tensor& out = stack->back().toTensor();
  const bool differentiates = torch::autograd::compute_requires_grad(input, out) ||
                              torch::autograd::isFwGradDefined(input) || torch::autograd::isFwGradDefined(out);
  TORCH_CHECK(
      !differentiates, name_of(op),
      ": out= does not support autograd, but input or out requires grad or has a tangent");
  const at::AutoDispatchBelowAutograd guard;
  op.redispatchBoxed(keys & c10::after_autograd_keyset, stack);
}

template <auto kKernel>
void register_out(torch::Library& m) {
#define SCHEMA(Op) Op<c10::SymInt>::kSchema,
  for (const char* const schema : {TORCHCROP_FAST_FOR_EACH_OP_WITH_OUT(SCHEMA)}) {
    m.impl((std::string(schema) + ".out").c_str(), torch::CppFunction::makeFromBoxedFunction<kKernel>());
  }
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, CompositeExplicitAutograd, m) {
  torchcrop_fast::register_out<&torchcrop_fast::write_result>(m);
}
TORCH_LIBRARY_IMPL(torchcrop_fast, Conjugate, m) { torchcrop_fast::register_out<&torchcrop_fast::write_result>(m); }
TORCH_LIBRARY_IMPL(torchcrop_fast, Negative, m) { torchcrop_fast::register_out<&torchcrop_fast::write_result>(m); }
TORCH_LIBRARY_IMPL(torchcrop_fast, Functionalize, m) {
  torchcrop_fast::register_out<&torchcrop_fast::functionalize>(m);
}
TORCH_LIBRARY_IMPL(torchcrop_fast, ADInplaceOrView, m) {
  torchcrop_fast::register_out<&torchcrop_fast::bump_version>(m);
}
TORCH_LIBRARY_IMPL(torchcrop_fast, Autograd, m) { torchcrop_fast::register_out<&torchcrop_fast::refuse_autograd>(m); }
