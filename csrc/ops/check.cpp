// Checks of the ops' arguments, the same for every device.
#include "check.h"

#include <ATen/Dispatch_v2.h>
#include <ATen/core/Formatting.h>
#include <c10/util/SmallVector.h>
#include <c10/util/irange.h>
#include <c10/util/safe_numerics.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

namespace torchcrop_fast {
namespace {

// As Python writes it, without torch before it.
std::string name(at::ScalarType dtype) { return std::string(c10::getDtypeNames(dtype).first); }

std::optional<int64_t> concrete(int64_t size) { return size; }
std::optional<int64_t> concrete(const c10::SymInt& size) { return size.maybe_as_int(); }

// a + b, or false where that leaves int64. Symbolic sizes never come near it.
bool add(int64_t a, int64_t b, int64_t* sum) { return !c10::add_overflows(a, b, sum); }
bool add(const c10::SymInt& a, const c10::SymInt& b, c10::SymInt* sum) {
  const auto concrete_a = concrete(a);
  const auto concrete_b = concrete(b);
  if (concrete_a && concrete_b) {
    int64_t concrete_sum = 0;
    const bool fits = add(*concrete_a, *concrete_b, &concrete_sum);
    *sum = concrete_sum;
    return fits;
  }
  *sum = a + b;
  return true;
}

// Whether so many elements can be counted in bytes. Symbolic sizes can.
template <class Int>
bool bytes_fit(c10::ArrayRef<Int> sizes, int64_t bytes) {
  const bool empty = std::any_of(sizes.begin(), sizes.end(), [](const Int& size) { return concrete(size) == 0; });
  return empty || std::all_of(sizes.begin(), sizes.end(), [&](const Int& size) {
           return !c10::mul_overflows(bytes, concrete(size).value_or(1), &bytes);
         });
}

// The part of a pad's entry that crops, as the user says it: a count. The smallest int64 has none; its text will do.
template <class Int>
std::string lost(const Int& entry) {
  const std::string text = c10::str(entry);
  return text.front() == '-' ? text.substr(1) : (entry < 0 ? c10::str(-entry) : "0");
}

// What a sum of strides can reach: the multiples 0 to (count - 1) of stride, in bytes.
struct Steps {
  int64_t stride;
  int64_t count;
};

bool larger(const Steps& a, const Steps& b) { return a.stride > b.stride; }

constexpr int64_t kTries = 1000000;  // that a question of overlap may take

// Whether target is a sum of one multiple of each steps' stride. Largest stride first, so that nearly always one or two
// multiples remain to be tried at each. Says yes when that doesn't end within `budget` tries.
bool reaches(const Steps* steps, const Steps* end, int64_t target, int64_t& budget) {
  if (steps == end) {
    return target == 0;
  }
  int64_t rest = 0;  // the most that the smaller strides reach
  for (const Steps* s = steps + 1; s != end; ++s) {
    rest += s->stride * (s->count - 1);
  }
  const int64_t least = target <= rest ? 0 : (target - rest + steps->stride - 1) / steps->stride;
  const int64_t most = std::min(steps->count - 1, target / steps->stride);
  for (int64_t multiple = least; multiple <= most; ++multiple) {
    if (--budget < 0 || reaches(steps + 1, end, target - multiple * steps->stride, budget)) {
      return true;
    }
  }
  return false;
}

// Whether two elements of a tensor lie at the same place: whether some sum of multiples of its strides, -(size - 1) to
// size - 1 of each and not all of them 0, is 0. Asked once for each stride: is it, with those before left out?
bool repeats(const at::Tensor& tensor) {
  c10::SmallVector<Steps, 8> steps;
  for (const auto d : c10::irange(tensor.dim())) {
    if (tensor.size(d) > 1 && tensor.stride(d) == 0) {
      return true;
    }
    if (tensor.size(d) > 1) {
      steps.push_back({tensor.stride(d), tensor.size(d)});
    }
  }
  std::sort(steps.begin(), steps.end(), larger);
  int64_t budget = kTries;
  for (auto* first = steps.begin(); first != steps.end(); ++first) {
    // first takes 1 to (count - 1) multiples; the others their full range, moved to begin at 0.
    c10::SmallVector<Steps, 8> others(first, steps.end());
    int64_t target = -first->stride;
    others[0].count = first->count - 1;
    for (auto* other = others.begin() + 1; other != others.end(); ++other) {
      target += other->stride * (other->count - 1);
      other->count = 2 * other->count - 1;
    }
    if (target >= 0 && reaches(others.begin(), others.end(), target, budget)) {
      return true;
    }
  }
  return false;
}

// Whether a, whose first element is at a_data, and b have a byte in common.
bool share_memory(const at::Tensor& a, const void* a_data, const at::Tensor& b, const void* b_data) {
  if (a.numel() == 0 || b.numel() == 0) {
    return false;
  }
  // An address in a is its base and a sum of steps; an address in b, read backwards, is its last byte less such a sum.
  c10::SmallVector<Steps, 16> steps;
  int64_t b_last = 0;
  const auto add_steps = [&](int64_t stride, int64_t size) {
    if (stride != 0 && size > 1) {
      steps.push_back({stride, size});
    }
  };
  for (const auto d : c10::irange(a.dim())) {
    add_steps(a.stride(d) * a.element_size(), a.size(d));
  }
  for (const auto d : c10::irange(b.dim())) {
    add_steps(b.stride(d) * b.element_size(), b.size(d));
    b_last += b.stride(d) * b.element_size() * (b.size(d) - 1);
  }
  add_steps(1, a.element_size());
  add_steps(1, b.element_size());
  b_last += b.element_size() - 1;
  const int64_t target = reinterpret_cast<intptr_t>(b_data) + b_last - reinterpret_cast<intptr_t>(a_data);
  std::sort(steps.begin(), steps.end(), larger);
  int64_t budget = kTries;
  return target >= 0 && reaches(steps.begin(), steps.end(), target, budget);
}

// The bytes of an element, over and over. argument is what the op calls the value.
std::array<unsigned char, 16> element_bytes(
    const char* op, const char* argument, const at::Scalar& value, at::ScalarType dtype) {
  std::array<unsigned char, 16> bytes{};
  if (at::isQIntType(dtype)) {
    return bytes;
  }
  AT_DISPATCH_V2(
      dtype, "torchcrop_fast", AT_WRAP([&] {
        scalar_t element{};
        bool fits = !value.isComplex() || at::isComplexType(dtype);
        if constexpr (std::is_unsigned_v<scalar_t> && !std::is_same_v<scalar_t, bool>) {
          fits = fits && !(value.isIntegral(/*includeBool=*/false) && value.to<double>() < 0);  // to() would wrap it
        }
        try {
          // Where it is rounded, it is rounded as by F.pad, whose value is a double.
          const bool rounds = at::isFloatingType(dtype) && !value.isComplex();
          element = !fits ? element : (rounds ? at::Scalar(value.to<double>()) : value).to<scalar_t>();
        } catch (const std::exception&) {
          fits = false;
        }
        TORCH_CHECK(fits, op, ": ", argument, " must fit dtype ", name(dtype), ", got ", value);
        static_assert(sizeof(element) <= sizeof(bytes));
        for (size_t at = 0; at < bytes.size(); at += sizeof(element)) {
          std::memcpy(bytes.data() + at, &element, sizeof(element));
        }
      }),
      AT_EXPAND(AT_ALL_TYPES_AND_COMPLEX), AT_EXPAND(AT_BAREBONES_UNSIGNED_TYPES), AT_EXPAND(AT_FLOAT8_TYPES),
      at::kBool, at::kHalf, at::kBFloat16, at::kComplexHalf);
  return bytes;
}

template <class Int>
c10::ArrayRef<Int> sizes_of(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<Int, int64_t>) {
    return tensor.sizes();
  } else {
    return tensor.sym_sizes();
  }
}

// flip mirrors windows whose offsets have this shape.
template <class Int>
void check_flip(const char* op, const at::Device& device, c10::ArrayRef<Int> offsets, const at::Tensor& flip) {
  TORCH_CHECK(flip.scalar_type() == at::kBool, op, ": flip must be of dtype bool, got ", name(flip.scalar_type()));
  TORCH_CHECK(flip.device() == device, op, ": flip must be on device ", device, ", got ", flip.device());
  const auto flips = sizes_of<Int>(flip);
  const auto windows = offsets.slice(0, offsets.size() - 1);
  TORCH_CHECK(
      flips == offsets || flips == windows, op, ": flip must be of shape ", windows, " or ", offsets, ", got ", flips);
}

// offsets place windows of so many dimensions on this many images, as flip does.
template <class Int>
void check_places(
    const char* op,
    const at::Device& device,
    const Int& images,
    const at::Tensor& offsets,
    size_t dims,
    const std::optional<at::Tensor>& flip) {
  const auto shape = sizes_of<Int>(offsets);
  TORCH_CHECK(
      offsets.scalar_type() == at::kLong, op, ": offsets must be of dtype int64, got ", name(offsets.scalar_type()));
  TORCH_CHECK(offsets.device() == device, op, ": offsets must be on device ", device, ", got ", offsets.device());
  TORCH_CHECK(
      (shape.size() == 2 || shape.size() == 3) && shape[0] == images && shape.back() == static_cast<int64_t>(dims), op,
      ": offsets must be of shape [", images, ", ", dims, "] or [", images, ", K, ", dims, "], got ", shape);
  if (flip) {
    check_flip(op, device, shape, *flip);
  }
}

bool is_pixel_float(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16;
}

// Whether there is something in each dimension that the border can repeat.
template <class Int>
void check_repeats(const char* op, Border border, c10::ArrayRef<Int> sizes, size_t first) {
  for (size_t d = first; d < sizes.size() && border != Border::kConstant; ++d) {
    TORCH_CHECK(sizes[d] > 0, op, ": dim ", d, " must not be of size 0 where the border repeats what is in it");
  }
}

template <class Int>
void check_bytes_fit(const char* op, c10::ArrayRef<Int> sizes, size_t element_size) {
  TORCH_CHECK(
      bytes_fit<Int>(sizes, static_cast<int64_t>(element_size)), op,
      ": the result must be smaller than 2^63 bytes, got sizes ", sizes, " and ", element_size, " bytes an element");
}

std::optional<Border> border_called(std::string_view wanted) {
  constexpr std::pair<std::string_view, Border> kBorders[] = {
      {"constant", Border::kConstant},   {"replicate", Border::kReplicate}, {"reflect", Border::kReflect},
      {"symmetric", Border::kSymmetric}, {"circular", Border::kCircular},
  };
  for (const auto& [border_name, border] : kBorders) {
    if (border_name == wanted) {
      return border;
    }
  }
  return std::nullopt;
}

// Whether pad's border can repeat so much of a dimension, of which the crop leaves so many elements.
template <class Int>
void check_repeats_once(
    Border border, size_t d, const Int& size, const Int& left, const Int& before, const Int& after) {
  const auto fits = [](const Int& entry, const Int& most) { return entry <= 0 || entry <= most; };
  if (border == Border::kReflect) {
    TORCH_CHECK(
        fits(before, size - 1) && fits(after, size - 1), "pad: dim ", d, " of size ", size, " cannot be reflected by (",
        before, ", ", after, "): both must be less than its size");
  } else if (border == Border::kCircular) {
    TORCH_CHECK(
        fits(before, left) && fits(after, left), "pad: dim ", d, " of size ", size, " cannot be wrapped by (", before,
        ", ", after, "): both must be at most the ", left, " elements to wrap");
  } else if (border == Border::kReplicate) {
    TORCH_CHECK(
        (before <= 0 && after <= 0) || size > 0, "pad: dim ", d, " of size ", size, " cannot be replicated by (",
        before, ", ", after, "): it has no element to repeat");
  }
}

}  // namespace

