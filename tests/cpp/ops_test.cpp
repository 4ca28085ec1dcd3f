// A program without Python that calls the public functions for crops at places of their own, and compares with loops.
#include <ATen/ATen.h>
#include <torchcrop_fast/ops.h>

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tcf = torchcrop_fast;

namespace {

constexpr int64_t kHeight = 5, kWidth = 7;  // of images
constexpr int64_t kSize[] = {4, 9};         // of windows: one side smaller, one larger
const std::vector<double> kMean = {0.5, 0.25, 0.75}, kStd = {0.5, 2, 0.125};

// Where the border finds what it shows at place i of n elements; -1 for what is none of them.
int64_t source(std::string_view mode, int64_t i, int64_t n) {
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

// Calls visit(n, k, y, x, from_y, from_x) for each element of N x K windows; from_y or from_x is -1 in the border.
// offsets: (N, K, 2); flip: (N, K, 2).
template <class Visit>
void for_each(const at::Tensor& offsets, const at::Tensor& flip, std::string_view mode, const Visit& visit) {
  const auto starts = offsets.accessor<int64_t, 3>();
  const auto flips = flip.accessor<bool, 3>();
  for (int64_t n = 0; n < offsets.size(0); ++n) {
    for (int64_t k = 0; k < offsets.size(1); ++k) {
      for (int64_t y = 0; y < kSize[0]; ++y) {
        for (int64_t x = 0; x < kSize[1]; ++x) {
          const int64_t seen_y = starts[n][k][0] + (flips[n][k][0] ? kSize[0] - 1 - y : y);
          const int64_t seen_x = starts[n][k][1] + (flips[n][k][1] ? kSize[1] - 1 - x : x);
          visit(n, k, y, x, source(mode, seen_y, kHeight), source(mode, seen_x, kWidth));
        }
      }
    }
  }
}

// Both are float64: input (N, C, H, W), result (N, K, C, h, w). fill has an element for each channel.
at::Tensor naive_crops(
    const at::Tensor& input,
    const at::Tensor& offsets,
    const at::Tensor& flip,
    std::string_view mode,
    const std::vector<double>& fill) {
  const int64_t channels = input.size(1);
  const auto result = at::empty({input.size(0), offsets.size(1), channels, kSize[0], kSize[1]}, at::kDouble);
  const auto from = input.accessor<double, 4>();
  auto to = result.accessor<double, 5>();
  for_each(offsets, flip, mode, [&](auto n, auto k, auto y, auto x, auto from_y, auto from_x) {
    for (int64_t c = 0; c < channels; ++c) {
      to[n][k][c][y][x] = from_y < 0 || from_x < 0 ? fill[c] : from[n][c][from_y][from_x];
    }
  });
  return result;
}

at::Tensor naive_gradient(
    const at::Tensor& grad, const at::Tensor& offsets, const at::Tensor& flip, std::string_view mode) {
  const int64_t channels = grad.size(2);
  const auto result = at::zeros({grad.size(0), channels, kHeight, kWidth}, at::kDouble);
  const auto from = grad.accessor<double, 5>();
  auto to = result.accessor<double, 4>();
  for_each(offsets, flip, mode, [&](auto n, auto k, auto y, auto x, auto to_y, auto to_x) {
    for (int64_t c = 0; c < channels && to_y >= 0 && to_x >= 0; ++c) {
      to[n][c][to_y][to_x] += from[n][k][c][y][x];
    }
  });
  return result;
}

at::Tensor naive_normalized(const at::Tensor& pixels, bool bytes) {  // along dimension -3
  const auto mean = at::tensor(kMean, at::kDouble).view({3, 1, 1});
  const auto std = at::tensor(kStd, at::kDouble).view({3, 1, 1});
  return (pixels / (bytes ? 255 : 1) - mean) / std;
}

// A case's offsets and flip as a user gives them, and in full.
struct Places {
  at::Tensor offsets;              // (N, 2), or (N, K, 2)
  std::optional<at::Tensor> flip;  // none, offsets' shape without its last dimension, or offsets' shape
  at::Tensor full_offsets;         // (N, K, 2), K is 1 for one crop an image
  at::Tensor full_flip;            // the same shape
};

std::vector<Places> all_places(int64_t n) {
  std::vector<Places> all;
  for (const int64_t crops : {0, 1, 3}) {  // 0: offsets without K
    for (const int64_t flipped : {0, 1, 2}) {
      const int64_t k = crops == 0 ? 1 : crops;
      const auto offsets = at::randint(-12, 13, {n, k, 2}, at::kLong);
      auto flip = at::randint(2, {n, k, 2}, at::kBool);
      if (flipped < 2) {
        flip.select(2, 0).fill_(false);
      }
      if (flipped < 1) {
        flip.fill_(false);
      }
      const auto given = flipped == 1 ? flip.select(2, 1) : flip;
      all.push_back(
          {crops == 0 ? offsets.select(1, 0) : offsets,
           flipped == 0 ? std::nullopt : std::optional(crops == 0 ? given.select(1, 0) : given), offsets, flip});
    }
  }
  return all;
}

at::Tensor like(const Places& places, const at::Tensor& full) {
  return places.offsets.dim() == 2 ? full.squeeze(1) : full;
}

constexpr std::string_view kModes[] = {"constant", "replicate", "reflect", "symmetric", "circular"};

int checks = 0;

void expect_equal(const at::Tensor& result, const at::Tensor& expected) {
  TORCH_CHECK(result.sizes() == expected.sizes(), result.sizes(), " is not ", expected.sizes());
  TORCH_CHECK(at::equal(result, expected.to(result.dtype())), result, "\nis not\n", expected);
  ++checks;
}

void expect_close(const at::Tensor& result, const at::Tensor& expected, at::ScalarType dtype) {
  TORCH_CHECK(result.scalar_type() == dtype, result.dtype());
  TORCH_CHECK(result.sizes() == expected.sizes(), result.sizes(), " is not ", expected.sizes());
  const double tolerance = dtype == at::kFloat ? 1e-5 : 1e-2;
  TORCH_CHECK(at::allclose(result.to(at::kDouble), expected, tolerance, tolerance), result, "\nis not\n", expected);
  ++checks;
}

void expect_error(const std::string& text, const std::function<void()>& call) {
  try {
    call();
  } catch (const c10::Error& error) {
    TORCH_CHECK(error.what_without_backtrace() == text, "got: ", error.what_without_backtrace());
    ++checks;
    return;
  }
  TORCH_CHECK(false, "no error: ", text);
}

// An output with room around its elements, all of them wrong.
at::Tensor strided_out(at::IntArrayRef sizes, at::ScalarType dtype) {
  std::vector<int64_t> larger(sizes.begin(), sizes.end());
  larger.back() += 2;
  return at::full(larger, 77, dtype).narrow(-1, 1, sizes.back());
}

void test_crop_at() {
  const auto input = at::randint(100, {2, 3, kHeight, kWidth}, at::kDouble);
  for (const Places& places : all_places(2)) {
    for (const auto mode : kModes) {
      const auto full = naive_crops(input, places.full_offsets, places.full_flip, mode, {-4, -4, -4});
      const auto expected = like(places, full);
      const auto crop = [&](const at::Tensor& images) {
        return tcf::crop_at(images, places.offsets, kSize, places.flip, mode, -4);
      };
      for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kLong, at::kChar}) {
        expect_equal(crop(input.to(dtype)), expected);
      }
      expect_equal(crop(input.transpose(2, 3).contiguous().transpose(2, 3)), expected);

      const auto out = strided_out(expected.sizes(), at::kDouble);
      auto written = out;
      TORCH_CHECK(&tcf::crop_at_out(written, input, places.offsets, kSize, places.flip, mode, -4) == &written);
      TORCH_CHECK(written.strides() == out.strides() && written.data_ptr() == out.data_ptr());
      expect_equal(out, expected);

      const auto leaf = input.clone().requires_grad_();
      const auto result = crop(leaf);
      const auto grad = at::randint(-9, 10, full.sizes(), at::kDouble);
      result.backward(like(places, grad));
      expect_equal(result.detach(), expected);
      expect_equal(leaf.grad(), naive_gradient(grad, places.full_offsets, places.full_flip, mode));
    }
  }
}

