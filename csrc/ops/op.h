// The ops as values: an op is all arguments of a call but its input. What differentiates, batches, checks or runs ops
// takes them as one argument.
//
// Each op is affine in its input. linear() gives the op without what does not depend on the input, which is what its
// tangent goes through. adjoint() gives the op that its gradient goes through, whose own adjoint is the op again.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/Scalar.h>
#include <c10/core/SymIntArrayRef.h>
#include <c10/util/DimVector.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

namespace torchcrop_fast {

// How torch passes an argument of this type.
template <class T>
using Argument = std::conditional_t<std::is_trivially_copyable_v<T>, T, const T&>;

// The fields of an op as the arguments of its schema, in its order.
template <class... Fields>
std::tuple<Argument<Fields>...> in_order(const Fields&... fields) {
  return {fields...};
}

// The sizes of a tensor, and of its last `count` dimensions.
template <class Int>
c10::ArrayRef<Int> sizes_of(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<Int, int64_t>) {
    return tensor.sizes();
  } else {
    return tensor.sym_sizes();
  }
}
template <class Int>
c10::ArrayRef<Int> last_sizes(const at::Tensor& tensor, size_t count) {
  const auto sizes = sizes_of<Int>(tensor);
  return sizes.slice(sizes.size() - count);
}

template <class Int>
bool any_positive(c10::ArrayRef<Int> numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [](const Int& number) { return number > 0; });
}

// The values that linear() puts in place of others.
// What lies around derivatives: bytes of 0. Not the number, which float8_e8m0fnu lacks.
inline const at::Scalar kZeroBytes = false;
inline const std::optional<at::Scalar> kValueOfZeroBytes = kZeroBytes;
inline constexpr double kZeroFill = 0;

// The ops. Int is c10::SymInt where the dispatcher passes an op, and int64_t where sizes are known. An op refers to
// what it was made of, and must not outlive it: linear() and adjoint() lend their op to use().
//
// kName opens the texts of errors. kNode names the op's node in the graph of autograd. kTakesBatch: whether the first
// dimension of each tensor is one image after the other, or one that the op leaves alone.

template <class Int>
struct PadAdjoint;

template <class Int>
struct Pad {
  static constexpr const char* kName = "pad";
  static constexpr const char* kSchema = "torchcrop_fast::pad";
  static constexpr const char* kNode = "PadBackward";
  static constexpr bool kTakesBatch = false;

  c10::ArrayRef<Int> pad;  // (before, after) of each padded dimension, the last dimension first
  std::string_view mode;
  const std::optional<at::Scalar>& value;

  auto arguments() const { return in_order(pad, mode, value); }

  template <class Use>
  auto linear(const Use& use) const {
    return use(Pad{pad, mode, kValueOfZeroBytes});
  }

  template <class Use>
  void adjoint(const at::Tensor& input, const Use& use) const {
    if (mode != "constant" && any_positive(pad)) {
      use(PadAdjoint<Int>{pad, last_sizes<Int>(input, pad.size() / 2), mode});
      return;
    }
    c10::SmallVector<Int, 8> back;  // of a constant border, or where nothing is padded: pad with the signs turned
    for (const Int& entry : pad) {
      back.push_back(-entry);
    }
    use(Pad{back, "constant", kValueOfZeroBytes});
  }
};

template <class Int>
struct PadAdjoint {
  static constexpr const char* kName = "pad";
  static constexpr const char* kSchema = "torchcrop_fast::_pad_adjoint";
  static constexpr const char* kNode = "PadAdjointBackward";
  static constexpr bool kTakesBatch = false;

  c10::ArrayRef<Int> pad;
  c10::ArrayRef<Int> size;  // of pad's input, the padded dimensions alone
  std::string_view mode;

  auto arguments() const { return in_order(pad, size, mode); }

  template <class Use>
  auto linear(const Use& use) const {
    return use(*this);
  }

  template <class Use>
  void adjoint(const at::Tensor&, const Use& use) const {
    use(Pad<Int>{pad, mode, kValueOfZeroBytes});
  }
};

template <class Int>
struct CropAtAdjoint;

template <class Int>
struct CropAt {
  static constexpr const char* kName = "crop_at";
  static constexpr const char* kSchema = "torchcrop_fast::crop_at";
  static constexpr const char* kNode = "CropAtBackward";
  static constexpr bool kTakesBatch = true;

