// Threads that use the cache of outputs all at once, for ThreadSanitizer: blocks are taken, passed on, freed and
// evicted.
#include <output_cache.h>
#include <torchcrop_fast/memory.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <latch>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace {

using torchcrop_fast::MemoryStats;

constexpr int kThreads = 4;

// Blocks that any thread may free.
class Passed {
 public:
  void put(c10::DataPtr&& block) {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(std::move(block));
  }
  c10::DataPtr take() {
    const std::lock_guard lock(mutex_);
    if (blocks_.size() < 20) {
      return {};
    }
    c10::DataPtr block = std::move(blocks_.front());
    blocks_.pop_front();
    return block;
  }

 private:
  std::mutex mutex_;
  std::deque<c10::DataPtr> blocks_;
};

size_t size_of(std::mt19937& random) {
  return size_t{1} << (random() % 200 == 0 ? 22 : random() % 14);  // some are mapped
}

void work(int seed, int rounds, Passed& passed) {
  std::mt19937 random(seed);
  for (int i = 0; i < rounds; ++i) {
    const size_t bytes = size_of(random);
    c10::DataPtr block = torchcrop_fast::output_allocator()->allocate(bytes);
    static_cast<char*>(block.get())[bytes - 1] = static_cast<char>(seed);
    torchcrop_fast::used_before(block);
    if (random() % 4 == 0) {
      passed.put(std::move(block));
      passed.take();
    }
    switch (random() % 16) {
      case 0:
        torchcrop_fast::empty_cache();
        break;
      case 1:
        torchcrop_fast::set_cache_limit(int64_t{1} << (random() % 26));
        break;
      case 2:
        if (const MemoryStats stats = torchcrop_fast::memory_stats(); stats.cached_bytes > stats.limit) {
          std::puts("more is kept than may be");
        }
        break;
      default:
        break;
    }
  }
}

}  // namespace

int main(int, char** argv) {
  const int rounds = std::atoi(argv[1]);
  {
    Passed passed;
    std::latch together(kThreads);
    std::vector<std::thread> threads;
    for (int seed = 0; seed < kThreads; ++seed) {
      threads.emplace_back([&, seed] {
        together.arrive_and_wait();
        work(seed, rounds, passed);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  torchcrop_fast::empty_cache();
  const MemoryStats stats = torchcrop_fast::memory_stats();
  const bool balanced = stats.allocated_bytes == 0 && stats.cached_bytes == 0;
  std::puts(balanced ? "all right" : "blocks are lost");
  return balanced ? 0 : 1;
}
