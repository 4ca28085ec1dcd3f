// Checks of the ops' arguments, the same for every device.
#include "check.h"

#include <ATen/Dispatch_v2.h>
#include <ATen/core/Formatting.h>
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

// Whether the size in bytes fits int64; symbolic sizes are taken to.
template <class Int>
bool bytes_fit(c10::ArrayRef<Int> sizes, int64_t bytes) {
  const bool empty = std::any_of(sizes.begin(), sizes.end(), [](const Int& size) { return concrete(size) == 0; });
  return empty || std::all_of(sizes.begin(), sizes.end(), [&](const Int& size) {
           return !c10::mul_overflows(bytes, concrete(size).value_or(1), &bytes);
         });
}

// How many elements a pad entry crops, as text: the smallest int64 has no negative.
template <class Int>
std::string cropped(const Int& entry) {
  const std::string text = c10::str(entry);
  return text.front() == '-' ? text.substr(1) : (entry < 0 ? c10::str(-entry) : "0");
}

// Whether a dtype has a zero, whose bytes are 0.
bool has_zero(at::ScalarType dtype) { return dtype != at::kFloat8_e8m0fnu; }

// The bytes of an element, over and over. argument is what the op calls the value.
std::array<unsigned char, 16> element_bytes(
    const char* op, const char* argument, const at::Scalar& value, at::ScalarType dtype) {
  std::array<unsigned char, 16> bytes{};
  if (at::isQIntType(dtype) || (value.isBoolean() && !value.toBool())) {  // kZeroBytes
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

// offsets and flip place windows of `dims` dimensions on `images` images.
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

// A border can repeat a dimension of this size: its indexes, periods and their sums stay in int64.
template <class Int>
void check_repeatable(const char* op, size_t d, const Int& size) {
  TORCH_CHECK(
      concrete(size).value_or(0) <= kMaxRepeated, op, ": dim ", d, " must have at most ", kMaxRepeated,
      " elements for a border that repeats them, got ", size);
}

// Whether there is something in each dimension, counted from `first` on, that the border can repeat.
template <class Int>
void check_repeats(
    const char* op, std::string_view padding_mode, Border border, c10::ArrayRef<Int> sizes, size_t first) {
  for (size_t d = 0; d < sizes.size() && border != Border::kConstant; ++d) {
    TORCH_CHECK(sizes[d] > 0, op, ": dim ", first + d, " must not be empty with padding_mode '", padding_mode, "'");
    check_repeatable(op, first + d, sizes[d]);
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

// Whether pad's border can repeat that much of a dimension, of which the crop leaves `left` elements.
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

Border check_border(const char* op, std::string_view padding_mode) {
  const auto border = border_called(padding_mode);
  TORCH_CHECK(
      border, op, ": padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got '",
      padding_mode, "'");
  return *border;
}

// The border that pad calls by this name.
Border check_mode(std::string_view mode) {
  const auto border = border_called(mode);
  TORCH_CHECK_NOT_IMPLEMENTED(
      border && *border != Border::kSymmetric,
      "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '", mode, "'");
  return *border;
}

// Gives the sizes of a tensor of these sizes, padded.
template <class Int>
void check_padded_sizes(
    c10::ArrayRef<Int> sizes,
    c10::ArrayRef<Int> pad,
    Border border,
    size_t element_size,
    c10::SmallVectorImpl<Int>& padded) {
  TORCH_CHECK(pad.size() % 2 == 0, "pad: pad must have an even number of entries, got ", pad.size());
  TORCH_CHECK(
      pad.size() <= 2 * sizes.size(), "pad: pad must have at most ", 2 * sizes.size(), " entries for an input of ",
      sizes.size(), " dims, got ", pad.size());
  padded.append(sizes.begin(), sizes.end());
  for (size_t i = 0; i < pad.size(); i += 2) {
    const size_t d = sizes.size() - 1 - i / 2;
    const Int& before = pad[i];
    const Int& after = pad[i + 1];
    Int& size = padded[d];
    // What reflect and replicate repeat, they repeat of the whole input, as torch's pad does: the crop comes last.
    const bool crops_last = border == Border::kReflect || border == Border::kReplicate;
    const auto check_keeps = [&](bool keeps) {
      TORCH_CHECK(
          keeps, "pad: cannot crop ", cropped(before), " + ", cropped(after), " elements from dim ", d, " of size ",
          sizes[d]);
    };
    check_keeps(
        add(size, before < 0 ? before : Int(0), &size) && add(size, after < 0 ? after : Int(0), &size) &&
        (crops_last || size >= 0));
    if (border != Border::kConstant) {
      check_repeatable("pad", d, sizes[d]);
      check_repeats_once<Int>(border, d, sizes[d], size, before, after);
    }
    const bool fits = add(size, before > 0 ? before : Int(0), &size) && add(size, after > 0 ? after : Int(0), &size);
    TORCH_CHECK(
        fits, "pad: dim ", d, " of size ", sizes[d], " cannot be padded by (", before, ", ", after,
        "): the result's size would overflow int64");
    check_keeps(!crops_last || size >= 0);
  }
  check_bytes_fit<Int>("pad", padded, element_size);
}

// The sizes of windows of each image: (N, ..., size) or (N, K, ..., size).
template <class Int>
c10::SmallVector<Int, 5> window_sizes(c10::ArrayRef<Int> image, const at::Tensor* offsets, c10::ArrayRef<Int> size) {
  c10::SmallVector<Int, 5> result{image[0]};
  if (offsets && offsets->dim() == 3) {
    result.push_back(sizes_of<Int>(*offsets)[1]);
  }
  result.append(image.begin() + 1, image.end() - size.size());
  result.append(size.begin(), size.end());
  return result;
}

// Numbers for each channel, or where one will do, one for all.
template <class Int>
void check_a_channel(const char* argument, at::ArrayRef<double> numbers, const Int& channels, bool one_will_do) {
  const char* const op = CropMirrorNormalize<Int>::kName;
  TORCH_CHECK(
      channels == static_cast<int64_t>(numbers.size()) || (one_will_do && numbers.size() == 1), op, ": ", argument,
      " must have ", one_will_do ? "1 value, or " : "", channels, " values, one per channel, got ", numbers.size());
  for (const double number : numbers) {
    TORCH_CHECK(std::isfinite(number), op, ": ", argument, " must contain finite numbers, got ", number);
  }
}

}  // namespace

template <class Int>
Checked<Int> check(const at::Tensor& input, const Pad<Int>& op) {
  Checked<Int> checked;
  checked.border = check_mode(op.mode);
  check_padded_sizes<Int>(sizes_of<Int>(input), op.pad, checked.border, input.element_size(), checked.sizes);
  if (checked.border != Border::kConstant) {
    TORCH_CHECK(
        !op.value || (!op.value->isComplex() && op.value->template to<double>() == 0),
        "pad: value must be None or 0 unless mode is 'constant', got ", *op.value);
  } else if ((op.value || !has_zero(input.scalar_type())) && any_positive(op.pad)) {
    checked.fill = element_bytes("pad", "value", op.value.value_or(0), input.scalar_type());
  }
  return checked;
}

template <class Int>
Checked<Int> check(const at::Tensor& grad, const PadAdjoint<Int>& op) {
  Checked<Int> checked;
  checked.border = check_mode(op.mode);
  const auto grad_sizes = sizes_of<Int>(grad);
  TORCH_CHECK(
      op.size.size() == op.pad.size() / 2 && op.size.size() <= grad_sizes.size(), "pad: size must have ",
      op.pad.size() / 2, " entries, at most as many as grad has dims, ", grad_sizes.size(), ", got ", op.size.size());
  checked.sizes.append(grad_sizes.begin(), grad_sizes.end() - op.size.size());
  checked.sizes.append(op.size.begin(), op.size.end());
  c10::SmallVector<Int, 5> padded;
  check_padded_sizes<Int>(checked.sizes, op.pad, checked.border, grad.element_size(), padded);
  TORCH_CHECK(
      grad_sizes == c10::ArrayRef<Int>(padded), "pad: grad must be of sizes ", c10::ArrayRef<Int>(padded), ", got ",
      grad_sizes);
  check_bytes_fit<Int>("pad", checked.sizes, grad.element_size());
  return checked;
}

template <class Int>
Checked<Int> check(const at::Tensor& input, const CropAt<Int>& op) {
  Checked<Int> checked;
  checked.border = check_border(op.kName, op.padding_mode);
  const auto sizes = sizes_of<Int>(input);
  const size_t dims = op.size.size();
  const bool positive = std::all_of(op.size.begin(), op.size.end(), [](const Int& entry) { return entry > 0; });
  TORCH_CHECK(dims > 0 && positive, op.kName, ": size must contain positive ints, got ", op.size);
  TORCH_CHECK(
      sizes.size() > dims, op.kName, ": input must have at least ", dims + 1, " dims, the batch and the ", dims,
      " of size, got ", sizes.size());
  check_places<Int>(op.kName, input.device(), sizes[0], op.offsets, dims, op.flip);
  check_repeats(op.kName, op.padding_mode, checked.border, last_sizes<Int>(input, dims), sizes.size() - dims);
  checked.sizes = window_sizes(sizes, &op.offsets, op.size);
  check_bytes_fit<Int>(op.kName, checked.sizes, input.element_size());
  if (checked.border == Border::kConstant) {
    checked.fill = element_bytes(op.kName, "fill", op.fill, input.scalar_type());
  }
  return checked;
}

template <class Int>
Checked<Int> check(const at::Tensor& grad, const CropAtAdjoint<Int>& op) {
  Checked<Int> checked;
  checked.border = check_border(op.kName, op.padding_mode);
  const auto sizes = sizes_of<Int>(grad);
  const size_t dims = op.size.size();
  const size_t before = op.offsets.dim() == 3 ? 2 : 1;  // the batch, and the crops of an image
  TORCH_CHECK(dims > 0, op.kName, ": size must not be empty");
  TORCH_CHECK(
      sizes.size() >= before + dims, op.kName, ": grad must have at least ", before + dims,
      " dims, those of size among them, got ", sizes.size());
  check_places<Int>(op.kName, grad.device(), sizes[0], op.offsets, dims, op.flip);
  TORCH_CHECK(
      before == 1 || sizes[1] == sizes_of<Int>(op.offsets)[1], op.kName, ": grad must have ",
      sizes_of<Int>(op.offsets)[before - 1], " crops of each image, as offsets have, got sizes ", sizes);
  checked.sizes = {sizes[0]};
  checked.sizes.append(sizes.begin() + before, sizes.end() - dims);
  check_repeats(op.kName, op.padding_mode, checked.border, op.size, checked.sizes.size());
  checked.sizes.append(op.size.begin(), op.size.end());
  check_bytes_fit<Int>(op.kName, checked.sizes, grad.element_size());
  return checked;
}

template <class Int>
Checked<Int> check(const at::Tensor& input, const CropMirrorNormalize<Int>& op) {
  Checked<Int> checked;
  checked.border = check_border(op.kName, op.padding_mode);
  const auto dtype = input.scalar_type();
  const auto format = op.out_format();
  TORCH_CHECK(
      dtype == at::kByte || is_pixel_float(dtype), op.kName,
      ": input must be of dtype uint8, float16, bfloat16 or float32, got ", name(dtype));
  TORCH_CHECK(
      is_pixel_float(op.out_dtype()), op.kName, ": dtype must be float32, float16 or bfloat16, got ",
      name(op.out_dtype()));
  TORCH_CHECK(
      op.layout == "CHW" || op.layout == "HWC", op.kName, ": layout must be 'CHW' or 'HWC', got '", op.layout, "'");
  TORCH_CHECK(
      format == at::MemoryFormat::Contiguous || format == at::MemoryFormat::ChannelsLast, op.kName,
      ": memory_format must be contiguous_format or channels_last, got ", format);
  const auto sizes = sizes_of<Int>(input);
  TORCH_CHECK(
      sizes.size() == 4, op.kName, ": input must be of shape ", op.channels_last() ? "[N, H, W, C]" : "[N, C, H, W]",
      ", got ", sizes);
  TORCH_CHECK(
      op.size.size() == 2 && op.size[0] > 0 && op.size[1] > 0, op.kName, ": size must contain two positive ints, got ",
      op.size);
  const Int& channels = sizes[op.channels_last() ? 3 : 1];
  const size_t height = op.channels_last() ? 1 : 2;  // its dimension
  check_a_channel("mean", op.mean, channels, false);
  check_a_channel("std", op.std, channels, false);
  check_a_channel("fill", op.fill, channels, true);
  TORCH_CHECK(std::find(op.std.begin(), op.std.end(), 0) == op.std.end(), op.kName, ": std must not be 0");
  for (size_t c = 0; c < op.std.size(); ++c) {
    const auto [scale, bias] = affine_of(dtype, op.mean[c], op.std[c]);
    TORCH_CHECK(
        std::isnormal(scale) && std::isfinite(bias), op.kName,
        ": std must be such that 1 / std and mean / std are numbers that float32 holds in full, got ", op.std[c],
        " with a mean of ", op.mean[c]);
  }
  if (op.offsets) {
    check_places<Int>(op.kName, input.device(), sizes[0], *op.offsets, 2, op.flip);
  } else if (op.flip) {
    const Int places[] = {sizes[0], Int(2)};
    check_flip<Int>(op.kName, input.device(), places, *op.flip);
  }
  check_repeats(op.kName, op.padding_mode, checked.border, sizes.slice(height, 2), height);
  const Int image[] = {sizes[0], channels, sizes[height], sizes[height + 1]};
  checked.sizes = window_sizes<Int>(image, op.offsets ? &*op.offsets : nullptr, op.size);
  check_bytes_fit<Int>(op.kName, checked.sizes, at::elementSize(op.out_dtype()));
  return checked;
}

#define INSTANTIATE(Op)                                                   \
  template Checked<int64_t> check(const at::Tensor&, const Op<int64_t>&); \
  template Checked<c10::SymInt> check(const at::Tensor&, const Op<c10::SymInt>&);
TORCHCROP_FAST_FOR_EACH_OP(INSTANTIATE)

double unit_of(at::ScalarType dtype) { return dtype == at::kByte ? 255 : 1; }

Affine affine_of(at::ScalarType dtype, double mean, double std) {
  return {static_cast<float>(1 / (unit_of(dtype) * std)), static_cast<float>(-mean / std)};
}

bool torch_repeats(at::ScalarType dtype) {
  return dtype == at::kComplexFloat || dtype == at::kComplexDouble || dtype == at::kDouble || is_pixel_float(dtype);
}

size_t bytes_reached(const at::Tensor& tensor) {
  const at::IntArrayRef sizes = tensor.sizes(), strides = tensor.strides();
  int64_t last = tensor.storage_offset();
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) {
      return 0;
    }
    last += (sizes[d] - 1) * strides[d];
  }
  return static_cast<size_t>(last + 1) * tensor.element_size();
}

void check_out_type(const char* op, at::ScalarType dtype, at::Device device, const at::Tensor& out) {
  TORCH_CHECK(
      out.scalar_type() == dtype, op, ": out must be of dtype ", name(dtype), ", got ", name(out.scalar_type()));
  TORCH_CHECK(out.device() == device, op, ": out must be on device ", device, ", got ", out.device());
}

void check_adds_up(const char* op, at::ScalarType dtype) {
  const auto real = c10::toRealValueType(dtype);
  TORCH_CHECK(
      real == at::kDouble || is_pixel_float(real), op,
      ": grad must be float16, bfloat16, float32, float64 or complex, got ", name(dtype));
}

}  // namespace torchcrop_fast