  const at::Tensor& offsets;              // int64, (N, D) or (N, K, D)
  c10::ArrayRef<Int> size;                // (D), of the windows
  const std::optional<at::Tensor>& flip;  // bool, offsets' shape or that without its last dimension
  std::string_view padding_mode;
  const at::Scalar& fill;

  auto arguments() const { return in_order(offsets, size, flip, padding_mode, fill); }

  template <class Use>
  auto linear(const Use& use) const {
    return use(CropAt{offsets, size, flip, padding_mode, kZeroBytes});
  }

  template <class Use>
  void adjoint(const at::Tensor& input, const Use& use) const {
    use(CropAtAdjoint<Int>{offsets, last_sizes<Int>(input, size.size()), flip, padding_mode});
  }
};

template <class Int>
struct CropAtAdjoint {
  static constexpr const char* kName = "crop_at";
  static constexpr const char* kSchema = "torchcrop_fast::_crop_at_adjoint";
  static constexpr const char* kNode = "CropAtAdjointBackward";
  static constexpr bool kTakesBatch = true;

  const at::Tensor& offsets;
  c10::ArrayRef<Int> size;  // (D), of the images
  const std::optional<at::Tensor>& flip;
  std::string_view padding_mode;

  auto arguments() const { return in_order(offsets, size, flip, padding_mode); }

  template <class Use>
  auto linear(const Use& use) const {
    return use(*this);
  }

  template <class Use>
  void adjoint(const at::Tensor& grad, const Use& use) const {
    use(CropAt<Int>{offsets, last_sizes<Int>(grad, size.size()), flip, padding_mode, kZeroBytes});
  }
};

template <class Int>
struct CropMirrorNormalizeAdjoint;

template <class Int>
struct CropMirrorNormalize {
  static constexpr const char* kName = "crop_mirror_normalize";
  static constexpr const char* kSchema = "torchcrop_fast::crop_mirror_normalize";
  static constexpr const char* kNode = "CropMirrorNormalizeBackward";
  static constexpr bool kTakesBatch = true;

  const std::optional<at::Tensor>& offsets;  // as crop_at's; none: the center
  c10::ArrayRef<Int> size;                   // (h, w)
  at::ArrayRef<double> mean;                 // (C)
  at::ArrayRef<double> std;                  // (C)
  const std::optional<at::Tensor>& flip;
  std::optional<at::ScalarType> dtype;  // none: float32
  std::string_view layout;
  std::optional<at::MemoryFormat> memory_format;  // none: contiguous
  std::string_view padding_mode;
  at::ArrayRef<double> fill;  // (C) or (1)

  auto arguments() const {
    return in_order(offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill);
  }

  at::ScalarType out_dtype() const { return dtype.value_or(at::kFloat); }
  at::MemoryFormat out_format() const { return memory_format.value_or(at::MemoryFormat::Contiguous); }
  bool channels_last() const { return layout == "HWC"; }

  template <class Use>
  auto linear(const Use& use) const {
    const std::vector<double> zeros(mean.size());
    return use(
        CropMirrorNormalize{offsets, size, zeros, std, flip, dtype, layout, memory_format, padding_mode, kZeroFill});
  }

  template <class Use>
  void adjoint(const at::Tensor& input, const Use& use) const {
    const auto image_size = sizes_of<Int>(input).slice(channels_last() ? 1 : 2, 2);
    use(CropMirrorNormalizeAdjoint<Int>{offsets, image_size, std, flip, input.scalar_type(), layout, padding_mode});
  }
};

// Written in other ops, which have adjoints of their own.
template <class Int>
struct CropMirrorNormalizeAdjoint {
  static constexpr const char* kName = "crop_mirror_normalize";
  static constexpr const char* kSchema = "torchcrop_fast::_crop_mirror_normalize_adjoint";

  const std::optional<at::Tensor>& offsets;
  c10::ArrayRef<Int> size;  // (H, W), of the images
  at::ArrayRef<double> std;
  const std::optional<at::Tensor>& flip;
  std::optional<at::ScalarType> dtype;  // of the images; none: float32
  std::string_view layout;
  std::string_view padding_mode;

  auto arguments() const { return in_order(offsets, size, std, flip, dtype, layout, padding_mode); }
};

