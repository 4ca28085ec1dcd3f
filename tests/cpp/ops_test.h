// What the suite of the public C++ functions shares: loops that say what an output shows, comparisons bit for bit,
// errors.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace ops_test {

constexpr std::string_view kModes[] = {"constant", "replicate", "reflect", "symmetric", "circular"};

const at::ScalarType kDtypes[] = {
    at::kBool,
    at::kByte,
    at::kChar,
    at::kShort,
    at::kInt,
    at::kLong,
    at::kUInt16,
    at::kUInt32,
    at::kUInt64,
    at::kHalf,
    at::kBFloat16,
    at::kFloat,
    at::kDouble,
    at::kFloat8_e5m2,
    at::kFloat8_e4m3fn,
    at::kFloat8_e5m2fnuz,
    at::kFloat8_e4m3fnuz,
    at::kFloat8_e8m0fnu,
    at::kComplexHalf,
    at::kComplexFloat,
    at::kComplexDouble,
};

// A call that must be refused, and the text of the error.
struct Refusal {
  std::string name, text;
  std::function<void()> call;
};
inline std::string name_of(const Refusal& refusal) { return refusal.name; }
inline std::ostream& operator<<(std::ostream& stream, const Refusal& refusal) { return stream << refusal.text; }

// Draws the same numbers in each run; --gtest_random_seed draws others.
class OpsTest : public testing::Test {
 protected:
  OpsTest() { at::manual_seed(seed_); }

 private:
  const int seed_ = testing::GTEST_FLAG(random_seed);
  const testing::ScopedTrace trace_{__FILE__, __LINE__, "--gtest_random_seed=" + std::to_string(seed_)};
};

template <class Parameter>
class OpsTestOf : public OpsTest, public testing::WithParamInterface<Parameter> {};

// Of a parameter, for the name of a test.
inline std::string name_of(at::ScalarType dtype) { return c10::toString(dtype); }
inline std::string name_of(std::string_view mode) { return std::string(mode); }
inline std::string name_of(int64_t number) { return std::to_string(number); }
template <class... Parts>
std::string name_of(const std::tuple<Parts...>& parts) {
  std::string name;
  std::apply([&](const auto&... part) { (name.append(name_of(part)).append("_"), ...); }, parts);
  name.pop_back();
  return name;
}
struct Named {
  template <class Parameter>
  std::string operator()(const testing::TestParamInfo<Parameter>& info) const {
    return name_of(info.param);
  }
};

// The bytes of each element, (numel, bytes).
inline at::Tensor bytes_of(const at::Tensor& tensor) {
  return tensor.contiguous().view({tensor.numel(), 1}).view(at::kByte);
}

// Whether a result has the dtype, the sizes and the bits that are expected.
inline testing::AssertionResult same_bits(const at::Tensor& result, const at::Tensor& expected) {
  if (result.scalar_type() != expected.scalar_type() || result.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << result.dtype() << " of sizes " << result.sizes() << " instead of "
                                       << expected.dtype() << " of sizes " << expected.sizes();
  }
  const auto differ = (bytes_of(result) != bytes_of(expected)).any(1).nonzero();
  if (differ.numel() == 0) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << differ.size(0) << " of " << result.numel() << " elements differ, first number "
                                     << differ[0].item<int64_t>();
}

// Whether it has the strides, too.
inline testing::AssertionResult same(const at::Tensor& result, const at::Tensor& expected) {
  const auto bits = same_bits(result, expected);
  if (!bits || result.strides() == expected.strides()) {
    return bits;
  }
  return testing::AssertionFailure() << "strides " << result.strides() << " instead of " << expected.strides();
}

// Whether it is of this dtype, and its numbers near those that are expected, in float64.
inline testing::AssertionResult close_to(const at::Tensor& result, const at::Tensor& expected, at::ScalarType dtype) {
  if (result.scalar_type() != dtype || result.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << result.dtype() << " of sizes " << result.sizes() << " instead of " << dtype
                                       << " of sizes " << expected.sizes();
  }
  const double tolerance = dtype == at::kFloat ? 1e-5 : 1e-2;
  const auto wrong = at::isclose(result.to(at::kDouble), expected, tolerance, tolerance).logical_not();
  if (!wrong.any().item<bool>()) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << wrong.sum().item<int64_t>() << " of " << result.numel() << " are wrong, first "
                                     << result.masked_select(wrong)[0].item<double>() << " instead of "
                                     << expected.masked_select(wrong)[0].item<double>();
}

// The text of the c10::Error that a call throws.
inline std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

// The same for a call that is refused under inference mode, too.
inline std::string refusal(const std::function<void()>& call) {
  const auto text = error_of(call);
  const c10::InferenceMode guard;
  const auto inference = error_of(call);
  return text == inference ? text : text + "\nbut under inference mode\n" + inference;
}

// Elements of random bits.
inline at::Tensor random_bits(at::IntArrayRef sizes, at::ScalarType dtype) {
  auto bytes = at::randint(256, {c10::multiply_integers(sizes) * int64_t(c10::elementSize(dtype))}, at::kByte);
  return (dtype == at::kBool ? bytes.bitwise_and(1) : bytes).view(dtype).view(sizes);
}

// An output with elements around its own, all of them 1.
struct FramedOut {
  at::Tensor frame, out;
  const std::vector<int64_t> strides;
  void* const data;

  FramedOut(at::IntArrayRef sizes, at::ScalarType dtype)
      : frame(at::ones(framed(sizes), dtype)),
        out(frame.narrow(-1, 1, sizes.back())),
        strides(out.strides().vec()),
        data(out.data_ptr()) {}

