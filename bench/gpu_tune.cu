// Times a fixed set of windows as the kernels have been compiled, and prints a line of figures for each, as CSV:
// case,kind,bytes,round,us,copy_us,checksum. copy_us is what a copy of as many bytes took in the same round.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "gpu_windows.h"

namespace {

using namespace torchcrop_fast;

constexpr int kRounds = 5;
constexpr int kCalls = 20;          // in a round
constexpr int kGraphCalls = 500;    // of what takes little longer than a launch
constexpr int64_t kTiny = 8 << 20;  // bytes moved, up to which calls are replayed from a graph

void check(int error, const char* what) {
  if (error != cudaSuccess) {
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(static_cast<cudaError_t>(error)));
    std::exit(1);
  }
}

__global__ void fill_kernel(uint32_t* words, int64_t count) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    words[i] = static_cast<uint32_t>((i + 1) * 2654435761u) ^ static_cast<uint32_t>(i >> 7);
  }
}

__global__ void add_kernel(const unsigned char* bytes, int64_t count, unsigned long long* sum) {
  unsigned long long mine = 0;
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    mine += bytes[i] * static_cast<unsigned long long>(i * 2654435761u + 1);
  }
  atomicAdd(sum, mine);
}

// A block of the GPU's memory.
class Memory {
 public:
  explicit Memory(int64_t bytes) { check(cudaMalloc(&bytes_, (bytes + 15) / 16 * 16), "cudaMalloc"); }
  ~Memory() { cudaFree(bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* get() const { return static_cast<char*>(bytes_); }

 private:
  void* bytes_ = nullptr;
};

// One case: its buffers, through which calls rotate, and its windows.
class Job {
 public:
  Job(const Case& given, int64_t cache)
      : case_(given),
        moved_(moved(given)),
        copies_(static_cast<int>(std::min<int64_t>(std::max<int64_t>((2 * cache - 1) / moved_ + 1, 2), 256))),
        in_size_(padded(given.in_bytes())),
        out_size_(padded(given.out_bytes())),
        half_(padded(moved_ / 2)),
        in_(copies_ * in_size_),
        out_(copies_ * out_size_),
        source_(copies_ * half_),
        target_(copies_ * half_),
        starts_(given.n * 2 * sizeof(int64_t)),
        flips_(given.n) {
    for (const auto& [memory, bytes] : {std::pair{&in_, copies_ * in_size_}, std::pair{&source_, copies_ * half_}}) {
      fill_kernel<<<1024, 256>>>(reinterpret_cast<uint32_t*>(memory->get()), bytes / 4);
    }
    const GivenPlaces places = places_of(given);
    const auto& [starts, flips] = places;
    check(cudaMemcpy(starts_.get(), starts.data(), starts.size() * sizeof(int64_t), cudaMemcpyDefault), "starts");
    check(cudaMemcpy(flips_.get(), flips.data(), flips.size(), cudaMemcpyDefault), "flips");
    check(cudaDeviceSynchronize(), "filling");
  }

  void run(int call, Stream stream) const {
    const int64_t nth = call % copies_;
    const auto* const starts = reinterpret_cast<const int64_t*>(starts_.get());
    const auto* const flips = reinterpret_cast<const unsigned char*>(flips_.get());
    const Windows windows = windows_of(case_, in_.get() + nth * in_size_, out_.get() + nth * out_size_, starts, flips);
    check(launch_case(case_, windows, stream), case_.name);
  }

  void copy(int call, Stream stream) const {
    const int64_t at = call % copies_ * half_;
    const int64_t bytes = moved_ / 2;
    check(cudaMemcpyAsync(target_.get() + at, source_.get() + at, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  }

  int64_t bytes() const { return moved_; }

  unsigned long long checksum(Stream stream) const {
    Memory sum(sizeof(unsigned long long));
    check(cudaMemset(out_.get(), 0x5a, out_size_), "poison");
    check(cudaMemset(sum.get(), 0, sizeof(unsigned long long)), "sum");
    check(cudaDeviceSynchronize(), "poison");
    run(0, stream);
    add_kernel<<<1024, 256, 0, stream>>>(
        reinterpret_cast<const unsigned char*>(out_.get()), case_.out_bytes(),
        reinterpret_cast<unsigned long long*>(sum.get()));
    check(cudaStreamSynchronize(stream), case_.name);
    unsigned long long result = 0;
    check(cudaMemcpy(&result, sum.get(), sizeof(result), cudaMemcpyDefault), "sum");
    return result;
  }

 private:
  static int64_t padded(int64_t bytes) { return (bytes + 255) / 256 * 256; }

  const Case& case_;
  int64_t moved_;
  int copies_;
  int64_t in_size_, out_size_, half_;
  Memory in_, out_, source_, target_, starts_, flips_;
};

// Microseconds a call; the first ones, untimed, keep the GPU from waiting.
class Clock {
 public:
  explicit Clock(Stream stream) : stream_(stream) {
    check(cudaEventCreate(&begin_), "event");
    check(cudaEventCreate(&end_), "event");
  }

  double time(const std::function<void()>& work, int calls) const {
    work();
    check(cudaEventRecord(begin_, stream_), "event");
    work();
    check(cudaEventRecord(end_, stream_), "event");
    check(cudaEventSynchronize(end_), "work");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "event");
    return 1e3 * milliseconds / calls;
  }

  // The same from a graph of many calls.
  double time_in_graph(const std::function<void(int)>& call, int calls) const {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < calls; ++i) {
      call(i);
    }
    check(cudaStreamEndCapture(stream_, &graph), "capture");
    check(cudaGraphInstantiate(&executable, graph, 0), "graph");
    const double taken = time([&] { check(cudaGraphLaunch(executable, stream_), "graph"); }, calls);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    return taken;
  }

 private:
  Stream stream_;
  cudaEvent_t begin_, end_;
};

}  // namespace

int main() {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0), "no GPU");
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  const Clock clock(stream);
  std::printf("case,kind,bytes,round,us,copy_us,checksum\n");
  for (const Case& given : kCases) {
    const Job job(given, properties.l2CacheSize);
    const unsigned long long checksum = job.checksum(stream);
    const auto run = [&](int call) { job.run(call, stream); };
    const auto copy = [&](int call) { job.copy(call, stream); };
    const auto time = [&](const std::function<void(int)>& call) {
      if (job.bytes() <= kTiny) {
        return clock.time_in_graph(call, kGraphCalls);
      }
      const auto all = [&] {
        for (int i = 0; i < kCalls; ++i) {
          call(i);
        }
      };
      return clock.time(all, kCalls);
    };
    for (int round = 0; round < kRounds; ++round) {
      const double us = time(run), copy_us = time(copy);
      const auto bytes = static_cast<long long>(job.bytes());
      std::printf(
          "\"%s\",\"%s\",%lld,%d,%.3f,%.3f,%llu\n", given.name, given.kind, bytes, round, us, copy_us, checksum);
    }
  }
  return 0;
}
