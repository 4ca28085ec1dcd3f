// FuncTorchBatched: vmap. What pads leaves a batch dimension put first alone; all other ops work on a batch of images,
// which a batch of batches is, too.
#include <ATen/functorch/BatchedTensorImpl.h>
#include <torch/library.h>

#include "check.h"
#include "direct.h"

namespace torchcrop_fast {
namespace {

using at::functorch::makeBatched;
using at::functorch::maybeGetBatchedImpl;

template <class Op>
at::Tensor leave_first(const at::Tensor& input, const Op& op) {
  check(input, op);  // here, where the batch dimension doesn't count
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  const auto* batched = maybeGetBatchedImpl(input);
  return makeBatched(run(batched->value().movedim(batched->bdim(), 0), op), 0, batched->level());
}

// The batch dimension of each tensor, one of the innermost level or a new one, joins its first dimension.
template <class Op>
at::Tensor in_one_batch(const at::Tensor& input, const Op& op) {
  check(input, op);
  const c10::SymInt images = input.sym_size(0);
  const c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::FuncTorchBatched);
  int64_t level = 0;
  c10::SymInt batch = 1;
  const auto find_level = [&](const at::Tensor& tensor) {
    const auto* batched = maybeGetBatchedImpl(tensor);
    if (batched && batched->level() > level) {
      level = batched->level();
      batch = batched->value().sym_size(batched->bdim());
    }
  };
  find_level(input);
  for_each_tensor(op, [&](const auto&, const at::Tensor& tensor) { find_level(tensor); });
  const auto join = [&](const at::Tensor& tensor) {
    const auto* batched = maybeGetBatchedImpl(tensor);
    const bool has_batch = batched && batched->level() == level;
    const at::Tensor first = has_batch ? batched->value().movedim(batched->bdim(), 0) : tensor.unsqueeze(0);
    c10::SymDimVector sizes(first.sym_sizes().begin(), first.sym_sizes().end());
    sizes[0] = batch;
    return first.expand_symint(sizes).flatten(0, 1);
  };
  const auto joined = [&]<class T>(const T& argument) -> decltype(auto) {
    if constexpr (std::is_same_v<T, at::Tensor>) {
      return join(argument);
    } else if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
      return argument ? T(join(*argument)) : T();
    } else {
      return (argument);
    }
  };
  const at::Tensor out =
      std::apply([&](const auto&... argument) { return run(join(input), Op{joined(argument)...}); }, op.arguments());
  return makeBatched(out.unflatten_symint(0, {batch, images}), 0, level);
}

template <template <class> class Op>
void register_rule(torch::Library& m) {
  using Symbolic = Op<c10::SymInt>;
  constexpr auto rule = Symbolic::kTakesBatch ? in_one_batch<Symbolic> : leave_first<Symbolic>;
  m.impl(Symbolic::kSchema, Registered<Symbolic>::template kernel<rule>);
}

}  // namespace
}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, FuncTorchBatched, m) {
  using namespace torchcrop_fast;
#define REGISTER(Op) register_rule<Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP(REGISTER)
}
