// What kernels for GPUs are written in: memory only through loads and stores, and one way to launch. A thread shares
// nothing with others but what it reads, so g++ can compile a kernel, too, and run it on the CPU (emulation.h).
#pragma once

#include <cstdint>

#include "window_cuda.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "emulation.h"
#endif

namespace torchcrop_fast {

// Threads of a block, at most.
#if !defined(TORCHCROP_FAST_THREADS)
#define TORCHCROP_FAST_THREADS 128
#endif
inline constexpr int kThreads = TORCHCROP_FAST_THREADS;

// And of one that writes little beside others that do.
#if !defined(TORCHCROP_FAST_SMALL_THREADS)
#define TORCHCROP_FAST_SMALL_THREADS TORCHCROP_FAST_THREADS
#endif
inline constexpr int kSmallThreads = TORCHCROP_FAST_SMALL_THREADS;

// How many threads a multiprocessor is to hold, in blocks, so that none of a kernel's registers spills: all, two thirds
// or half of them, by what the kernel needs.
#if !defined(TORCHCROP_FAST_RESIDENT_THREADS)
#define TORCHCROP_FAST_RESIDENT_THREADS 1536
#endif
template <class Index>
constexpr int min_blocks(int needs) {
  constexpr int kResident = TORCHCROP_FAST_RESIDENT_THREADS / (sizeof(Index) == 4 ? 1 : 2);
  return kResident * (needs == 0 ? 6 : (needs == 1 ? 4 : 3)) / 6 / kThreads;
}

// Where no number of a launch reaches it, threads count in 32 bits: what they add to one still fits.
#if !defined(TORCHCROP_FAST_32_BIT_LIMIT)
#define TORCHCROP_FAST_32_BIT_LIMIT ((int64_t{1} << 31) - (1 << 16))
#endif
inline constexpr int64_t k32BitLimit = TORCHCROP_FAST_32_BIT_LIMIT;

// 16 bytes, the most that a thread loads or stores at once, as words of 32 bits; the lowest address first.
struct alignas(16) Chunk {
  uint32_t word[4];
};
inline constexpr int kChunkBytes = 16;

// The bytes that a launch reads and writes, for the emulation: ranges [begin, end), none of which overlaps what is
// written. Of what is written, `bytes` bytes are, each exactly once.
struct Accesses {
  struct Range {
    const void* begin;
    const void* end;
  };
  Range read[3];
  Range write;
  int64_t written;
};

#if defined(__CUDACC__)

template <class T>
__device__ __forceinline__ T load(const char* from) {
#if defined(TORCHCROP_FAST_LOAD_PAST_L1)
  return __ldcg(reinterpret_cast<const T*>(from));
#elif defined(TORCHCROP_FAST_LOAD_CACHED)
  return *reinterpret_cast<const T*>(from);
#else
  return __ldg(reinterpret_cast<const T*>(from));
#endif
}

template <>
__device__ __forceinline__ Chunk load<Chunk>(const char* from) {
  const uint4 words = load<uint4>(from);
  return {words.x, words.y, words.z, words.w};
}

template <class T>
__device__ __forceinline__ void store(char* to, T value) {
#if defined(TORCHCROP_FAST_STORE_STREAMING)
  __stcs(reinterpret_cast<T*>(to), value);
#else
  *reinterpret_cast<T*>(to) = value;
#endif
}

template <>
__device__ __forceinline__ void store<Chunk>(char* to, Chunk chunk) {
  store<uint4>(to, make_uint4(chunk.word[0], chunk.word[1], chunk.word[2], chunk.word[3]));
}

#if defined(TORCHCROP_FAST_TELL_ACCESSES)
void tell_accesses(const Accesses& accesses);  // of the launch to come, for who runs it without a GPU
#else
inline void tell_accesses(const Accesses&) {}
#endif

// Launches blocks of a kernel on a stream. Returns a cudaError_t.
template <class Parameters>
LaunchError launch(
    void (*kernel)(Parameters),
    int64_t blocks,
    int threads,
    Stream stream,
    Parameters parameters,
    const Accesses& accesses) {
  tell_accesses(accesses);
  void* arguments[] = {&parameters};
  const dim3 grid(static_cast<unsigned>(blocks)), block(static_cast<unsigned>(threads));
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, arguments, 0, stream);
}

#else

template <class T>
T load(const char* from) {
  return emulation::load<T>(from);
}

template <class T>
void store(char* to, T value) {
  emulation::store(to, value);
}

inline void watch_for(emulation::Watch& watch, const Accesses& accesses) {
  for (const Accesses::Range& range : accesses.read) {
    watch.may_read(range.begin, range.end);
  }
  watch.must_write(accesses.write.begin, accesses.write.end, accesses.written);
}

template <class Parameters>
LaunchError launch(
    void (*kernel)(Parameters), int64_t blocks, int threads, Stream, Parameters parameters, const Accesses& accesses) {
  emulation::Watch watch;
  watch_for(watch, accesses);
  emulation::run(blocks, threads, [&] { kernel(parameters); });
  watch.finish();
  return 0;
}

#endif

// Division of an index, at least 0, by a divisor that the host knows, at least 1: by a multiplication.
template <class Index>
struct Divider;

template <>
struct Divider<int32_t> {
  uint32_t divisor = 1;
  uint32_t factor = 0;  // 2^(32 + shift) / divisor, rounded up, without its highest bit
  uint32_t shift = 0;

  Divider() = default;
  explicit Divider(int64_t by) : divisor(static_cast<uint32_t>(by)) {
    while ((uint64_t{1} << shift) < divisor) {
      ++shift;
    }
    factor = static_cast<uint32_t>((((uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }
  TORCHCROP_FAST_HOST_DEVICE int32_t size() const { return static_cast<int32_t>(divisor); }
  TORCHCROP_FAST_DEVICE int32_t divide(int32_t index) const {
    const auto number = static_cast<uint32_t>(index);
    return static_cast<int32_t>((__umulhi(number, factor) + number) >> shift);
  }
};

template <>
struct Divider<int64_t> {
  uint64_t divisor = 1;
  uint64_t factor = 0;  // 2^(64 + shift) / divisor, likewise
  uint32_t shift = 0;

  Divider() = default;
  explicit Divider(int64_t by) : divisor(static_cast<uint64_t>(by)) {
    while ((uint64_t{1} << shift) < divisor) {
      ++shift;
    }
    const auto rest = static_cast<unsigned __int128>((uint64_t{1} << shift) - divisor);
    factor = static_cast<uint64_t>((rest << 64) / divisor + 1);
  }
  TORCHCROP_FAST_HOST_DEVICE int64_t size() const { return static_cast<int64_t>(divisor); }
  TORCHCROP_FAST_DEVICE int64_t divide(int64_t index) const {
    const auto number = static_cast<uint64_t>(index);
    return static_cast<int64_t>((__umul64hi(number, factor) + number) >> shift);
  }
};

// Whether an index lies in [0, size).
TORCHCROP_FAST_HOST_DEVICE inline bool is_inside(int32_t index, int32_t size) {
  return static_cast<uint32_t>(index) < static_cast<uint32_t>(size);
}
TORCHCROP_FAST_HOST_DEVICE inline bool is_inside(int64_t index, int64_t size) {
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(size);
}

}  // namespace torchcrop_fast
