// pad, pad_symint, pad_out and crop of the public C++ functions, beside loops and torch's own pads.
#include <c10/core/SymNodeImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torchcrop_fast/ops.h>

#include <algorithm>
#include <optional>
#include <random>

#include "ops_test.h"

namespace tcf = torchcrop_fast;

namespace ops_test {
namespace {

using Ints = std::vector<int64_t>;

class PadTest : public OpsTest {};

// Of sizes (2, 3, 6, 7), and of random bits.
struct Layout {
  const char* name;
  at::Tensor (*input)(at::ScalarType);
};
const Layout kLayouts[] = {
    {"contiguous", [](at::ScalarType dtype) { return random_bits({2, 3, 6, 7}, dtype); }},
    {"channels_last", [](at::ScalarType dtype) { return random_bits({2, 6, 7, 3}, dtype).permute({0, 3, 1, 2}); }},
    {"transposed", [](at::ScalarType dtype) { return random_bits({2, 3, 7, 6}, dtype).transpose(2, 3); }},
    {"sliced",
     [](at::ScalarType dtype) { return random_bits({2, 4, 6, 14}, dtype).narrow(1, 1, 3).slice(3, 1, 14, 2); }},
    {"expanded", [](at::ScalarType dtype) { return random_bits({1, 3, 6, 1}, dtype).expand({2, 3, 6, 7}); }},
};

const Ints kPads[] = {
    {},
    {0, 0},
    {1, 2},
    {-1, -2},
    {-3, -4},
    {0, 0, -6, 0},
    {-2, 3, 1, -1},
    {-1, -1, -2, -1},
    {0, 0, 0, 0, -1, 2},
    {1, 0, 2, 1, 0, 1, 3, 0},
    {-1, 0, -2, -1, 0, -1, -1, 0},
};

using PadDtype = OpsTestOf<at::ScalarType>;

TEST_P(PadDtype, IsTorchsPadInEveryLayout) {
  for (const Layout& layout : kLayouts) {
    const auto input = layout.input(GetParam());
    const auto before = input.clone();
    for (const Ints& pad : kPads) {
      SCOPED_TRACE(testing::Message() << layout.name << " padded by " << at::IntArrayRef(pad));
      const auto result = tcf::pad(input, pad, "constant", 1);
      EXPECT_TRUE(same(result, at::constant_pad_nd(input, pad, 1)));
      EXPECT_FALSE(result.is_alias_of(input));
      if (GetParam() != at::kFloat8_e8m0fnu) {  // it has no zero
        EXPECT_TRUE(same(tcf::pad(input, pad), at::constant_pad_nd(input, pad)));
      }
      const auto meta = at::empty_strided(input.sizes(), input.strides(), input.options().device(at::kMeta));
      const auto traced = tcf::pad(meta, pad, "constant", 1);
      EXPECT_EQ(traced.sizes(), result.sizes());
      EXPECT_EQ(traced.strides(), result.strides());
    }
    EXPECT_TRUE(same_bits(input, before));
  }
}

TEST_P(PadDtype, CropIsASlice) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.name);
    const auto input = layout.input(GetParam());
    const auto result = tcf::crop(input, {1, 2, 3, 0});
    EXPECT_TRUE(same_bits(result, input.slice(2, 3, 6).slice(3, 1, 5)));
    EXPECT_TRUE(same(result, at::constant_pad_nd(input, {-1, -2, -3, 0})));
    EXPECT_FALSE(result.is_alias_of(input));
    if (GetParam() != at::kFloat8_e8m0fnu) {  // it has no zero
      EXPECT_TRUE(same(tcf::crop(input, {-1, 2}), at::constant_pad_nd(input, {1, -2})));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, PadDtype, testing::ValuesIn(kDtypes), Named());

TEST_F(PadTest, TakesAnyRank) {
  const auto number = at::tensor(7.5);
  EXPECT_TRUE(same(tcf::pad(number, {}), number));
  EXPECT_FALSE(tcf::pad(number, {}).is_alias_of(number));
  const auto row = random_bits({9}, at::kFloat);
  EXPECT_TRUE(same(tcf::pad(row, {2, -3}), at::constant_pad_nd(row, {2, -3})));
  const auto deep = random_bits({2, 1, 3, 2, 2, 3, 4}, at::kShort);
  const Ints pad = {1, -1, 0, 2, -1, 0, 1, 1, -1, -1, 2, 0, 0, 1};
  EXPECT_TRUE(same(tcf::pad(deep, pad), at::constant_pad_nd(deep, pad)));
}

TEST_F(PadTest, FillsWithExactNumbers) {
  const int64_t large = (int64_t{1} << 53) + 1;  // no float64
  EXPECT_EQ(tcf::pad(at::zeros({1}, at::kLong), {0, 1}, "constant", large)[1].item<int64_t>(), large);
  const c10::complex<double> number(1.5, -2);
  const auto result = tcf::pad(at::zeros({1}, at::kComplexDouble), {1, 0}, "constant", number);
  EXPECT_EQ(result[0].item<c10::complex<double>>(), number);
  EXPECT_TRUE(tcf::pad(at::zeros({1}, at::kBool), {1, 0}, "constant", true)[0].item<bool>());
  EXPECT_EQ(tcf::pad(at::zeros({1}, at::kByte), {1, 0}, "constant", 2.75)[0].item<int64_t>(), 2);
}

TEST_F(PadTest, OfNothingIsTorchs) {
  for (const Ints& sizes : {Ints{0, 3, 4, 5}, Ints{2, 0, 4, 5}, Ints{2, 3, 0, 5}, Ints{2, 3, 4, 0}}) {
    for (const Ints& pad : {Ints{0, 0}, Ints{1, 2}, Ints{0, 0, 1, 2}, Ints{1, 1, 1, 1}, Ints{0, 0, 0, 0, 1, 0, 1, 0}}) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(sizes) << " padded by " << at::IntArrayRef(pad));
      const auto input = at::empty(sizes).requires_grad_();
      const auto result = tcf::pad(input, pad, "constant", 3);
      EXPECT_TRUE(same(result.detach(), at::constant_pad_nd(input.detach(), pad, 3)));
      result.sum().backward();
      EXPECT_EQ(input.grad().sizes(), input.sizes());
    }
  }
}