void test_defaults_and_memory_format() {
  const auto input = at::arange(2 * 3 * kHeight * kWidth).view({2, 3, kHeight, kWidth});
  const auto offsets = at::tensor({-1, 2, 3, 0}, at::kLong).view({2, 2});
  const auto result = tcf::crop_at(input.contiguous(at::MemoryFormat::ChannelsLast), offsets, kSize);
  TORCH_CHECK(result.is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto full = offsets.unsqueeze(1);
  const auto no_flip = at::zeros(full.sizes(), at::kBool);
  expect_equal(result, naive_crops(input.to(at::kDouble), full, no_flip, "constant", {0, 0, 0}).squeeze(1));
  auto out = at::empty({0}, at::kLong);
  tcf::crop_at_out(out, input, offsets, kSize);
  expect_equal(out, result);
}

void test_crop_mirror_normalize() {
  const auto bytes = at::randint(256, {2, 3, kHeight, kWidth}, at::kByte);
  for (const bool byte : {true, false}) {
    const auto images = byte ? bytes : bytes / 255;
    const auto channels_last = images.permute({0, 2, 3, 1}).contiguous();
    const std::vector<double> fills = byte ? std::vector<double>{9, 200, 31} : std::vector<double>{0.5, -2, 4};
    for (const Places& places : all_places(2)) {
      for (const auto mode : kModes) {
        const auto crops = naive_crops(images.to(at::kDouble), places.full_offsets, places.full_flip, mode, fills);
        const auto expected = like(places, naive_normalized(crops, byte));
        for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
          expect_close(
              tcf::crop_mirror_normalize(
                  images, places.offsets, kSize, kMean, kStd, places.flip, dtype, "CHW", at::MemoryFormat::Contiguous,
                  mode, fills),
              expected, dtype);
          const auto out = strided_out(expected.sizes(), dtype);
          auto written = out;
          const auto& returned = tcf::crop_mirror_normalize_out(
              written, channels_last, places.offsets, kSize, kMean, kStd, places.flip, dtype, "HWC",
              at::MemoryFormat::Contiguous, mode, fills);
          TORCH_CHECK(&returned == &written);
          TORCH_CHECK(written.strides() == out.strides() && written.data_ptr() == out.data_ptr());
          expect_close(out, expected, dtype);
        }
      }
    }
  }
}

