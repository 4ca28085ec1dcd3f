// crop_at and crop_mirror_normalize of the public C++ functions, and their out= twins, beside loops.
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torchcrop_fast/ops.h>

#include <optional>

#include "ops_test.h"

namespace tcf = torchcrop_fast;

namespace ops_test {
namespace {

class CropAtTest : public OpsTest {};
class NormalizeTest : public OpsTest {};

constexpr int64_t kHeight = 5, kWidth = 7;  // of images
constexpr int64_t kSize[] = {4, 9};         // of windows: one side smaller, one larger
const std::vector<double> kMean = {0.5, 0.25, 0.75}, kStd = {0.5, 2, 0.125};

at::Tensor images() { return at::zeros({2, 3, kHeight, kWidth}); }
at::Tensor offsets() { return at::zeros({2, 2}, at::kLong); }

// A case's offsets and flip as a user gives them, and in full.
struct Places {
  at::Tensor offsets;              // (N, D), or (N, K, D)
  std::optional<at::Tensor> flip;  // none, offsets' shape without its last dimension, or offsets' shape
  at::Tensor full_offsets;         // (N, K, D), K is 1 for one crop an image
  at::Tensor full_flip;            // the same shape

  // Of two images: windows that show something of the first, and windows anywhere of the second. crops: how many an
  // image, 0 for offsets without K.
  Places(int64_t crops, std::string_view flipped, int64_t dims) {
    const int64_t k = crops == 0 ? 1 : crops;
    full_offsets =
        at::cat({at::randint(-1, 3, {1, k, dims}, at::kLong), at::randint(-12, 13, {1, k, dims}, at::kLong)});
    full_flip = at::randint(2, {2, k, dims}, at::kBool);
    if (flipped != "each") {
      full_flip.narrow(2, 0, dims - 1).fill_(false);
    }
    if (flipped == "none") {
      full_flip.fill_(false);
    }
    const auto given = [&](const at::Tensor& full) { return crops == 0 ? full.select(1, 0) : full; };
    offsets = given(full_offsets);
    if (flipped != "none") {
      flip = given(flipped == "last" ? full_flip.select(2, dims - 1) : full_flip);
    }
  }

  at::Tensor like(const at::Tensor& full) const { return offsets.dim() == 2 ? full.squeeze(1) : full; }
};

// Border, crops an image and flips.
using Setting = std::tuple<std::string_view, int64_t, std::string_view>;
const auto kSettings =
    testing::Combine(testing::ValuesIn(kModes), testing::Values(0, 1, 3), testing::Values("none", "last", "each"));

// Its tests' places, and the maps of what is shown there.
class Crops : public OpsTestOf<Setting> {
 protected:
  const std::string_view mode = std::get<0>(GetParam());
  const Places places = at_places(2);

