// A program that links the installed library: crops are right, and one OpenMP serves torch and us.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torchcrop_fast/memory.h>
#include <torchcrop_fast/ops.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <string>

namespace {

// The OpenMP libraries that the process has loaded.
std::set<std::string> openmp_libraries() {
  std::set<std::string> paths;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    for (const char* const name : {"libgomp", "libomp", "libiomp"}) {
      if (line.find(name) != std::string::npos) {
        paths.insert(line.substr(line.find('/')));
      }
    }
  }
  return paths;
}

}  // namespace

int main() {
  const auto digits = at::rand({10, 1, 28, 28});
  const auto cropped = torchcrop_fast::crop(digits, {4, 4, 4, 4});
  TORCH_CHECK(at::equal(cropped, digits.slice(2, 4, 24).slice(3, 4, 24)), "a crop is wrong");

  at::set_num_threads(2);
  const auto large = at::rand({1 << 22});
  TORCH_CHECK(at::equal(torchcrop_fast::pad(large, {1, 1}), at::constant_pad_nd(large, {1, 1})), "a pad is wrong");
  TORCH_CHECK(openmp_libraries().size() == 1, openmp_libraries().size(), " OpenMP libraries are loaded");
  std::printf("the installed library crops\n");
}