// Every op that backends have kernels for, as _(Op); those of the first list have an .out. From these all registrations
// and instantiations are made.
#define TORCHCROP_FAST_FOR_EACH_OP_WITH_OUT(_) _(Pad) _(CropAt) _(CropMirrorNormalize)
#define TORCHCROP_FAST_FOR_EACH_OP(_) TORCHCROP_FAST_FOR_EACH_OP_WITH_OUT(_) _(PadAdjoint) _(CropAtAdjoint)

// Ops with ints in place of symbols and the other way round, lent to use(). Throws where a symbol has no value.
template <class T>
const T& as_ints(const T& field) {
  return field;
}
inline c10::DimVector as_ints(c10::SymIntArrayRef symbols) {
  c10::DimVector ints;
  for (const c10::SymInt& symbol : symbols) {
    ints.push_back(symbol.guard_int(__FILE__, __LINE__));
  }
  return ints;
}
template <template <class> class Op, class Use>
auto with_ints(const Op<c10::SymInt>& op, const Use& use) {
  return std::apply([&](const auto&... field) { return use(Op<int64_t>{as_ints(field)...}); }, op.arguments());
}

template <class T>
const T& as_symbols(const T& field) {
  return field;
}
inline c10::SmallVector<c10::SymInt, 8> as_symbols(at::IntArrayRef ints) { return {ints.begin(), ints.end()}; }
template <template <class> class Op, class Use>
auto with_symbols(const Op<int64_t>& op, const Use& use) {
  return std::apply([&](const auto&... field) { return use(Op<c10::SymInt>{as_symbols(field)...}); }, op.arguments());
}

// The op as the dispatcher knows it: its handle, and kernels of its signature that run a function of the op.
template <class Op, class Arguments = decltype(std::declval<Op>().arguments())>
struct Registered;

template <class Op, class... Arguments>
struct Registered<Op, std::tuple<Arguments...>> {
  template <class Signature>
  static auto find(const char* overload) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(Op::kSchema, overload).template typed<Signature>();
  }
  static const auto& handle() {
    static const auto found = find<at::Tensor(const at::Tensor&, Arguments...)>("");
    return found;
  }
  static const auto& out_handle() {
    static const auto found = find<void(const at::Tensor&, Arguments..., at::Tensor&)>("out");
    return found;
  }

  template <auto kFunction>
  static at::Tensor kernel(const at::Tensor& input, Arguments... arguments) {
    return kFunction(input, Op{arguments...});
  }
  template <auto kFunction>
  static at::Tensor kernel_with_keys(c10::DispatchKeySet keys, const at::Tensor& input, Arguments... arguments) {
    return kFunction(keys, input, Op{arguments...});
  }
  template <auto kFunction>
  static void out_kernel(const at::Tensor& input, Arguments... arguments, at::Tensor& out) {
    kFunction(input, Op{arguments...}, out);
  }
};

// Calls the op through the dispatcher.
template <class Op>
at::Tensor call(const at::Tensor& input, const Op& op) {
  return std::apply(
      [&](const auto&... argument) { return Registered<Op>::handle().call(input, argument...); }, op.arguments());
}

template <class Op>
void call_out(const at::Tensor& input, const Op& op, at::Tensor& out) {
  std::apply(
      [&](const auto&... argument) { Registered<Op>::out_handle().call(input, argument..., out); }, op.arguments());
}

// Passes the op on to the dispatch keys below these.
template <class Op>
at::Tensor redispatch(c10::DispatchKeySet keys, const at::Tensor& input, const Op& op) {
  return std::apply(
      [&](const auto&... argument) { return Registered<Op>::handle().redispatch(keys, input, argument...); },
      op.arguments());
}

// Calls use(name, tensor) for each tensor argument of the op but its input.
template <class Op, class Use>
void for_each_tensor(const Op& op, const Use& use) {
  size_t position = 0;
  const auto visit = [&](const auto& argument) {
    ++position;
    using T = std::decay_t<decltype(argument)>;
    const auto name = [&] { return Registered<Op>::handle().schema().arguments()[position].name().c_str(); };
    if constexpr (std::is_same_v<T, at::Tensor>) {
      use(name, argument);
    } else if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
      if (argument) {
        use(name, *argument);
      }
    }
  };
  std::apply([&](const auto&... argument) { (visit(argument), ...); }, op.arguments());
}

}  // namespace torchcrop_fast