void test_normalize_at_the_center() {
  // The center of 5 x 7 for 4 x 9 is at (0, -1): half of 1 is rounded to the even 0.
  const auto images = at::randint(256, {2, 3, kHeight, kWidth}, at::kByte);
  const auto offsets = at::tensor({0, -1, 0, -1}, at::kLong).view({2, 1, 2});
  const auto no_flip = at::zeros(offsets.sizes(), at::kBool);
  const auto crops = naive_crops(images.to(at::kDouble), offsets, no_flip, "constant", {0, 0, 0}).squeeze(1);
  const auto expected = naive_normalized(crops, true);
  const auto result = tcf::crop_mirror_normalize(images, std::nullopt, kSize, kMean, kStd);
  TORCH_CHECK(result.is_contiguous());
  expect_close(result, expected, at::kFloat);
  const auto channels_last = tcf::crop_mirror_normalize(
      images, std::nullopt, kSize, kMean, kStd, std::nullopt, at::kFloat, "CHW", at::MemoryFormat::ChannelsLast);
  TORCH_CHECK(channels_last.is_contiguous(at::MemoryFormat::ChannelsLast));
  expect_equal(channels_last, result);
  auto out = at::empty({0}, at::kFloat);
  tcf::crop_mirror_normalize_out(out, images, std::nullopt, kSize, kMean, kStd);
  expect_equal(out, result);

  const auto leaf = (images / 255).requires_grad_();
  tcf::crop_mirror_normalize(leaf, std::nullopt, kSize, kMean, kStd).sum().backward();
  const auto factors = (1 / at::tensor(kStd, at::kDouble)).view({1, 3, 1, 1}).expand({2, 3, 4, kWidth});
  expect_close(leaf.grad(), at::constant_pad_nd(factors, {0, 0, 0, 1}), at::kFloat);
}

