// Where the memory of CPU outputs comes from: a list of freed blocks for each class of sizes.
#include "output_cache.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <pthread.h>
#include <sys/mman.h>
#include <torchcrop_fast/memory.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <list>
#include <mutex>

#include "environment.h"
#include "machine.h"

namespace torchcrop_fast {
namespace {

constexpr size_t kLine = 64;             // alignment of every block, as torch's own
constexpr size_t kMapped = 4 << 20;      // blocks from this size on are mapped apart, on huge pages
constexpr size_t kHugePage = 2 << 20;    // their alignment
constexpr size_t kNeverKept = 32 << 20;  // by malloc: larger blocks are always fresh, and small pages make them slow
constexpr int kSteps = 4;                // classes from one power of two to the next: a block is at most 1/4 too large

// The class of a size: how many classes are smaller.
int size_class(size_t bytes) {
  const size_t lines = std::max<size_t>((bytes + kLine - 1) / kLine, 1);
  if (lines <= kSteps) {
    return static_cast<int>(lines) - 1;
  }
  const int log = std::bit_width(lines - 1) - 1;  // 2^log < lines <= 2^(log + 1)
  const size_t step = (size_t{1} << log) / kSteps;
  return kSteps * (log - 2) + static_cast<int>((lines - 1) / step);
}

// The bytes of the blocks of a class.
size_t class_bytes(int index) {
  if (index < kSteps) {
    return (index + 1) * kLine;
  }
  return ((index % kSteps + kSteps + 1) * kLine) << (index / kSteps - 1);
}

// One sixteenth of the memory that the process may use, or what the environment says.
int64_t initial_limit() {
  return bytes_of_variable("TORCHCROP_FAST_CACHE", [] { return usable_memory() / 16; });
}

struct Block {
  void* data;
  int size_class;
  int64_t freed;                    // when, counted in blocks freed
  std::list<Block>::iterator self;  // blocks go from list to list without a new node

