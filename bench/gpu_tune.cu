// Times a fixed set of windows as the kernels have been compiled, and prints a line of figures for each, as CSV:
// case,bytes,round,us,copy_us,checksum. copy_us is what a copy of as many bytes took in the same round.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "normalize_cuda.h"
#include "window_cuda.h"

namespace {

using namespace torchcrop_fast;

constexpr int kRounds = 5;
constexpr int kCalls = 20;          // in a round
constexpr int kGraphCalls = 500;    // of what takes little longer than a launch
constexpr int64_t kTiny = 4 << 20;  // bytes moved, up to which calls are replayed from a graph

void check(int error, const char* what) {
  if (error != cudaSuccess) {
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(static_cast<cudaError_t>(error)));
    std::exit(1);
  }
}

// A window of images (n, c, h, w), whose pixels are of elements (n, h, w, c) where channels are last.
struct Case {
  const char* name;
  int element_size;
  int64_t n, c, h, w;
  int64_t top, left, out_h, out_w;
  bool channels_last = false;
  bool placed = false;  // each image at its own place, every second one mirrored; top and left mean nothing
  Border border = Border::kConstant;
  bool normalized = false;  // bytes to half

  int64_t in_elements() const { return n * c * h * w; }
  int64_t out_elements() const { return n * c * out_h * out_w; }
  int64_t in_bytes() const { return in_elements() * element_size; }
  int64_t out_bytes() const { return out_elements() * (normalized ? 2 : element_size); }
  int64_t moved() const {
    const auto seen = [](int64_t start, int64_t size, int64_t in_size) {
      return std::min(start + size, in_size) - std::max<int64_t>(start, 0);
    };
    const int64_t rows = placed ? out_h : seen(top, out_h, h);
    const int64_t columns = placed ? out_w : seen(left, out_w, w);
    return n * c * rows * columns * element_size + out_bytes();
  }
};