Border check_mode(std::string_view mode) {
  const auto border = border_called(mode);
  TORCH_CHECK_NOT_IMPLEMENTED(
      border && *border != Border::kSymmetric,
      "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '", mode, "'");
  return *border;
}

template <class Int>
c10::SmallVector<Int, 5> check_pad(
    c10::ArrayRef<Int> sizes, c10::ArrayRef<Int> pad, Border border, size_t element_size) {
  TORCH_CHECK(pad.size() % 2 == 0, "pad: pad must have an even number of entries, got ", pad.size());
  TORCH_CHECK(
      pad.size() <= 2 * sizes.size(), "pad: pad must have at most ", 2 * sizes.size(), " entries for an input of ",
      sizes.size(), " dims, got ", pad.size());
  c10::SmallVector<Int, 5> padded(sizes.begin(), sizes.end());
  for (size_t i = 0; i < pad.size(); i += 2) {
    const size_t d = sizes.size() - 1 - i / 2;
    const Int& before = pad[i];
    const Int& after = pad[i + 1];
    Int& size = padded[d];
    // What reflect and replicate repeat, they repeat of the whole input, as torch's pad does: the crop comes last.
    const bool crops_last = border == Border::kReflect || border == Border::kReplicate;
    const auto check_keeps = [&](bool keeps) {
      TORCH_CHECK(
          keeps, "pad: dim ", d, " of size ", sizes[d], " cannot lose ", lost(before), " + ", lost(after), " elements");
    };
    check_keeps(
        add(size, before < 0 ? before : Int(0), &size) && add(size, after < 0 ? after : Int(0), &size) &&
        (crops_last || size >= 0));
    if (border != Border::kConstant) {
      check_repeats_once<Int>(border, d, sizes[d], size, before, after);
    }
    const bool fits = add(size, before > 0 ? before : Int(0), &size) && add(size, after > 0 ? after : Int(0), &size);
    TORCH_CHECK(
        fits, "pad: dim ", d, " of size ", sizes[d], " cannot be padded by (", before, ", ", after,
        "): its size would leave int64");
    check_keeps(!crops_last || size >= 0);
  }
  check_bytes_fit<Int>("pad", padded, element_size);
  return padded;
}