using PadMode = OpsTestOf<std::string_view>;

// A drawn case: one to four dimensions of 3 to 6 elements, entries that every mode takes.
struct Drawn {
  Ints sizes, pad;

  explicit Drawn(std::mt19937& random) {
    const auto draw = [&](int64_t low, int64_t high) {
      return std::uniform_int_distribution<int64_t>(low, high)(random);
    };
    const int64_t rank = draw(1, 4);
    std::generate_n(std::back_inserter(sizes), rank, [&] { return draw(3, 6); });
    std::generate_n(std::back_inserter(pad), 2 * draw(1, rank), [&] { return draw(-1, 2); });
  }

  // Whether torch's pads take it with any mode.
  bool is_torchs() const {
    const size_t padded = pad.size() / 2;
    return padded <= 3 && (sizes.size() == padded + 1 || sizes.size() == padded + 2);
  }
};

TEST_P(PadMode, ShowsWhatLoopsShow) {
  std::mt19937 random(testing::GTEST_FLAG(random_seed));
  int torchs = 0;
  for (int i = 0; i < 60; ++i) {
    const Drawn drawn(random);
    const auto map = pad_map(drawn.sizes, drawn.pad, GetParam());
    for (const auto dtype : {at::kByte, at::kHalf, at::kFloat, at::kDouble, at::kComplexDouble, at::kFloat8_e5m2}) {
      SCOPED_TRACE(
          testing::Message() << at::IntArrayRef(drawn.sizes) << " " << dtype << " padded by "
                             << at::IntArrayRef(drawn.pad));
      const auto input = random_bits(drawn.sizes, dtype);
      const auto fill = at::zeros({1}, dtype);
      EXPECT_TRUE(same_bits(tcf::pad(input, drawn.pad, GetParam()), shown(input, map, fill)));
    }
    if (drawn.is_torchs()) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(drawn.sizes) << " padded by " << at::IntArrayRef(drawn.pad));
      const auto input = at::rand(drawn.sizes);
      EXPECT_TRUE(same(tcf::pad(input, drawn.pad, GetParam()), at::pad(input, drawn.pad, GetParam())));
      ++torchs;
    }
  }
  EXPECT_GT(torchs, 5);
}

TEST_P(PadMode, GradientsAreThoseOfLoops) {
  std::mt19937 random(testing::GTEST_FLAG(random_seed));
  for (int i = 0; i < 30; ++i) {
    const Drawn drawn(random);
    SCOPED_TRACE(testing::Message() << at::IntArrayRef(drawn.sizes) << " padded by " << at::IntArrayRef(drawn.pad));
    const auto map = pad_map(drawn.sizes, drawn.pad, GetParam());
    const auto input = at::rand(drawn.sizes, at::kDouble).requires_grad_();
    const auto grad = at::randint(-9, 10, map.sizes(), at::kDouble).requires_grad_();
    const auto result = tcf::pad(input, drawn.pad, GetParam());
    const auto input_grad = torch::autograd::grad({result}, {input}, {grad}, std::nullopt, /*create_graph=*/true)[0];
    EXPECT_TRUE(same_bits(input_grad.detach(), added_up(grad.detach(), map, drawn.sizes)));
    const auto again = at::randint(-9, 10, drawn.sizes, at::kDouble);
    const auto grad_grad = torch::autograd::grad({input_grad}, {grad}, {again})[0];
    EXPECT_TRUE(same_bits(grad_grad, shown(again, map, at::zeros({1}, at::kDouble))));
  }
}

