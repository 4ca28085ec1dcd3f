// A GPU for g++: the names that kernels use, given a meaning on the CPU, and a watch on every access to memory. Blocks
// and the threads of each run one after the other, in an order that changes from launch to launch.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

namespace torchcrop_fast::emulation {

struct Place {
  unsigned x = 0;
};

inline thread_local Place thread, block, block_size, grid;

// Watches one launch: its loads lie in what may be read and its stores in what must be written, all aligned, and each
// byte is stored once. Throws std::logic_error where a thread breaks that.
class Watch {
 public:
  Watch() { current() = this; }
  ~Watch() { current() = nullptr; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  static Watch*& current() {
    static thread_local Watch* watch = nullptr;
    return watch;
  }

  void may_read(const void* begin, const void* end) { read_.push_back({address(begin), address(end)}); }

  // How many bytes of this range, which may have gaps.
  void must_write(const void* begin, const void* end, int64_t bytes) {
    write_ = {address(begin), address(end)};
    left_ = bytes;
  }

  void load(const void* from, size_t bytes) const {
    const Access access = seen(from, bytes);
    if (std::none_of(read_.begin(), read_.end(), [&](const Range& range) { return range.has(access); })) {
      fail("a load from outside of what may be read", access);
    }
  }

  void store(const void* to, size_t bytes) {
    const Access access = seen(to, bytes);
    if (!write_.has(access)) {
      fail("a store outside of what must be written", access);
    }
    stores_.push_back(access);
    left_ -= static_cast<int64_t>(bytes);
  }

  void finish() {
    std::sort(stores_.begin(), stores_.end(), [](const Access& a, const Access& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < stores_.size(); ++i) {
      if (stores_[i].begin < stores_[i - 1].end) {
        fail("a byte is stored twice, the second time", stores_[i]);
      }
    }
    if (left_ != 0) {
      throw std::logic_error(std::to_string(left_) + " bytes are not stored");
    }
  }

 private:
  struct Access {
    uintptr_t begin, end;
    unsigned thread, block;
  };
  struct Range {
    uintptr_t begin, end;
    bool has(const Access& access) const { return begin <= access.begin && access.end <= end; }
  };

  static uintptr_t address(const void* place) { return reinterpret_cast<uintptr_t>(place); }

  static Access seen(const void* place, size_t bytes) {
    const Access access{address(place), address(place) + bytes, thread.x, block.x};
    if (access.begin % bytes != 0) {
      fail("a misaligned access", access);
    }
    return access;
  }

  [[noreturn]] static void fail(const char* what, const Access& access) {
    std::ostringstream text;
    text << what << ": bytes " << access.begin << " to " << access.end << ", by thread " << access.thread
         << " of block " << access.block;
    throw std::logic_error(text.str());
  }

  std::vector<Range> read_;
  Range write_{};
  std::vector<Access> stores_;
  int64_t left_ = 0;  // bytes
};

template <class T>
T load(const char* from) {
  Watch::current()->load(from, sizeof(T));
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
void store(char* to, const T& value) {
  Watch::current()->store(to, sizeof(T));
  std::memcpy(to, &value, sizeof(T));
}

// Runs a kernel's threads.
template <class Kernel>
void run(int64_t blocks, int threads, const Kernel& kernel) {
  static thread_local std::mt19937 rng;
  std::vector<unsigned> block_order(blocks), thread_order(threads);
  std::iota(block_order.begin(), block_order.end(), 0u);
  std::iota(thread_order.begin(), thread_order.end(), 0u);
  std::shuffle(block_order.begin(), block_order.end(), rng);
  block_size.x = static_cast<unsigned>(threads);
  grid.x = static_cast<unsigned>(blocks);
  for (const unsigned b : block_order) {
    block.x = b;
    std::shuffle(thread_order.begin(), thread_order.end(), rng);
    for (const unsigned t : thread_order) {
      thread.x = t;
      kernel();
    }
  }
}

}  // namespace torchcrop_fast::emulation

// What nvcc knows without a header.
#define threadIdx ::torchcrop_fast::emulation::thread
#define blockIdx ::torchcrop_fast::emulation::block
#define blockDim ::torchcrop_fast::emulation::block_size
#define gridDim ::torchcrop_fast::emulation::grid

inline uint32_t __umulhi(uint32_t a, uint32_t b) { return static_cast<uint32_t>((uint64_t{a} * b) >> 32); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
}
// The low half of (high, low) shifted right by shift % 32 bits.
inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
  return static_cast<uint32_t>(((uint64_t{high} << 32) | low) >> (shift % 32));
}
// The high half of (high, low) shifted left by at most 32 bits.
inline uint32_t __funnelshift_lc(uint32_t low, uint32_t high, uint32_t shift) {
  return static_cast<uint32_t>(((uint64_t{high} << 32) | low) << (shift < 32 ? shift : 32) >> 32);
}
// Four of the eight bytes of (b, a), each chosen by a hexadecimal digit.
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t chosen) {
  const uint64_t bytes = (uint64_t{b} << 32) | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>((bytes >> (8 * ((chosen >> (4 * i)) & 7))) & 0xff) << (8 * i);
  }
  return result;
}