template c10::SmallVector<int64_t, 5> check_pad(c10::ArrayRef<int64_t>, c10::ArrayRef<int64_t>, Border, size_t);
template c10::SmallVector<c10::SymInt, 5> check_pad(
    c10::ArrayRef<c10::SymInt>, c10::ArrayRef<c10::SymInt>, Border, size_t);

template <class Int>
std::array<unsigned char, 16> check_fill(
    c10::ArrayRef<Int> pad, Border border, const std::optional<at::Scalar>& value, at::ScalarType dtype) {
  if (border != Border::kConstant) {
    TORCH_CHECK(
        !value || (!value->isComplex() && value->to<double>() == 0),
        "pad: value must be None or 0 but with mode 'constant', got ", *value);
    return {};
  }
  const bool pads = std::any_of(pad.begin(), pad.end(), [](const Int& entry) { return entry > 0; });
  return value && pads ? element_bytes("pad", "value", *value, dtype) : std::array<unsigned char, 16>{};
}

template std::array<unsigned char, 16> check_fill(
    c10::ArrayRef<int64_t>, Border, const std::optional<at::Scalar>&, at::ScalarType);
template std::array<unsigned char, 16> check_fill(
    c10::ArrayRef<c10::SymInt>, Border, const std::optional<at::Scalar>&, at::ScalarType);