  int64_t bytes() const { return static_cast<int64_t>(class_bytes(size_class)); }
};
using Blocks = std::list<Block>;

void* acquire_memory(size_t bytes) {
  if (bytes < kMapped) {
    return std::aligned_alloc(kLine, bytes);
  }
  // Mapped larger, and the ends given back, so that it begins at a huge page.
  const size_t mapped = bytes + kHugePage;
  void* const map = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    return nullptr;
  }
  char* const begin = static_cast<char*>(map);
  char* const data = begin + (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (data > begin) {
    munmap(begin, data - begin);
  }
  if (data + bytes < begin + mapped) {
    munmap(data + bytes, begin + mapped - (data + bytes));
  }
  madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

void release_memory(void* data, size_t bytes) {
  if (bytes < kMapped) {
    std::free(data);
  } else {
    munmap(data, bytes);
  }
}

class OutputCache final : public c10::Allocator {
 public:
  // Never destroyed: tensors may live longer than any other object.
  static OutputCache& get() {
    static auto* const cache = [] {
      auto* const made = new OutputCache;  // first: what throws here must leave no handlers behind
      // A fork waits until no thread is in here. The child starts empty: what it inherits it would have to copy.
      pthread_atfork([] { get().mutex_.lock(); }, [] { get().mutex_.unlock(); }, [] { get().start_child(); });
      return made;
    }();
    return *cache;
  }

  c10::DataPtr allocate(size_t bytes) override {
    Block* const block = bytes > 0 ? find_or_make(size_class(bytes)) : nullptr;
    if (!block) {  // malloc does as well with the cache off, or there is no memory: then the error is torch's
      return c10::GetCPUAllocator()->allocate(bytes);
    }
    c10::profiledCPUMemoryReporter().New(block->data, bytes);
    return {block->data, block, free_block, c10::Device(c10::kCPU)};
  }

  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  static bool used_before(const c10::DataPtr& memory) {
    const auto* const block = memory.cast_context<Block>(free_block);
    return block && block->freed > 0;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  void set_limit(int64_t bytes) {
    Blocks evicted;
    {
      const std::lock_guard lock(mutex_);
      stats_.limit = bytes;
      evict(evicted);
    }
    release(evicted);
  }

  // Gives back all that is kept.
  void empty() {
    Blocks evicted;
    {
      const std::lock_guard lock(mutex_);
      for (Blocks& blocks : free_) {
        evicted.splice(evicted.end(), blocks);
      }
      stats_.cached_bytes = 0;
    }
    release(evicted);
  }

 private:
  static constexpr int kClasses = 256;  // enough for any size: four to each power of two

  // A block of this class: a kept one, or a new one. None where the cache is off and malloc does as well, or where
  // there is no memory.
  Block* find_or_make(int index) {
    Blocks made;
    {
      const std::lock_guard lock(mutex_);
      if (stats_.limit == 0 && class_bytes(index) <= kNeverKept) {
        return nullptr;
      }
      Blocks& kept = free_[index];
      if (!kept.empty()) {
        ++stats_.hits;
        stats_.cached_bytes -= kept.front().bytes();
        return use(kept);
      }
    }
    void* data = acquire_memory(class_bytes(index));
    if (!data) {
      empty();
      data = acquire_memory(class_bytes(index));
    }
    if (!data) {
      return nullptr;
    }
    made.push_front({data, index, 0, {}});
    made.front().self = made.begin();
    const std::lock_guard lock(mutex_);
    ++stats_.misses;
    return use(made);
  }

  // Moves the first of these blocks to those in use.
  Block* use(Blocks& blocks) {
    used_.splice(used_.begin(), blocks, blocks.begin());
    stats_.allocated_bytes += used_.front().bytes();
    return &used_.front();
  }

  static void free_block(void* block) { get().keep(*static_cast<Block*>(block)); }

  void keep(Block& block) {
    c10::profiledCPUMemoryReporter().Delete(block.data);
    Blocks evicted;
    {
      const std::lock_guard lock(mutex_);
      stats_.allocated_bytes -= block.bytes();
      if (block.bytes() > stats_.limit) {
        evicted.splice(evicted.begin(), used_, block.self);
        ++stats_.evictions;
      } else {
        stats_.cached_bytes += block.bytes();
        block.freed = ++frees_;
        Blocks& kept = free_[block.size_class];
        kept.splice(kept.begin(), used_, block.self);
        evict(evicted);
      }
    }
    release(evicted);
  }

  // Takes out the blocks that were freed longest ago, until the rest is within the limit.
  void evict(Blocks& evicted) {
    while (stats_.cached_bytes > stats_.limit) {
      const auto age = [](const Blocks& blocks) { return blocks.empty() ? INT64_MAX : blocks.back().freed; };
      Blocks& oldest = *std::min_element(
          free_.begin(), free_.end(), [&](const Blocks& a, const Blocks& b) { return age(a) < age(b); });
      evicted.splice(evicted.begin(), oldest, std::prev(oldest.end()));
      stats_.cached_bytes -= evicted.front().bytes();
      ++stats_.evictions;
    }
  }

  static void release(const Blocks& blocks) {
    for (const Block& block : blocks) {
      release_memory(block.data, class_bytes(block.size_class));
    }
  }

  void start_child() {
    mutex_.unlock();
    empty();
  }

  std::mutex mutex_;                   // for all below; never held while the system is asked for memory
  std::array<Blocks, kClasses> free_;  // kept blocks of each class, the one freed last in front
  Blocks used_;                        // those that tensors hold
  int64_t frees_ = 0;
  MemoryStats stats_{initial_limit(), 0, 0, 0, 0, 0};
};

// torch's allocator, and where that finds no memory, once more with the cache emptied, as torch's own caches do it.
class EmptyingAllocator final : public c10::Allocator {
 public:
  explicit EmptyingAllocator(c10::Allocator* torchs) : torchs_(torchs) {}

  c10::DataPtr allocate(size_t bytes) override {
    try {
      return torchs_->allocate(bytes);
    } catch (const c10::Error&) {
      if (memory_stats().cached_bytes == 0) {
        throw;
      }
    }
    empty_cache();
    return torchs_->allocate(bytes);
  }

  c10::DeleterFnPtr raw_deleter() const override { return torchs_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { torchs_->copy_data(to, from, bytes); }

 private:
  c10::Allocator* const torchs_;
};

[[maybe_unused]] const bool kEmptiesForTorch = [] {
  c10::SetCPUAllocator(new EmptyingAllocator(c10::GetCPUAllocator()));  // never destroyed, as the cache
  return true;
}();

}  // namespace

c10::Allocator* output_allocator() { return &OutputCache::get(); }

bool used_before(const c10::DataPtr& memory) { return OutputCache::used_before(memory); }

MemoryStats memory_stats() { return OutputCache::get().stats(); }

void empty_cache() { OutputCache::get().empty(); }

void set_cache_limit(int64_t bytes) {
  TORCH_CHECK(bytes >= 0, "set_cache_limit: bytes must not be negative, got ", bytes);
  OutputCache::get().set_limit(bytes);
}

}  // namespace torchcrop_fast
