// Runs some blocks of each case's launch on PTX and prints what they did, a line of JSON a case.
// Arguments: how many blocks of a launch; parts of names of cases, or none for all.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "../../bench/gpu_windows.h"
#include "ptx_runtime.h"

namespace {

using namespace torchcrop_fast;

// Memory of which few pages are used, aligned as cudaMalloc's.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    at_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    if (at_ == MAP_FAILED) {
      throw std::bad_alloc();
    }
  }
  ~Memory() { munmap(at_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* get() const { return static_cast<char*>(at_); }

 private:
  size_t bytes_;
  void* at_;
};

void count(const Case& given) {
  const Memory in(given.in_bytes()), out(given.out_bytes());
  const GivenPlaces places = places_of(given);
  ptx::counts() = {};
  if (launch_case(given, windows_of(given, in.get(), out.get(), places.starts.data(), places.flips.data()), nullptr)) {
    std::abort();
  }
  const ptx::Counts& counts = ptx::counts();
  std::printf(
      "{\"case\": \"%s\", \"kind\": \"%s\", \"moved\": %lld, \"out_bytes\": %lld, \"requested\": "
      "%lld,"
      " \"read\": %lld, \"written\": %lld, \"lines\": {",
      given.name, given.kind, static_cast<long long>(moved(given)), static_cast<long long>(given.out_bytes()),
      static_cast<long long>(counts.requested), static_cast<long long>(counts.read),
      static_cast<long long>(counts.written));
  const char* between = "";
  for (const auto& [kernel, lines] : counts.lines) {
    std::printf("%s\"%s\": {", between, kernel.c_str());
    between = "";
    for (const auto& [line, of_line] : lines) {
      std::printf(
          "%s\"%d\": [%lld, %lld]", between, line, static_cast<long long>(of_line.warps),
          static_cast<long long>(of_line.lanes));
      between = ", ";
    }
    std::printf("}");
  }
  std::printf("}}\n");
}

}  // namespace

int main(int number, char** arguments) {
  ptx::blocks_of_launch() = static_cast<unsigned>(std::atoi(arguments[1]));
  for (const Case& given : kCases) {
    bool wanted = number == 2;
    for (int i = 2; i < number; ++i) {
      wanted = wanted || std::strstr(given.name, arguments[i]) != nullptr;
    }
    if (wanted) {
      count(given);
    }
  }
  return 0;
}