template <class Int>
void check_pad_adjoint(const at::Tensor& grad, c10::ArrayRef<Int> pad, c10::ArrayRef<Int> input_size, Border border) {
  const auto padded = check_pad<Int>(input_size, pad, border, grad.element_size());
  TORCH_CHECK(
      sizes_of<Int>(grad) == c10::ArrayRef<Int>(padded), "pad: its gradient must be of sizes ",
      c10::ArrayRef<Int>(padded), ", got ", sizes_of<Int>(grad));
  check_bytes_fit<Int>("pad", input_size, grad.element_size());
}

template void check_pad_adjoint(const at::Tensor&, c10::ArrayRef<int64_t>, c10::ArrayRef<int64_t>, Border);
template void check_pad_adjoint(const at::Tensor&, c10::ArrayRef<c10::SymInt>, c10::ArrayRef<c10::SymInt>, Border);

Border check_border(const char* op, std::string_view padding_mode) {
  const auto border = border_called(padding_mode);
  TORCH_CHECK(
      border, op, ": padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got '",
      padding_mode, "'");
  return *border;
}

template <class Int>
c10::SmallVector<Int, 5> check_crop_at(
    const at::Tensor& input,
    const at::Tensor& offsets,
    c10::ArrayRef<Int> size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const Border border = check_border("crop_at", padding_mode);
  const auto sizes = sizes_of<Int>(input);
  const bool positive = std::all_of(size.begin(), size.end(), [](const Int& entry) { return entry > 0; });
  TORCH_CHECK(!size.empty() && positive, "crop_at: size must hold positive ints, got ", size);
  TORCH_CHECK(
      sizes.size() > size.size(), "crop_at: input must have at least ", size.size() + 1, " dims, the batch and the ",
      size.size(), " of size, got ", sizes.size());
  check_places<Int>("crop_at", input.device(), sizes[0], offsets, size.size(), flip);
  check_repeats("crop_at", border, sizes, sizes.size() - size.size());
  c10::SmallVector<Int, 5> result{sizes[0]};
  if (offsets.dim() == 3) {
    result.push_back(sizes_of<Int>(offsets)[1]);
  }
  result.append(sizes.begin() + 1, sizes.end() - size.size());
  result.append(size.begin(), size.end());
  check_bytes_fit<Int>("crop_at", result, input.element_size());
  return result;
}