  static Places at_places(int64_t dims) { return Places(std::get<1>(GetParam()), std::get<2>(GetParam()), dims); }
  at::Tensor map_of(const at::Tensor& input, const Places& of, at::IntArrayRef size) const {
    return of.like(crop_map(input.sizes(), of.full_offsets, size, of.full_flip, mode));
  }
};

using CropAt = Crops;

TEST_P(CropAt, ShowsWhatLoopsShow) {
  for (const auto dtype : kDtypes) {
    SCOPED_TRACE(dtype);
    const auto input = random_bits({2, 3, kHeight, kWidth}, dtype);
    const auto expected = shown(input, map_of(input, places, kSize), at::full({1}, 1, dtype));
    EXPECT_TRUE(same(tcf::crop_at(input, places.offsets, kSize, places.flip, mode, 1), expected));
  }
}

TEST_P(CropAt, ShowsWhatLoopsShowInEveryLayout) {
  const auto check = [&](const at::Tensor& input) {
    const auto expected = shown(input, map_of(input, places, kSize), at::full({1}, -4, at::kDouble));
    EXPECT_TRUE(same_bits(tcf::crop_at(input, places.offsets, kSize, places.flip, mode, -4), expected));
  };
  check(at::rand({2, 3, kWidth, kHeight}, at::kDouble).transpose(2, 3));
  check(at::rand({2, kHeight, kWidth, 3}, at::kDouble).permute({0, 3, 1, 2}));
  check(at::rand({2, 6, kHeight, 2 * kWidth}, at::kDouble).slice(1, 1, 6, 2).slice(3, 1, 2 * kWidth, 2));
  check(at::rand({1, 3, kHeight, 1}, at::kDouble).expand({2, 3, kHeight, kWidth}));
}

TEST_P(CropAt, KeepsTheMemoryFormat) {
  const auto input = at::rand({2, kHeight, kWidth, 3}).permute({0, 3, 1, 2});
  const auto result = tcf::crop_at(input, places.offsets, kSize, places.flip, mode);
  const auto images = result.dim() == 5 ? result.flatten(0, 1) : result;
  EXPECT_TRUE(images.is_contiguous(at::MemoryFormat::ChannelsLast)) << result.strides();
}

TEST_P(CropAt, TakesOneToThreeDimensions) {
  const std::vector<int64_t> all = {3, kHeight, kWidth}, sizes = {4, 2, 9};
  for (const int64_t dims : {1, 2, 3}) {
    for (const bool channels : {false, true}) {
      SCOPED_TRACE(testing::Message() << dims << " dimensions, channels: " << channels);
      std::vector<int64_t> shape = {2};
      if (channels) {
        shape.push_back(3);
      }
      shape.insert(shape.end(), all.end() - dims, all.end());
      const auto input = at::rand(shape);
      const auto size = at::IntArrayRef(sizes).slice(3 - dims);
      const auto there = at_places(dims);
      const auto expected = shown(input, map_of(input, there, size), at::full({1}, 2.5));
      EXPECT_TRUE(same(tcf::crop_at(input, there.offsets, size, there.flip, mode, 2.5), expected));
    }
  }
}

TEST_P(CropAt, OutIsWrittenWhereItLies) {
  const auto input = at::randint(100, {2, 3, kHeight, kWidth}, at::kDouble);
  const auto expected = shown(input, map_of(input, places, kSize), at::full({1}, -4, at::kDouble));
  FramedOut framed(expected.sizes(), at::kDouble);
  const auto& returned = tcf::crop_at_out(framed.out, input, places.offsets, kSize, places.flip, mode, -4);
  EXPECT_TRUE(framed.holds(expected, returned));
}

TEST_P(CropAt, GradientsAreThoseOfLoops) {
  const auto input = at::rand({2, 3, kHeight, kWidth}, at::kDouble).requires_grad_();
  const auto map = map_of(input, places, kSize);
  const auto grad = at::randint(-9, 10, map.sizes(), at::kDouble).requires_grad_();
  const auto result = tcf::crop_at(input, places.offsets, kSize, places.flip, mode, -4);
  EXPECT_TRUE(same(result.detach(), shown(input.detach(), map, at::full({1}, -4, at::kDouble))));
  const auto input_grad = torch::autograd::grad({result}, {input}, {grad}, std::nullopt, /*create_graph=*/true)[0];
  EXPECT_TRUE(same_bits(input_grad.detach(), added_up(grad.detach(), map, input.sizes())));
  const auto again = at::randint(-9, 10, input.sizes(), at::kDouble);
  const auto grad_grad = torch::autograd::grad({input_grad}, {grad}, {again})[0];
  EXPECT_TRUE(same_bits(grad_grad, shown(again, map, at::zeros({1}, at::kDouble))));
}

INSTANTIATE_TEST_SUITE_P(, CropAt, kSettings, Named());

TEST_F(CropAtTest, DefaultsAreNoFlipAndAnEmptyBorder) {
  const auto input = at::arange(2 * 3 * kHeight * kWidth).view({2, 3, kHeight, kWidth});
  const auto offsets = at::tensor({-1, 2, 3, 0}, at::kLong).view({2, 2});
  const auto result = tcf::crop_at(input.contiguous(at::MemoryFormat::ChannelsLast), offsets, kSize);
  EXPECT_TRUE(result.is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto full = offsets.unsqueeze(1);
  const auto map = crop_map(input.sizes(), full, kSize, at::zeros(full.sizes(), at::kBool), "constant");
  EXPECT_TRUE(same_bits(result, shown(input, map.squeeze(1), at::zeros({1}, at::kLong))));
  auto out = at::empty({0}, at::kLong);
  EXPECT_EQ(&tcf::crop_at_out(out, input, offsets, kSize), &out);
  EXPECT_TRUE(same_bits(out, result));
}

TEST_F(CropAtTest, OffsetsMayBeAnyNumbers) {
  const auto input = at::rand({4, kWidth});
  const auto offsets = at::tensor({INT64_MIN, INT64_MAX, -kWidth, kWidth}, at::kLong).unsqueeze(1);
  EXPECT_TRUE(same(tcf::crop_at(input, offsets, {3}, std::nullopt, "constant", 2), at::full({4, 3}, 2.)));
  const auto replicated = tcf::crop_at(input, offsets, {3}, std::nullopt, "replicate");
  const auto edges = at::stack({input[0][0], input[1][kWidth - 1], input[2][0], input[3][kWidth - 1]});
  EXPECT_TRUE(same(replicated, edges.unsqueeze(1).expand({4, 3}).contiguous()));
}

TEST_F(CropAtTest, RunsUnderInferenceMode) {
  const auto offsets = at::tensor({-1, 2, 3, 0}, at::kLong).view({2, 2});
  const auto input = at::rand({2, 3, kHeight, kWidth}).requires_grad_();
  const auto crops = tcf::crop_at(input, offsets, kSize);
  const auto normalized = tcf::crop_mirror_normalize(input, offsets, kSize, kMean, kStd);
  ASSERT_TRUE(crops.requires_grad() && normalized.requires_grad());
  const c10::InferenceMode guard;
  for (const auto& [result, expected] :
       {std::pair(tcf::crop_at(input, offsets, kSize), crops),
        std::pair(tcf::crop_mirror_normalize(input, offsets, kSize, kMean, kStd), normalized)}) {
    EXPECT_TRUE(result.is_inference());
    EXPECT_FALSE(result.requires_grad());
    EXPECT_TRUE(same(result, expected.detach()));
  }
}

TEST_F(CropAtTest, NothingIsRecordedWithoutGradMode) {
  const auto input = images().requires_grad_();
  const c10::NoGradGuard guard;
  EXPECT_FALSE(tcf::pad(input, {1, 1}).requires_grad());
  EXPECT_FALSE(tcf::crop_at(input, offsets(), kSize).requires_grad());
  EXPECT_FALSE(tcf::crop_mirror_normalize(input, offsets(), kSize, kMean, kStd).requires_grad());
}

TEST_F(CropAtTest, OfNothingIsNothing) {
  const auto no_images = at::empty({0, 3, kHeight, kWidth}).requires_grad_();
  const auto no_places = at::empty({0, 2}, at::kLong);
  const auto nothing = at::empty({0, 3, 4, 9});
  const auto result = tcf::crop_at(no_images, no_places, kSize);
  EXPECT_TRUE(same_bits(result, nothing));
  result.sum().backward();
  EXPECT_TRUE(same_bits(no_images.grad(), no_images.detach()));
  EXPECT_TRUE(same_bits(tcf::crop_mirror_normalize(no_images, no_places, kSize, kMean, kStd), nothing));
  EXPECT_TRUE(same_bits(tcf::crop_mirror_normalize(no_images, std::nullopt, kSize, kMean, kStd), nothing));
  const auto images = at::rand({2, 3, kHeight, kWidth}).requires_grad_();
  const auto no_crops = at::empty({2, 0, 2}, at::kLong);
  const auto crops_of_none = tcf::crop_at(images, no_crops, kSize);
  EXPECT_TRUE(same_bits(crops_of_none, at::empty({2, 0, 3, 4, 9})));
  EXPECT_TRUE(same_bits(tcf::crop_mirror_normalize(images, no_crops, kSize, kMean, kStd), at::empty({2, 0, 3, 4, 9})));
  crops_of_none.sum().backward();
  EXPECT_TRUE(same_bits(images.grad(), at::zeros(images.sizes())));
  const auto no_pixels = at::empty({2, 3, 0, kWidth});
  const auto places = at::zeros({2, 2}, at::kLong);
  EXPECT_TRUE(same(tcf::crop_at(no_pixels, places, kSize, std::nullopt, "constant", 3), at::full({2, 3, 4, 9}, 3.)));
}

at::Tensor a_channel(const std::vector<double>& numbers) { return at::tensor(numbers, at::kDouble).view({3, 1, 1}); }

// What (x - mean) / std makes of pixels, in float64; the channels are dimension -3.
at::Tensor normalized(const at::Tensor& pixels, bool bytes) {
  return (pixels / (bytes ? 255 : 1) - a_channel(kMean)) / a_channel(kStd);
}

using Normalize = Crops;

TEST_P(Normalize, IsMadeOfWhatLoopsShow) {
  const auto bytes = at::randint(256, {2, 3, kHeight, kWidth}, at::kByte);
  for (const auto from : {at::kByte, at::kFloat, at::kHalf, at::kBFloat16}) {
    const bool byte = from == at::kByte;
    const auto images = byte ? bytes : (bytes / 255).to(from);
    const auto fills = byte ? std::vector<double>{9, 200, 31} : std::vector<double>{0.5, -2, 4};
    const auto map = map_of(images, places, kSize);
    const auto crops = shown(images.to(at::kDouble), map, at::zeros({1}, at::kDouble));
    const auto expected = normalized(at::where(map < 0, a_channel(fills), crops), byte);
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << from << " to " << dtype);
      const auto result = tcf::crop_mirror_normalize(
          images, places.offsets, kSize, kMean, kStd, places.flip, dtype, "CHW", at::MemoryFormat::Contiguous, mode,
          fills);
      EXPECT_TRUE(result.is_contiguous());
      EXPECT_TRUE(close_to(result, expected, dtype));
      FramedOut framed(expected.sizes(), dtype);
      const auto& returned = tcf::crop_mirror_normalize_out(
          framed.out, images.permute({0, 2, 3, 1}).contiguous(), places.offsets, kSize, kMean, kStd, places.flip, dtype,
          "HWC", at::MemoryFormat::Contiguous, mode, fills);
      EXPECT_TRUE(framed.holds(result, returned));
    }
  }
}

TEST_P(Normalize, GradientsAreThoseOfLoops) {
  const auto std = a_channel(kStd);
  for (const auto from : {at::kFloat, at::kHalf}) {
    SCOPED_TRACE(from);
    const auto input = at::rand({2, 3, kHeight, kWidth}).to(from).requires_grad_();
    const auto map = map_of(input, places, kSize);
    const auto grad = at::randint(-9, 10, map.sizes(), at::kFloat).requires_grad_();
    const auto result = tcf::crop_mirror_normalize(
        input, places.offsets, kSize, kMean, kStd, places.flip, std::nullopt, "CHW", std::nullopt, mode);
    const auto input_grad = torch::autograd::grad({result}, {input}, {grad}, std::nullopt, /*create_graph=*/true)[0];
    const auto expected = added_up(grad.detach().to(at::kDouble) / std, map, input.sizes());
    EXPECT_TRUE(close_to(input_grad.detach(), expected, from));
    const auto again = at::randint(-9, 10, input.sizes()).to(from);
    const auto grad_grad = torch::autograd::grad({input_grad}, {grad}, {again})[0];
    const auto doubles = shown(again.to(at::kDouble), map, at::zeros({1}, at::kDouble));
    EXPECT_TRUE(close_to(grad_grad, doubles / std, at::kFloat));
  }
}

INSTANTIATE_TEST_SUITE_P(, Normalize, kSettings, Named());

TEST_F(NormalizeTest, DefaultPlaceIsTheCenter) {
  // The center of 5 x 7 for 4 x 9 is at (0, -1): half of 1 is rounded to the even 0.
  const auto images = at::randint(256, {2, 3, kHeight, kWidth}, at::kByte);
  const auto offsets = at::tensor({0, -1, 0, -1}, at::kLong).view({2, 1, 2});
  const auto map = crop_map(images.sizes(), offsets, kSize, at::zeros(offsets.sizes(), at::kBool), "constant");
  const auto crops = shown(images, map.squeeze(1), at::zeros({1}, at::kByte));
  const auto expected = normalized(crops.to(at::kDouble), true);
  const auto result = tcf::crop_mirror_normalize(images, std::nullopt, kSize, kMean, kStd);
  EXPECT_TRUE(result.is_contiguous());
  EXPECT_TRUE(close_to(result, expected, at::kFloat));
  const auto channels_last = tcf::crop_mirror_normalize(
      images, std::nullopt, kSize, kMean, kStd, std::nullopt, at::kFloat, "CHW", at::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(channels_last.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(same_bits(channels_last, result));
  auto out = at::empty({0}, at::kFloat);
  EXPECT_EQ(&tcf::crop_mirror_normalize_out(out, images, std::nullopt, kSize, kMean, kStd), &out);
  EXPECT_TRUE(same(out, result));

  const auto leaf = (images / 255).requires_grad_();
  tcf::crop_mirror_normalize(leaf, std::nullopt, kSize, kMean, kStd).sum().backward();
  const auto factors = (1 / a_channel(kStd)).unsqueeze(0).expand({2, 3, 4, kWidth});
  EXPECT_TRUE(close_to(leaf.grad(), at::constant_pad_nd(factors, {0, 0, 0, 1}), at::kFloat));
}

const Refusal kCropAtRefusals[] = {
    {"ZeroSize", "crop_at: size must contain positive ints, got [4, 0]",
     [] { tcf::crop_at(images(), offsets(), {4, 0}); }},
    {"NoSize", "crop_at: size must contain positive ints, got []", [] { tcf::crop_at(images(), offsets(), {}); }},
    {"InputWithoutBatch", "crop_at: input must have at least 3 dims, the batch and the 2 of size, got 2",
     [] { tcf::crop_at(at::rand({5, 7}), offsets(), kSize); }},
    {"DtypeOfOffsets", "crop_at: offsets must be of dtype int64, got int32",
     [] { tcf::crop_at(images(), offsets().to(at::kInt), kSize); }},
    {"ShapeOfOffsets", "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [3, 2]",
     [] { tcf::crop_at(images(), at::zeros({3, 2}, at::kLong), kSize); }},
    {"DeviceOfOffsets", "crop_at: offsets must be on device cpu, got meta",
     [] { tcf::crop_at(images(), offsets().to(at::kMeta), kSize); }},
    {"DtypeOfFlip", "crop_at: flip must be of dtype bool, got int64",
     [] { tcf::crop_at(images(), offsets(), kSize, at::zeros({2}, at::kLong)); }},
    {"ShapeOfFlip", "crop_at: flip must be of shape [2] or [2, 2], got [3]",
     [] { tcf::crop_at(images(), offsets(), kSize, at::zeros({3}, at::kBool)); }},
    {"Border",
     "crop_at: padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got 'mirror'",
     [] { tcf::crop_at(images(), offsets(), kSize, std::nullopt, "mirror"); }},
    {"NothingToRepeat", "crop_at: dim 3 must not be empty with padding_mode 'circular'",
     [] { tcf::crop_at(at::zeros({2, 3, 5, 0}), offsets(), kSize, std::nullopt, "circular"); }},
    {"Fill", "crop_at: fill must fit dtype uint8, got 300",
     [] { tcf::crop_at(images().to(at::kByte), offsets(), kSize, std::nullopt, "constant", 300); }},
    {"OutOfAnotherDtype", "crop_at: out must be of dtype float32, got float64",
     [] {
       auto out = at::empty({0}, at::kDouble);
       tcf::crop_at_out(out, images(), offsets(), kSize);
     }},
    {"OutIsTheInput", "crop_at: out must not share memory with input",
     [] {
       auto same = images();
       tcf::crop_at_out(same, same, offsets(), kSize);
     }},
    {"OutIsTheOffsets", "crop_at: out must not share memory with offsets",
     [] {
       auto places = offsets();
       tcf::crop_at_out(places, at::ones({2, 2, 2}, at::kLong), places, kSize);
     }},
    {"OutIsTheFlips", "crop_at: out must not share memory with flip",
     [] {
       auto flip = at::zeros({2}, at::kBool);
       tcf::crop_at_out(flip, at::ones({2, 2, 2}, at::kBool), offsets(), kSize, flip);
     }},
};

// Calls it with arguments that are right but for those that a case changes.
struct NormalizeCall {
  at::Tensor input = images();
  std::optional<at::Tensor> places = offsets();
  std::vector<int64_t> size = {4, 9};
  std::vector<double> mean = kMean, std = kStd;
  std::optional<at::Tensor> flip = std::nullopt;
  at::ScalarType dtype = at::kFloat;
  std::string_view layout = "CHW";
  at::MemoryFormat format = at::MemoryFormat::Contiguous;
  std::string_view mode = "constant";
  std::vector<double> fill = {0};

  void operator()() const {
    tcf::crop_mirror_normalize(input, places, size, mean, std, flip, dtype, layout, format, mode, fill);
  }
};

const Refusal kNormalizeRefusals[] = {
    {"DtypeOfInput", "crop_mirror_normalize: input must be of dtype uint8, float16, bfloat16 or float32, got int16",
     [] { NormalizeCall{.input = images().to(at::kShort)}(); }},
    {"Dtype", "crop_mirror_normalize: dtype must be float32, float16 or bfloat16, got uint8",
     [] { NormalizeCall{.dtype = at::kByte}(); }},
    {"ShapeOfInput", "crop_mirror_normalize: input must be of shape [N, C, H, W], got [3, 5, 7]",
     [] { NormalizeCall{.input = images()[0]}(); }},
    {"Layout", "crop_mirror_normalize: layout must be 'CHW' or 'HWC', got 'WHC'",
     [] { NormalizeCall{.layout = "WHC"}(); }},
    {"MemoryFormat",
     "crop_mirror_normalize: memory_format must be contiguous_format or channels_last, got ChannelsLast3d",
     [] { NormalizeCall{.format = at::MemoryFormat::ChannelsLast3d}(); }},
    {"Size", "crop_mirror_normalize: size must contain two positive ints, got [4]",
     [] { NormalizeCall{.size = {4}}(); }},
    {"MeanOfOneChannel", "crop_mirror_normalize: mean must have 3 values, one per channel, got 1",
     [] { NormalizeCall{.mean = {0.5}}(); }},
    {"StdOfFourChannels", "crop_mirror_normalize: std must have 3 values, one per channel, got 4",
     [] { NormalizeCall{.std = {1, 1, 1, 1}}(); }},
    {"FillOfTwoChannels", "crop_mirror_normalize: fill must have 1 value, or 3 values, one per channel, got 2",
     [] { NormalizeCall{.fill = {1, 2}}(); }},
    {"MeanIsNoNumber", "crop_mirror_normalize: mean must contain finite numbers, got nan",
     [] { NormalizeCall{.mean = {0, NAN, 0}}(); }},
    {"StdOfZero", "crop_mirror_normalize: std must not be 0", [] { NormalizeCall{.std = {1, 0, 1}}(); }},
    {"StdOfNearlyZero",
     "crop_mirror_normalize: std must be such that 1 / std and mean / std are numbers that float32 holds in full, "
     "got 1e-60 with a mean of 0.5",
     [] { NormalizeCall{.std = {1e-60, 1, 1}}(); }},
    {"ShapeOfOffsets", "crop_mirror_normalize: offsets must be of shape [2, 2] or [2, K, 2], got [2, 3]",
     [] { NormalizeCall{.places = at::zeros({2, 3}, at::kLong)}(); }},
    {"ShapeOfFlip", "crop_mirror_normalize: flip must be of shape [2] or [2, 2], got [1]",
     [] { NormalizeCall{.places = std::nullopt, .flip = at::zeros({1}, at::kBool)}(); }},
    {"Border",
     "crop_mirror_normalize: padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', "
     "got 'mirror'",
     [] { NormalizeCall{.mode = "mirror"}(); }},
    {"OutOfAnotherDtype", "crop_mirror_normalize: out must be of dtype float32, got float64",
     [] {
       auto out = at::empty({0}, at::kDouble);
       tcf::crop_mirror_normalize_out(out, images(), offsets(), kSize, kMean, kStd);
     }},
    {"OutIsTheInput", "crop_mirror_normalize: out must not share memory with input",
     [] {
       auto same = images();
       tcf::crop_mirror_normalize_out(same, same, offsets(), kSize, kMean, kStd);
     }},
};

using CropAtRefuses = OpsTestOf<Refusal>;
TEST_P(CropAtRefuses, InOneSentence) { EXPECT_EQ(refusal(GetParam().call), GetParam().text); }
INSTANTIATE_TEST_SUITE_P(, CropAtRefuses, testing::ValuesIn(kCropAtRefusals), Named());

using NormalizeRefuses = OpsTestOf<Refusal>;
TEST_P(NormalizeRefuses, InOneSentence) { EXPECT_EQ(refusal(GetParam().call), GetParam().text); }
INSTANTIATE_TEST_SUITE_P(, NormalizeRefuses, testing::ValuesIn(kNormalizeRefusals), Named());

TEST_F(CropAtTest, OutRefusesAutograd) {
  const std::string text = ": out= does not support autograd, but input or out requires grad or has a tangent";
  const auto input = images().requires_grad_();
  auto out = at::empty({0});
  EXPECT_EQ(error_of([&] { tcf::crop_at_out(out, input, offsets(), kSize); }), "crop_at" + text);
  EXPECT_EQ(
      error_of([&] { tcf::crop_mirror_normalize_out(out, input, offsets(), kSize, kMean, kStd); }),
      "crop_mirror_normalize" + text);
}

TEST_F(CropAtTest, OffsetsThatChangeBeforeBackwardAreNoticed) {
  const auto input = images().requires_grad_();
  auto places = offsets();
  const auto result = tcf::crop_at(input, places, kSize);
  places.add_(1);
  EXPECT_NE(error_of([&] { result.sum().backward(); }).find("modified by an inplace operation"), std::string::npos);
}

}  // namespace
}  // namespace ops_test