TEST_P(PadMode, OutIsWrittenWhereItLies) {
  const Ints pad = {2, -1, -2, 1};
  const auto input = at::rand({2, 3, 6, 7});
  const auto expected = tcf::pad(input, pad, GetParam());
  FramedOut framed(expected.sizes(), at::kFloat);
  EXPECT_TRUE(framed.holds(expected, tcf::pad_out(framed.out, input, pad, GetParam())));
}

TEST_P(PadMode, SymbolicEntriesArePadsEntries) {
  const auto input = at::rand({2, 3, 6, 7});
  const std::vector<c10::SymInt> pad = {2, -1, -2, 1};
  EXPECT_TRUE(same(tcf::pad_symint(input, pad, GetParam()), tcf::pad(input, {2, -1, -2, 1}, GetParam())));
}

INSTANTIATE_TEST_SUITE_P(, PadMode, testing::Values("constant", "reflect", "replicate", "circular"), Named());

// An int whose value is told only to who asks for it.
class Symbol : public c10::SymNodeImpl {
 public:
  explicit Symbol(int64_t value) : value_(value) {}
  bool is_int() override { return true; }
  bool is_bool() override { return false; }
  bool is_float() override { return false; }
  int64_t guard_int(const char*, int64_t) override { return value_; }
  std::string str() override { return "s0"; }

 private:
  const int64_t value_;
};

TEST_F(PadTest, TakesSymbols) {
  const std::vector<c10::SymInt> pad = {c10::SymInt(c10::SymNode(c10::make_intrusive<Symbol>(-2))), 3};
  ASSERT_TRUE(pad[0].is_symbolic());
  const auto input = at::rand({2, 6});
  EXPECT_TRUE(same(tcf::pad_symint(input, pad, "constant", 5), at::constant_pad_nd(input, {-2, 3}, 5)));
}

TEST_F(PadTest, OutIsResizedWithAWarningUnlessEmpty) {
  struct : c10::WarningHandler {
    void process(const c10::Warning& warning) override { texts.push_back(warning.msg()); }
    std::vector<std::string> texts;
  } handler;
  const c10::WarningUtils::WarningHandlerGuard guard(&handler);
  const auto input = at::rand({2, 6});
  const auto expected = at::constant_pad_nd(input, {1, 1}, 5);
  auto empty = at::empty({0});
  EXPECT_TRUE(same(tcf::pad_out(empty, input, {1, 1}, "constant", 5), expected));
  auto right = at::empty({2, 8});
  EXPECT_TRUE(same(tcf::pad_out(right, input, {1, 1}, "constant", 5), expected));
  EXPECT_TRUE(handler.texts.empty());
  auto wrong = at::empty({3, 3});
  EXPECT_EQ(&tcf::pad_out(wrong, input, {1, 1}, "constant", 5), &wrong);
  EXPECT_TRUE(same(wrong, expected));
  ASSERT_EQ(handler.texts.size(), 1);
  EXPECT_NE(handler.texts[0].find("An output with one or more elements was resized"), std::string::npos);
}

TEST_F(PadTest, RunsUnderInferenceMode) {
  const c10::InferenceMode guard;
  const auto input = at::rand({2, 3, 6, 7}).requires_grad_();
  const auto result = tcf::pad(input, {1, -1, 2, 2});
  EXPECT_TRUE(result.is_inference());
  EXPECT_FALSE(result.requires_grad());
  EXPECT_TRUE(same(result, at::constant_pad_nd(input, {1, -1, 2, 2})));
}

TEST_F(PadTest, AnUnknownModeIsNotImplemented) {
  EXPECT_THROW(tcf::pad(at::rand({6}), {1, 1}, "mirror"), c10::NotImplementedError);
}

const int64_t kMost = INT64_MAX;

