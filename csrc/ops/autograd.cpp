// Autograd: an op's gradient is its adjoint, its tangent what it is linear in. By hand, since torch::autograd::Function
// has no forward mode and fails under torch.func.
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/library.h>
#include <torch/version.h>

#include "direct.h"

namespace torchcrop_fast {
namespace {

using torch::autograd::SavedVariable;
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

// An argument that owns what it refers to; and as a node keeps it, which must notice tensors that change until
// backward.
template <class T>
struct OwnedType {
  using Type = T;
};
template <class T>
struct OwnedType<c10::ArrayRef<T>> {
  using Type = std::vector<T>;
};
template <>
struct OwnedType<std::string_view> {
  using Type = std::string;
};
template <>
struct OwnedType<std::optional<at::Tensor>> {
  using Type = at::Tensor;  // undefined where there is none
};
template <class T>
using Owned = typename OwnedType<T>::Type;
template <class T>
using Kept = std::conditional_t<std::is_same_v<Owned<T>, at::Tensor>, SavedVariable, Owned<T>>;

template <class T>
Kept<T> keep(const T& argument) {
  if constexpr (std::is_same_v<T, at::Tensor>) {
    return SavedVariable(argument, /*is_output=*/false);
  } else if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
    return SavedVariable(argument.value_or(at::Tensor()), /*is_output=*/false);
  } else {
    return {argument.begin(), argument.end()};
  }
}
template <class T>
  requires std::is_same_v<Kept<T>, T>
T keep(const T& argument) {
  return argument;
}

template <class T>
const T& unpack(const T& kept) {
  return kept;
}
at::Tensor unpack(const SavedVariable& kept) { return kept.unpack(); }

// The argument again, as an op takes it.
template <class T>
decltype(auto) lend(const Owned<T>& owned) {
  if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
    return owned.defined() ? T(owned) : T();
  } else {
    return (owned);
  }
}

void collect(compiled::CompiledNodeArgs& args, const SavedVariable& kept) { args.collect(kept, /*is_output=*/false); }
// Sizes are part of what a graph is compiled for, since as symbols they would leave shapes undecided.
void collect(compiled::CompiledNodeArgs& args, const std::vector<c10::SymInt>& kept) {
  args.collect(static_cast<int64_t>(kept.size()));
  for (const c10::SymInt& size : kept) {
    args.collect(size.guard_int(__FILE__, __LINE__));
  }
}
template <class T>
void collect(compiled::CompiledNodeArgs& args, const T& kept) {
  args.collect(kept);
}

template <class... T>
std::tuple<std::decay_t<T>...> decayed(const std::tuple<T...>&);

// The node of what Op made: gradients go through its adjoint, of which the node keeps all arguments.
template <class Op, class Adjoint, class Arguments = decltype(decayed(std::declval<Adjoint>().arguments()))>
struct Transposed;

template <class Op, class Adjoint, class... Arguments>
struct Transposed<Op, Adjoint, std::tuple<Arguments...>> final : torch::autograd::Node {
  template <class T>
  using Packer = compiled::IValuePacker<Owned<T>>;

  explicit Transposed(const Adjoint& adjoint)
      : kept(std::apply([](const auto&... argument) { return Kepts(keep(argument)...); }, adjoint.arguments())) {}

  std::string name() const override { return Op::kNode; }

  static variable_list backward(const at::Tensor& grad, const Owned<Arguments>&... owned) {
    return {grad.defined() ? run(grad, Adjoint{lend<Arguments>(owned)...}) : at::Tensor()};
  }

  variable_list apply(variable_list&& grads) override {
    if (!task_should_compute_output(0)) {
      return variable_list(1);
    }
    return std::apply([&](const auto&... each) { return backward(grads[0], unpack(each)...); }, kept);
  }

  void release_variables() override {
    for_each_variable([](SavedVariable& variable) { variable.reset_data(); });
  }

  // Compiled autograd runs no node while it records: it asks for a function and what to call it with.
  void compiled_args(compiled::CompiledNodeArgs& args) const override {
    std::apply([&](const auto&... each) { (collect(args, each), ...); }, kept);
  }

  variable_list apply_with_saved(const variable_list& grads, compiled::SwapSavedVariables& saved) override {
    using Edges = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>;
    const auto& compiler = compiled::getPyCompilerInterface();
    static std::string function;  // compiled autograd records one graph at a time
    if (function.empty()) {
      const std::string wanted = std::string(Op::kNode) + (Adjoint::kSchema + sizeof("torchcrop_fast:"));
      function =
          compiler->bind_function(saved.get_py_compiler(), wanted, run_packed, {Packer<Arguments>::packed_type()...});
    }
    for_each_variable([&](SavedVariable& variable) { saved.before(variable); });
    const auto packed = std::apply(
        [](const auto&... each) { return std::vector<c10::IValue>{Packer<Arguments>::pack(unpack(each))...}; }, kept);
    const auto result = compiler->call_function(
        saved.get_py_compiler(), "apply_functional", function, grads, packed,
        Edges::pack(compiled::get_input_metadata(next_edges())));
    for_each_variable([&](SavedVariable& variable) { saved.after(variable); });
    return result;
  }

  static variable_list run_packed(const variable_list& grads, const std::vector<c10::IValue>& packed) {
    return [&]<size_t... i>(std::index_sequence<i...>) {
      return backward(grads[0], Packer<Arguments>::unpack(packed[i])...);
    }(std::index_sequence_for<Arguments...>());
  }

  template <class Use>
  void for_each_variable(const Use& use) {
    const auto visit = [&](auto& each) {
      if constexpr (std::is_same_v<std::decay_t<decltype(each)>, SavedVariable>) {
        use(each);
      }
    };
    std::apply([&](auto&... each) { (visit(each), ...); }, kept);
  }

  using Kepts = std::tuple<Kept<Arguments>...>;
  Kepts kept;
};

}  // namespace

template <class Op>
void record(const at::Tensor& input, const Op& op, const at::Tensor& out) {
  op.adjoint(input, [&](const auto& adjoint) {
    const auto node = make_node<Transposed<Op, std::decay_t<decltype(adjoint)>>>(adjoint);
    node->set_next_edges(torch::autograd::collect_next_edges(input));
    torch::autograd::set_history(out, node);
  });
}

namespace {

template <class Op>
at::Tensor differentiable(c10::DispatchKeySet keys, const at::Tensor& input, const Op& op) {
  const at::Tensor out = [&] {
    const at::AutoDispatchBelowAutograd guard;
    return redispatch(keys & c10::after_autograd_keyset, input, op);
  }();
  if (torch::autograd::compute_requires_grad(input)) {
    record(input, op, out);
  }
  if (torch::autograd::isFwGradDefined(input)) {
    const at::Tensor tangent = op.linear([&](const auto& linear) { return run(input._fw_grad(/*level=*/0), linear); });
    out._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

template <template <class> class Op>
void register_differentiable(torch::Library& m) {
  using Symbolic = Op<c10::SymInt>;
  m.impl(Symbolic::kSchema, Registered<Symbolic>::template kernel_with_keys<differentiable<Symbolic>>);
}

}  // namespace

#define INSTANTIATE(Op) template void record(const at::Tensor&, const Op<c10::SymInt>&, const at::Tensor&);
TORCHCROP_FAST_FOR_EACH_OP(INSTANTIATE)

}  // namespace torchcrop_fast

TORCH_LIBRARY_IMPL(torchcrop_fast, Autograd, m) {
  using namespace torchcrop_fast;
#define REGISTER(Op) register_differentiable<Op>(m);
  TORCHCROP_FAST_FOR_EACH_OP(REGISTER)
}