  // Whether it was written where it lies, nothing beside it, and is what a call returned.
  testing::AssertionResult holds(const at::Tensor& expected, const at::Tensor& returned) const {
    if (&returned != &out || out.strides() != strides || out.data_ptr() != data) {
      return testing::AssertionFailure() << "out is not what was returned, or lies elsewhere";
    }
    const int64_t last = frame.size(-1) - 1;
    const auto around = at::cat({bytes_of(frame.narrow(-1, 0, 1)), bytes_of(frame.narrow(-1, last, 1))});
    if (!at::equal(around, bytes_of(at::ones({1}, frame.options())).expand_as(around))) {
      return testing::AssertionFailure() << "elements around out were written";
    }
    return same_bits(out, expected);
  }

 private:
  static std::vector<int64_t> framed(at::IntArrayRef sizes) {
    auto larger = sizes.vec();
    larger.back() += 2;
    return larger;
  }
};

// Where the border finds what it shows at place i of n elements; -1 for what is none of them.
inline int64_t source(std::string_view mode, int64_t i, int64_t n) {
  while (i < 0 || i >= n) {
    if (mode == "constant") {
      return -1;
    }
    if (mode == "circular") {
      i += i < 0 ? n : -n;
    } else if (mode == "replicate") {
      i = i < 0 ? 0 : n - 1;
    } else {
      const int64_t edge = mode == "symmetric" ? 1 : 0;  // how often it is shown again
      i = i < 0 ? -i - edge : 2 * (n - 1) - i + edge;
    }
  }
  return i;
}

// A map has an output's sizes. It says of each element the number, in the order of a contiguous input, of the element
// that it shows, and -1 in a constant border.

// The map of one more dimension of n elements, which shows those of these indexes, to those of a map.
inline at::Tensor extended(const at::Tensor& map, const std::vector<int64_t>& indexes, int64_t n) {
  const auto index = at::tensor(indexes, at::kLong);
  const auto outer = map.unsqueeze(-1);
  return at::where((outer < 0).logical_or(index < 0), -1, outer * n + index);
}

// The map of a pad.
inline at::Tensor pad_map(at::IntArrayRef sizes, at::IntArrayRef pad, std::string_view mode) {
  auto map = at::zeros({}, at::kLong);
  for (size_t d = 0; d < sizes.size(); ++d) {
    const size_t entry = 2 * (sizes.size() - 1 - d);
    const int64_t n = sizes[d];
    const int64_t before = entry < pad.size() ? pad[entry] : 0;
    const int64_t after = entry < pad.size() ? pad[entry + 1] : 0;
    // What is circular wraps what the crop leaves.
    const int64_t begin = mode == "circular" && before < 0 ? -before : 0;
    const int64_t end = mode == "circular" && after < 0 ? n + after : n;
    std::vector<int64_t> indexes;
    for (int64_t i = -before; i < n + after; ++i) {
      const int64_t from = source(mode, i - begin, end - begin);
      indexes.push_back(from < 0 ? -1 : from + begin);
    }
    map = extended(map, indexes, n);
  }
  return map;
}

// The map of crops: offsets and flip are (N, K, D), the result (N, K, ..., size).
inline at::Tensor crop_map(
    at::IntArrayRef sizes,
    const at::Tensor& offsets,
    at::IntArrayRef size,
    const at::Tensor& flip,
    std::string_view mode) {
  const auto starts = offsets.accessor<int64_t, 3>();
  const auto flips = flip.accessor<bool, 3>();
  const auto between = sizes.slice(1, sizes.size() - 1 - size.size());
  const auto spatial = sizes.slice(sizes.size() - size.size());
  const int64_t planes = c10::multiply_integers(between);
  std::vector<at::Tensor> images;
  for (int64_t n = 0; n < offsets.size(0); ++n) {
    std::vector<at::Tensor> crops;
    for (int64_t k = 0; k < offsets.size(1); ++k) {
      auto map = (n * planes + at::arange(planes)).view(between);
      for (size_t d = 0; d < size.size(); ++d) {
        std::vector<int64_t> indexes;
        for (int64_t i = 0; i < size[d]; ++i) {
          indexes.push_back(source(mode, starts[n][k][d] + (flips[n][k][d] ? size[d] - 1 - i : i), spatial[d]));
        }
        map = extended(map, indexes, spatial[d]);
      }
      crops.push_back(map);
    }
    images.push_back(at::stack(crops));
  }
  return at::stack(images);
}

// What an output of this map shows of an input, and fill, which has one element, in the border.
inline at::Tensor shown(const at::Tensor& input, const at::Tensor& map, const at::Tensor& fill) {
  const auto rows = at::cat({bytes_of(input), bytes_of(fill)});
  const auto numbers = at::where(map < 0, input.numel(), map).flatten();
  return rows.index_select(0, numbers).view(input.scalar_type()).view(map.sizes());
}

// The gradient of an input of these sizes, in float64: what is shown often is added up.
inline at::Tensor added_up(const at::Tensor& grad, const at::Tensor& map, at::IntArrayRef sizes) {
  const int64_t numel = c10::multiply_integers(sizes);
  const auto numbers = at::where(map < 0, numel, map).flatten();
  const auto sums = at::zeros({numel + 1}, at::kDouble).index_add(0, numbers, grad.to(at::kDouble).flatten());
  return sums.narrow(0, 0, numel).view(sizes);
}

}  // namespace ops_test