const Refusal kRefusals[] = {
    {"OddPad", "pad: pad must have an even number of entries, got 3", [] { tcf::pad(at::rand({2, 6}), {1, 1, 1}); }},
    {"TooManyEntries", "pad: pad must have at most 2 entries for an input of 1 dims, got 4",
     [] { tcf::pad(at::rand({6}), {1, 1, 1, 1}); }},
    {"CropOfMore", "pad: cannot crop 4 + 3 elements from dim 1 of size 6",
     [] { tcf::pad(at::rand({2, 6}), {-4, -3}); }},
    {"CropOfMoreBeforeThePadding", "pad: cannot crop 7 + 0 elements from dim 1 of size 6",
     [] { tcf::pad(at::rand({2, 6}), {-7, 5}); }},
    {"CropsCropOfMore", "pad: cannot crop 4 + 3 elements from dim 0 of size 6",
     [] { tcf::crop(at::rand({6}), {4, 3}); }},
    {"CropWithoutNegative", "crop: cropping must contain ints whose negatives fit int64, got -9223372036854775808",
     [] { tcf::crop(at::rand({6}), {INT64_MIN, 0}); }},
    {"Overflow",
     "pad: dim 0 of size 6 cannot be padded by (9223372036854775807, 1): the result's size would overflow int64",
     [] { tcf::pad(at::rand({6}), {kMost, 1}); }},
    {"Bytes", "pad: the result must be smaller than 2^63 bytes, got sizes [4611686018427387910] and 4 bytes an element",
     [] { tcf::pad(at::rand({6}), {kMost / 2 + 1, 0}); }},
    {"Reflect", "pad: dim 1 of size 6 cannot be reflected by (6, 0): both must be less than its size",
     [] { tcf::pad(at::rand({2, 6}), {6, 0}, "reflect"); }},
    {"Circular", "pad: dim 1 of size 6 cannot be wrapped by (-2, 5): both must be at most the 4 elements to wrap",
     [] { tcf::pad(at::rand({2, 6}), {-2, 5}, "circular"); }},
    {"Replicate", "pad: dim 1 of size 0 cannot be replicated by (1, 1): it has no element to repeat",
     [] { tcf::pad(at::rand({2, 0}), {1, 1}, "replicate"); }},
    {"Mode", "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'",
     [] { tcf::pad(at::rand({2, 6}), {1, 1}, "mirror"); }},
    {"ValueOfAnotherMode", "pad: value must be None or 0 unless mode is 'constant', got 2",
     [] { tcf::pad(at::rand({2, 6}), {1, 1}, "reflect", 2); }},
    {"ValueThatDoesNotFit", "pad: value must fit dtype int8, got 128",
     [] { tcf::pad(at::zeros({6}, at::kChar), {1, 1}, "constant", 128); }},
    {"DefaultOfADtypeWithoutZero", "pad: value must fit dtype float8_e8m0fnu, got 0",
     [] { tcf::pad(at::ones({6}, at::kFloat8_e8m0fnu), {1, 1}); }},
    {"ComplexValue", "pad: value must fit dtype float32, got (0,1)",
     [] { tcf::pad(at::zeros({6}), {1, 1}, "constant", c10::complex<double>(0, 1)); }},
    {"SymbolicEntries", "pad: cannot crop 4 + 3 elements from dim 0 of size 6",
     [] { tcf::pad_symint(at::rand({6}), std::vector<c10::SymInt>{-4, -3}); }},
    {"Meta", "pad: cannot crop 4 + 3 elements from dim 0 of size 6",
     [] { tcf::pad(at::empty({6}, at::device(at::kMeta)), {-4, -3}); }},
    {"OutOfAnotherDtype", "pad: out must be of dtype float32, got float64",
     [] {
       auto out = at::empty({0}, at::kDouble);
       tcf::pad_out(out, at::rand({6}), {1, 1});
     }},
    {"OutOnAnotherDevice", "pad: out must be on device cpu, got meta",
     [] {
       auto out = at::empty({0}, at::device(at::kMeta));
       tcf::pad_out(out, at::rand({6}), {1, 1});
     }},
    {"OutIsTheInput", "pad: out must not share memory with input",
     [] {
       auto out = at::rand({6});
       tcf::pad_out(out, out, {0, 0});
     }},
    {"OutReachesIntoTheInput", "pad: out must not share memory with input",
     [] {
       const auto memory = at::rand({12});
       auto out = memory.narrow(0, 5, 6);
       tcf::pad_out(out, memory.narrow(0, 0, 6), {0, 0});
     }},
    {"OutSharesItsElements", "pad: out must not have elements that share memory, got one of sizes [8] and strides [0]",
     [] {
       auto out = at::rand({1}).expand({8});
       tcf::pad_out(out, at::rand({6}), {1, 1});
     }},
};

using PadRefuses = OpsTestOf<Refusal>;
TEST_P(PadRefuses, InOneSentence) { EXPECT_EQ(refusal(GetParam().call), GetParam().text); }
INSTANTIATE_TEST_SUITE_P(, PadRefuses, testing::ValuesIn(kRefusals), Named());

TEST_F(PadTest, OutRefusesAutograd) {
  const std::string text = "pad: out= does not support autograd, but input or out requires grad or has a tangent";
  const auto input = at::rand({6}).requires_grad_();
  auto out = at::empty({0});
  EXPECT_EQ(error_of([&] { tcf::pad_out(out, input, {1, 1}); }), text);
}

}  // namespace
}  // namespace ops_test