template c10::SmallVector<int64_t, 5> check_crop_at(
    const at::Tensor&, const at::Tensor&, c10::ArrayRef<int64_t>, const std::optional<at::Tensor>&, std::string_view);
template c10::SmallVector<c10::SymInt, 5> check_crop_at(
    const at::Tensor&,
    const at::Tensor&,
    c10::ArrayRef<c10::SymInt>,
    const std::optional<at::Tensor>&,
    std::string_view);

template <class Int>
c10::SmallVector<Int, 5> check_crop_at_adjoint(
    const at::Tensor& grad,
    const at::Tensor& offsets,
    c10::ArrayRef<Int> input_size,
    const std::optional<at::Tensor>& flip,
    std::string_view padding_mode) {
  const Border border = check_border("crop_at", padding_mode);
  const auto sizes = sizes_of<Int>(grad);
  TORCH_CHECK(offsets.dim() == 2 || offsets.dim() == 3, "crop_at: offsets must have 2 or 3 dims, got ", offsets.dim());
  const auto dims = static_cast<size_t>(offsets.sym_size(-1).guard_int(__FILE__, __LINE__));
  const size_t crops = offsets.dim() == 3 ? 1 : 0;
  TORCH_CHECK(
      dims > 0 && input_size.size() > dims && sizes.size() == input_size.size() + crops && sizes[0] == input_size[0] &&
          (crops == 0 || sizes[1] == sizes_of<Int>(offsets)[1]) &&
          std::equal(sizes.begin() + 1 + crops, sizes.end() - dims, input_size.begin() + 1),
      "crop_at: its gradient must be that of windows of ", dims, " dims on an input of sizes ", input_size, ", got ",
      sizes);
  check_places<Int>("crop_at", grad.device(), sizes[0], offsets, dims, flip);
  check_repeats("crop_at", border, input_size, input_size.size() - dims);
  check_bytes_fit<Int>("crop_at", input_size, grad.element_size());
  return c10::SmallVector<Int, 5>(sizes.end() - dims, sizes.end());
}