void test_nothing() {
  const auto no_images = at::empty({0, 3, kHeight, kWidth}).requires_grad_();
  const auto no_places = at::empty({0, 2}, at::kLong);
  const auto result = tcf::crop_at(no_images, no_places, kSize);
  expect_equal(result, at::empty({0, 3, 4, 9}));
  result.sum().backward();
  expect_equal(no_images.grad(), no_images.detach());
  expect_equal(tcf::crop_mirror_normalize(no_images, no_places, kSize, kMean, kStd), at::empty({0, 3, 4, 9}));
  expect_equal(tcf::crop_mirror_normalize(no_images, std::nullopt, kSize, kMean, kStd), at::empty({0, 3, 4, 9}));
  const auto images = at::rand({2, 3, kHeight, kWidth});
  const auto no_crops = at::empty({2, 0, 2}, at::kLong);
  expect_equal(tcf::crop_at(images, no_crops, kSize), at::empty({2, 0, 3, 4, 9}));
  expect_equal(tcf::crop_mirror_normalize(images, no_crops, kSize, kMean, kStd), at::empty({2, 0, 3, 4, 9}));
}

void test_errors() {
  const auto images = at::rand({2, 3, kHeight, kWidth});
  const auto offsets = at::zeros({2, 2}, at::kLong);
  expect_error("crop_at: size must contain positive ints, got [4, 0]", [&] { tcf::crop_at(images, offsets, {4, 0}); });
  expect_error("crop_at: fill must fit dtype uint8, got 300", [&] {
    tcf::crop_at(images.to(at::kByte), offsets, kSize, std::nullopt, "constant", 300);
  });
  auto doubles = at::empty({0}, at::kDouble);
  expect_error(
      "crop_at: out must be of dtype float32, got float64", [&] { tcf::crop_at_out(doubles, images, offsets, kSize); });
  auto same = images;
  expect_error(
      "crop_at: out must not share memory with input", [&] { tcf::crop_at_out(same, images, offsets, kSize); });
  auto places = offsets;
  expect_error("crop_at: out must not share memory with offsets", [&] {
    tcf::crop_at_out(places, at::ones({2, 2, 2}, at::kLong), offsets, kSize);
  });
  const auto leaf = images.clone().requires_grad_();
  auto out = at::empty({0});
  const std::string no_autograd = ": out= does not support autograd, but input or out requires grad or has a tangent";
  expect_error("crop_at" + no_autograd, [&] { tcf::crop_at_out(out, leaf, offsets, kSize); });
  expect_error("crop_mirror_normalize" + no_autograd, [&] {
    tcf::crop_mirror_normalize_out(out, leaf, offsets, kSize, kMean, kStd);
  });
  expect_error("crop_mirror_normalize: std must not be 0", [&] {
    tcf::crop_mirror_normalize(images, offsets, kSize, kMean, {1, 0, 1});
  });
  expect_error("crop_mirror_normalize: mean must have 3 values, one per channel, got 1", [&] {
    tcf::crop_mirror_normalize(images, offsets, kSize, {0.5}, kStd);
  });
  expect_error("crop_mirror_normalize: layout must be 'CHW' or 'HWC', got 'WHC'", [&] {
    tcf::crop_mirror_normalize(images, offsets, kSize, kMean, kStd, std::nullopt, at::kFloat, "WHC");
  });
  expect_error("crop_mirror_normalize: out must be of dtype float32, got float64", [&] {
    tcf::crop_mirror_normalize_out(doubles, images, offsets, kSize, kMean, kStd);
  });
  expect_error("crop_mirror_normalize: out must not share memory with input", [&] {
    tcf::crop_mirror_normalize_out(same, images, offsets, kSize, kMean, kStd);
  });
}

}  // namespace

int main() {
  test_crop_at();
  test_defaults_and_memory_format();
  test_crop_mirror_normalize();
  test_normalize_at_the_center();
  test_nothing();
  test_errors();
  std::printf("%d results are right\n", checks);
}
