// The library as a whole: the memory of outputs, threads, vector instructions, and that there is no Python in the
// process.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/library.h>
#include <torchcrop_fast/memory.h>
#include <torchcrop_fast/ops.h>
#include <torchcrop_fast/override.h>

#include <cstdlib>
#include <thread>

#include "ops_test.h"

namespace tcf = torchcrop_fast;

namespace ops_test {
namespace {

constexpr int64_t kMB = 1 << 20;

// The cache is empty and on; afterwards its limit is as it was.
class MemoryTest : public OpsTest {
 protected:
  MemoryTest() {
    tcf::set_cache_limit(64 * kMB);
    tcf::empty_cache();
    before_ = tcf::memory_stats();
  }
  ~MemoryTest() override { tcf::set_cache_limit(limit_); }

  static at::Tensor bytes(int64_t size, int64_t value) {
    return tcf::pad(at::full({1}, value, at::kByte), {0, size - 1}, "constant", value);
  }

  // Whether this much more than at the start is allocated, cached, and has been counted.
  testing::AssertionResult have_changed_by(
      int64_t allocated, int64_t cached, int64_t hits, int64_t misses, int64_t evictions) const {
    const auto now = tcf::memory_stats();
    const int64_t changes[] = {
        now.allocated_bytes - before_.allocated_bytes, now.cached_bytes - before_.cached_bytes, now.hits - before_.hits,
        now.misses - before_.misses, now.evictions - before_.evictions};
    const int64_t expected[] = {allocated, cached, hits, misses, evictions};
    if (std::equal(std::begin(changes), std::end(changes), expected)) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "changed by " << at::IntArrayRef(changes) << " instead of "
                                       << at::IntArrayRef(expected);
  }

 private:
  const int64_t limit_ = tcf::memory_stats().limit;
  tcf::MemoryStats before_;
};

TEST_F(MemoryTest, AFreedBlockServesTheNextOutput) {
  auto first = bytes(3 * kMB, 1);
  const auto second = bytes(3 * kMB, 2);
  EXPECT_TRUE(have_changed_by(6 * kMB, 0, 0, 2, 0));
  void* const block = first.data_ptr();
  first.reset();
  EXPECT_TRUE(have_changed_by(3 * kMB, 3 * kMB, 0, 2, 0));
  const auto third = bytes(3 * kMB, 3);
  EXPECT_EQ(third.data_ptr(), block);
  EXPECT_TRUE(have_changed_by(6 * kMB, 0, 1, 2, 0));
  EXPECT_TRUE(second.eq(2).all().item<bool>());
  EXPECT_TRUE(third.eq(3).all().item<bool>());
}

TEST_F(MemoryTest, ABlockFreedByAnotherThreadServesTheNextOutput) {
  auto output = bytes(3 * kMB, 1);
  void* const block = output.data_ptr();
  std::thread([freed = std::move(output)]() mutable { freed.reset(); }).join();
  EXPECT_EQ(bytes(3 * kMB, 2).data_ptr(), block);
}

TEST_F(MemoryTest, EmptyCacheGivesBackWhatIsKept) {
  const auto held = bytes(2 * kMB, 1);
  bytes(3 * kMB, 2);
  EXPECT_TRUE(have_changed_by(2 * kMB, 3 * kMB, 0, 2, 0));
  tcf::empty_cache();
  EXPECT_TRUE(have_changed_by(2 * kMB, 0, 0, 2, 0));
  EXPECT_TRUE(held.eq(1).all().item<bool>());
}

TEST_F(MemoryTest, LimitEvictsTheOldestBlocks) {
  auto first = bytes(2 * kMB, 1);
  auto second = bytes(3 * kMB, 2);
  void* const newest = second.data_ptr();
  first.reset();
  second.reset();
  tcf::set_cache_limit(4 * kMB);
  EXPECT_EQ(tcf::memory_stats().limit, 4 * kMB);
  EXPECT_TRUE(have_changed_by(0, 3 * kMB, 0, 2, 1));
  EXPECT_EQ(bytes(3 * kMB, 3).data_ptr(), newest);
  bytes(5 * kMB, 4);
  EXPECT_TRUE(have_changed_by(0, 3 * kMB, 1, 3, 2));
}

TEST_F(MemoryTest, LimitOfZeroTurnsTheCacheOff) {
  bytes(3 * kMB, 1);
  tcf::set_cache_limit(0);
  const auto held = bytes(3 * kMB, 2);
  EXPECT_TRUE(have_changed_by(0, 0, 0, 1, 1));
  EXPECT_TRUE(held.eq(2).all().item<bool>());
}

TEST_F(MemoryTest, NegativeLimitIsRefused) {
  EXPECT_EQ(refusal([] { tcf::set_cache_limit(-1); }), "set_cache_limit: bytes must not be negative, got -1");
  EXPECT_EQ(tcf::memory_stats().limit, 64 * kMB);
}

// The number of threads is as it was, after each test.
class ThreadsTest : public OpsTest {
 protected:
  ~ThreadsTest() override { at::set_num_threads(threads_); }