template c10::SmallVector<int64_t, 5> check_crop_at_adjoint(
    const at::Tensor&, const at::Tensor&, c10::ArrayRef<int64_t>, const std::optional<at::Tensor>&, std::string_view);
template c10::SmallVector<c10::SymInt, 5> check_crop_at_adjoint(
    const at::Tensor&,
    const at::Tensor&,
    c10::ArrayRef<c10::SymInt>,
    const std::optional<at::Tensor>&,
    std::string_view);

std::array<unsigned char, 16> check_crop_at_fill(
    const at::Scalar& fill, at::ScalarType dtype, std::string_view padding_mode) {
  return padding_mode == "constant" ? element_bytes("crop_at", "fill", fill, dtype) : std::array<unsigned char, 16>{};
}

template <class Int>
c10::SmallVector<Int, 5> check_crop_mirror_normalize(const at::Tensor& input, const NormalizeArguments<Int>& by) {
  const char* const op = "crop_mirror_normalize";
  const Border border = check_border(op, by.padding_mode);
  const auto dtype = input.scalar_type();
  TORCH_CHECK(
      dtype == at::kByte || is_pixel_float(dtype), op,
      ": input must be of dtype uint8, float16, bfloat16 or float32, got ", name(dtype));
  TORCH_CHECK(is_pixel_float(by.dtype), op, ": dtype must be float32, float16 or bfloat16, got ", name(by.dtype));
  TORCH_CHECK(by.layout == "CHW" || by.layout == "HWC", op, ": layout must be 'CHW' or 'HWC', got '", by.layout, "'");
  TORCH_CHECK(
      by.memory_format == at::MemoryFormat::Contiguous || by.memory_format == at::MemoryFormat::ChannelsLast, op,
      ": memory_format must be contiguous_format or channels_last, got ", by.memory_format);
  const auto sizes = sizes_of<Int>(input);
  const bool channels_last = by.layout == "HWC";
  TORCH_CHECK(
      sizes.size() == 4, op, ": input must be of shape ", channels_last ? "[N, H, W, C]" : "[N, C, H, W]", ", got ",
      sizes);
  TORCH_CHECK(
      by.size.size() == 2 && by.size[0] > 0 && by.size[1] > 0, op, ": size must hold two positive ints, got ", by.size);
  const Int channels = channels_last ? sizes[3] : sizes[1];
  const auto check_coefficients = [&](const char* argument, at::ArrayRef<double> numbers, bool one_will_do) {
    TORCH_CHECK(
        channels == static_cast<int64_t>(numbers.size()) || (one_will_do && numbers.size() == 1), op, ": ", argument,
        " must hold ", one_will_do ? "a number, or one for each channel: " : "a number for each channel: ", channels,
        ", got ", numbers.size());
    for (const double number : numbers) {
      TORCH_CHECK(std::isfinite(number), op, ": ", argument, " must hold finite numbers, got ", number);
    }
  };
  check_coefficients("mean", by.mean, false);
  check_coefficients("std", by.std, false);
  check_coefficients("fill", by.fill, true);
  for (const double number : by.std) {
    TORCH_CHECK(number != 0, op, ": std must not be 0");
  }
  const Int height = channels_last ? sizes[1] : sizes[2];
  const Int width = channels_last ? sizes[2] : sizes[3];
  const Int image[] = {sizes[0], channels, height, width};
  if (by.offsets) {
    check_places<Int>(op, input.device(), sizes[0], *by.offsets, 2, by.flip);
  } else if (by.flip) {
    const Int places[] = {sizes[0], Int(2)};
    check_flip<Int>(op, input.device(), places, *by.flip);
  }
  check_repeats<Int>(op, border, image, 2);
  c10::SmallVector<Int, 5> result{sizes[0]};
  if (by.offsets && by.offsets->dim() == 3) {
    result.push_back(sizes_of<Int>(*by.offsets)[1]);
  }
  result.append({channels, by.size[0], by.size[1]});
  check_bytes_fit<Int>(op, result, at::elementSize(by.dtype));
  return result;
}