// clang-format off
const Case kCases[] = {
    {"uint8 odd",                 1,    32, 64, 256, 256,  3,  7, 249, 239},
    {"bfloat16 odd",              2,    16, 64, 256, 256,  3,  7, 249, 239},
    {"float32 odd",               4,     8, 64, 256, 256,  3,  7, 249, 239},
    {"float64 odd",               8,     4, 64, 256, 256,  3,  7, 249, 239},
    {"float32 even",              4,     8, 64, 256, 256, 16, 16, 224, 224},
    {"uint8 mixed",               1,    32, 64, 256, 256, -2,  3, 251, 258},
    {"float32 mixed",             4,     8, 64, 256, 256, -2,  3, 251, 258},
    {"uint8 odd, channels last",  1,   512,  3, 256, 256,  3,  7, 249, 239, true},
    {"float32 short rows",        4, 65536,  1,  32,  32,  2,  3,  27,  27},
    {"uint8 placed",              1,   512,  3, 256, 256,  0,  0, 224, 224, false, true},
    {"float32 placed",            4,   256,  3, 256, 256,  0,  0, 224, 224, false, true},
    {"float32 placed, reflect",   4,  8192,  3,  32,  32,  0,  0,  32,  32, false, true, Border::kReflect},
    {"uint8 to half, normalized", 1,   512,  3, 256, 256,  0,  0, 224, 224, true,  true, Border::kConstant, true},
    {"tiny",                      4,    10,  1,  28,  28,  4,  4,  20,  20},
    {"small",                     4,    64,  3,  32,  32,  0,  0,  32,  32, false, true},
};
// clang-format on

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
        copies_(static_cast<int>(std::min<int64_t>(std::max<int64_t>((2 * cache - 1) / given.moved() + 1, 2), 256))),
        in_size_(padded(given.in_bytes())),
        out_size_(padded(given.out_bytes())),
        half_(padded(given.moved() / 2)),
        in_(copies_ * in_size_),
        out_(copies_ * out_size_),
        source_(copies_ * half_),
        target_(copies_ * half_),
        starts_(given.n * 2 * sizeof(int64_t)),
        flips_(given.n) {
    for (const auto& [memory, bytes] : {std::pair{&in_, copies_ * in_size_}, std::pair{&source_, copies_ * half_}}) {
      fill_kernel<<<1024, 256>>>(reinterpret_cast<uint32_t*>(memory->get()), bytes / 4);
    }
    std::vector<int64_t> starts;
    std::vector<unsigned char> flips;
    for (int64_t image = 0; image < given.n; ++image) {
      const int64_t overhang = given.border == Border::kConstant ? 0 : 4;
      starts.push_back((image * 7) % (given.h - given.out_h + 2 * overhang + 1) - overhang);
      starts.push_back((image * 13) % (given.w - given.out_w + 2 * overhang + 1) - overhang);
      flips.push_back(image % 2);
    }
    check(cudaMemcpy(starts_.get(), starts.data(), starts.size() * sizeof(int64_t), cudaMemcpyDefault), "starts");
    check(cudaMemcpy(flips_.get(), flips.data(), flips.size(), cudaMemcpyDefault), "flips");
    check(cudaDeviceSynchronize(), "filling");
  }

  void run(int call, Stream stream) const {
    const Windows windows = windows_of(call % copies_);
    if (case_.normalized) {
      const float scale[] = {0.0171f, 0.0175f, 0.0174f}, bias[] = {-2.12f, -2.04f, -1.80f}, fill[] = {0, 0, 0};
      const NormalizedWindows normalized{windows, PixelType::kUint8, PixelType::kHalf, scale, bias, fill};
      check(normalize_windows_cuda(normalized, stream), case_.name);
    } else {
      check(copy_windows_cuda(windows, stream), case_.name);
    }
  }

  void copy(int call, Stream stream) const {
    const int64_t at = call % copies_ * half_;
    const int64_t bytes = case_.moved() / 2;
    check(cudaMemcpyAsync(target_.get() + at, source_.get() + at, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  }

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

  Windows windows_of(int64_t copy) const {
    const Case& g = case_;
    const bool last = g.channels_last;
    const int64_t pixel = last ? g.c : 1;
    const WindowDim rows{g.out_h, g.placed ? 0 : g.top, g.h, g.w * pixel, g.out_w * pixel};
    const WindowDim columns{g.out_w, g.placed ? 0 : g.left, g.w, pixel, pixel};
    const WindowDim channels{g.c, 0, g.c, last ? 1 : g.h * g.w, last ? 1 : g.out_h * g.out_w};
    Windows windows{};
    Window& window = windows.window;
    window.in = in_.get() + copy * in_size_;
    window.out = out_.get() + copy * out_size_;
    window.element_size = g.element_size;
    window.border = g.border;
    const auto add = [&](const WindowDim& dim, int spatial) {
      windows.spatial[window.dims] = spatial;
      window.dim[window.dims++] = dim;
    };
    const int64_t in_image = g.c * g.h * g.w, out_image = g.c * g.out_h * g.out_w;
    if (g.normalized) {  // (channel, y, x): out channel after channel
      window.element_size = 1;
      add({g.c, 0, g.c, 1, g.out_h * g.out_w}, -1);
      add({g.out_h, 0, g.h, g.w * g.c, g.out_w}, 0);
      add({g.out_w, 0, g.w, g.c, 1}, 1);
    } else {
      if (!g.placed) {
        add({g.n, 0, g.n, in_image, out_image}, -1);
      }
      if (!last) {
        add(channels, -1);
      }
      add(rows, g.placed ? 0 : -1);
      add(columns, g.placed ? 1 : -1);
      if (last) {
        add(channels, -1);
      }
    }
    windows.images = windows.windows_an_image = 1;
    if (g.placed) {
      windows.images = g.n;
      windows.in_image_stride = in_image;
      windows.out_image_stride = windows.out_window_stride = out_image;
      Places& places = windows.places;
      places.starts = reinterpret_cast<const int64_t*>(starts_.get());
      places.flips = reinterpret_cast<const bool*>(flips_.get());
      places.start_strides[0] = places.start_strides[1] = 2;
      places.start_strides[2] = 1;
      places.flip_strides[0] = places.flip_strides[1] = 1;
      places.first_flipped = 1;
      places.spatial_dims = 2;
    }
    return windows;
  }

  const Case& case_;
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
  std::printf("case,bytes,round,us,copy_us,checksum\n");
  for (const Case& given : kCases) {
    const Job job(given, properties.l2CacheSize);
    const unsigned long long checksum = job.checksum(stream);
    const auto run = [&](int call) { job.run(call, stream); };
    const auto copy = [&](int call) { job.copy(call, stream); };
    const auto time = [&](const std::function<void(int)>& call) {
      if (given.moved() <= kTiny) {
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
      const auto bytes = static_cast<long long>(given.moved());
      std::printf("\"%s\",%lld,%d,%.3f,%.3f,%llu\n", given.name, bytes, round, us, copy_us, checksum);
    }
  }
  return 0;
}