 private:
  const int threads_ = at::get_num_threads();
};

TEST_F(ThreadsTest, OneThreadAndTwoMakeTheSameBits) {
  const auto images = at::randint(256, {5, 3, 257, 301}, at::kByte);
  const auto floats = at::rand({5, 3, 257, 301});
  const auto offsets = at::randint(-40, 90, {5, 3, 2}, at::kLong);  // threads part in a window
  const auto flip = at::randint(2, {5, 3}, at::kBool);
  const std::vector<double> mean = {0.5, 0.25, 0.75}, std = {0.5, 2, 0.125};
  const auto results = [&] {
    std::vector<at::Tensor> results;
    for (const auto mode : kModes) {
      const auto leaf = floats.clone().requires_grad_();
      results.push_back(tcf::crop_at(leaf, offsets, {224, 230}, flip, mode));
      results.push_back(
          tcf::crop_mirror_normalize(
              images, offsets, {224, 230}, mean, std, flip, at::kHalf, "CHW", at::MemoryFormat::ChannelsLast, mode));
      results.push_back(
          tcf::crop_mirror_normalize(
              leaf, offsets, {224, 230}, mean, std, flip, std::nullopt, "CHW", std::nullopt, mode));
      (results[results.size() - 3].sum() + results.back().sum()).backward();
      results.push_back(leaf.grad());
      if (mode != "symmetric") {
        results.push_back(tcf::pad(floats, {7, -3, 11, 5}, mode));
      }
    }
    return results;
  };
  at::set_num_threads(1);
  const auto alone = results();
  at::set_num_threads(2);
  const auto together = results();
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(same(together[i].detach(), alone[i].detach())) << "result " << i;
  }
}

TEST_F(ThreadsTest, LargePadsAreTorchs) {
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const auto large = at::rand({1 << 22});  // others each time: memory that is used again must be written
    EXPECT_TRUE(same(tcf::pad(large, {1, 1}, "constant", threads), at::constant_pad_nd(large, {1, 1}, threads)));
    EXPECT_TRUE(same(tcf::crop(large, {1, 1}), large.narrow(0, 1, large.size(0) - 2)));
  }
}

// Whether our kernels run torch's own pads.
bool overridden() {
  const auto outputs = [] { return tcf::memory_stats().hits + tcf::memory_stats().misses; };
  const auto before = outputs();
  at::constant_pad_nd(at::ones({100}), {1, 1});
  return outputs() > before;
}

at::Tensor identity(const at::Tensor& input) { return input; }

TEST(Override, IsOnUntilEachHandleIsRemoved) {
  struct Counter : c10::WarningHandler {
    void process(const c10::Warning&) override { ++warnings; }
    int warnings = 0;
  } counter;
  const c10::WarningUtils::WarningHandlerGuard counts(&counter);
  EXPECT_FALSE(overridden());
  EXPECT_FALSE(tcf::torch_pad_overridden());
  const auto first = tcf::override_torch_pad();
  const auto second = tcf::override_torch_pad();
  const auto copy = first;
  EXPECT_EQ(counter.warnings, 0);
  EXPECT_TRUE(overridden());
  EXPECT_TRUE(tcf::torch_pad_overridden());
  first.remove();
  copy.remove();
  EXPECT_TRUE(overridden());
  second.remove();
  EXPECT_FALSE(overridden());
  // torch warns of overridden kernels once: still of the first that isn't ours.
  torch::Library others(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  others.impl("relu", TORCH_FN(identity));
  EXPECT_EQ(counter.warnings, 1);
}

TEST(Override, GivesTorchsValuesGradientsAndErrors) {
  const auto results = [] {
    const auto leaf = at::arange(24, at::kFloat).view({2, 3, 4}).requires_grad_();
    const auto padded =
        at::replication_pad1d(at::reflection_pad1d(at::constant_pad_nd(leaf, {-1, 2}, 7), {2, 1}), {1, 2});
    padded.square().sum().backward();
    return std::pair(padded.detach(), leaf.grad());
  };
  const auto wrong = [] { at::reflection_pad1d(at::ones({2, 3}), {3, 0}); };
  const auto expected = results();
  const auto text = refusal(wrong);
  const auto override = tcf::override_torch_pad();
  const auto found = results();
  EXPECT_TRUE(same(found.first, expected.first));
  EXPECT_TRUE(same(found.second, expected.second));
  EXPECT_EQ(refusal(wrong), text);
  EXPECT_NE(text, "");
  override.remove();
}

TEST(Library, UsesTheVectorInstructionsOfTheCpuOrThoseAskedFor) {
  const char* best = "default";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    best = "avx2";
  }
#endif
  const char* const wanted = std::getenv("TORCHCROP_FAST_CPU_CAPABILITY");
  EXPECT_STREQ(tcf::cpu_capability_name(), wanted ? wanted : best);
}

TEST(Library, NeedsNoPython) { EXPECT_EQ(dlsym(RTLD_DEFAULT, "Py_IsInitialized"), nullptr); }

}  // namespace
}  // namespace ops_test