template c10::SmallVector<int64_t, 5> check_crop_mirror_normalize(
    const at::Tensor&, const NormalizeArguments<int64_t>&);
template c10::SmallVector<c10::SymInt, 5> check_crop_mirror_normalize(
    const at::Tensor&, const NormalizeArguments<c10::SymInt>&);

void check_out(const char* op, const at::Tensor& input, const at::Tensor& out) {
  TORCH_CHECK(
      out.scalar_type() == input.scalar_type(), op, ": out must have input's dtype ", name(input.scalar_type()),
      ", got ", name(out.scalar_type()));
  TORCH_CHECK(
      out.device() == input.device(), op, ": out must be on input's device ", input.device(), ", got ", out.device());
}

void check_out_memory(const char* op, const at::Tensor& input, const at::Tensor& out, const char* argument) {
  const auto has_memory = [](const at::Tensor& tensor) {
    return tensor.has_storage() && !tensor.is_meta() && !tensor.unsafeGetTensorImpl()->is_python_dispatch();
  };
  if (!has_memory(input) || !has_memory(out)) {
    return;
  }
  TORCH_CHECK(
      out.numel() == 0 || !repeats(out), op, ": out must not have elements that share memory, got one of sizes ",
      out.sizes(), " and strides ", out.strides());
  void* const out_data = out.mutable_data_ptr();  // first: a lazy clone gets memory of its own here
  TORCH_CHECK(
      !share_memory(input, input.const_data_ptr(), out, out_data), op, ": out must not share memory with ", argument);
}

void check_crop_at_out(
    const at::Tensor& input, const at::Tensor& offsets, const std::optional<at::Tensor>& flip, const at::Tensor& out) {
  check_out("crop_at", input, out);
  check_out_memory("crop_at", input, out);
  check_out_memory("crop_at", offsets, out, "offsets");
  if (flip) {
    check_out_memory("crop_at", *flip, out, "flip");
  }
}

void check_crop_mirror_normalize_out_type(const at::Tensor& input, at::ScalarType dtype, const at::Tensor& out) {
  const char* const op = "crop_mirror_normalize";
  TORCH_CHECK(
      out.scalar_type() == dtype, op, ": out must be of dtype ", name(dtype), ", got ", name(out.scalar_type()));
  TORCH_CHECK(
      out.device() == input.device(), op, ": out must be on input's device ", input.device(), ", got ", out.device());
}

template <class Int>
void check_crop_mirror_normalize_out(
    const at::Tensor& input, const NormalizeArguments<Int>& by, const at::Tensor& out) {
  const char* const op = "crop_mirror_normalize";
  check_crop_mirror_normalize_out_type(input, by.dtype, out);
  check_out_memory(op, input, out);
  if (by.offsets) {
    check_out_memory(op, *by.offsets, out, "offsets");
  }
  if (by.flip) {
    check_out_memory(op, *by.flip, out, "flip");
  }
}

template void check_crop_mirror_normalize_out(const at::Tensor&, const NormalizeArguments<int64_t>&, const at::Tensor&);
template void check_crop_mirror_normalize_out(
    const at::Tensor&, const NormalizeArguments<c10::SymInt>&, const at::Tensor&);

}  // namespace torchcrop_fast
