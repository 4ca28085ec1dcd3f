// Runs a fuzz target without a fuzzer. Arguments: files of one input each, folders of such files, and, after --random,
// how many random inputs and their seed. Prints how many were right, or the first that was not, as hexadecimal digits.
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "target.h"

namespace {

constexpr size_t kLongest = 160;  // of a random input, in bytes

std::string name;  // of the current input
std::vector<uint8_t> input;

void tell() {
  std::fprintf(stderr, "%s: ", name.c_str());
  for (const uint8_t byte : input) std::fprintf(stderr, "%02x", byte);
  std::fprintf(stderr, "\n");
}

void run() {
  try {
    const std::vector<uint8_t> exact(input);  // so that no byte behind it can be read
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    tell();
    std::exit(1);
  }
}

void run_file(const std::filesystem::path& path) {
  name = path.string();
  std::ifstream file(path, std::ios::binary);
  input.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  run();
}

void run_random(int64_t number, uint64_t seed) {
  name = "random input " + std::to_string(number) + " of seed " + std::to_string(seed);
  std::mt19937_64 rng(seed * 1'000'000'007 + static_cast<uint64_t>(number));
  input.resize(rng() % (kLongest + 1));
  for (uint8_t& byte : input) byte = static_cast<uint8_t>(rng());
  run();
}

}  // namespace

int main(int, char** arguments) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(tell);
#endif
  int64_t count = 0;
  for (char** argument = arguments + 1; *argument; ++argument) {
    if (std::string(*argument) == "--random") {
      const int64_t random = std::atoll(argument[1]);
      for (int64_t i = 0; i < random; ++i) run_random(i, std::strtoull(argument[2], nullptr, 10));
      count += random;
      argument += 2;
    } else if (std::filesystem::is_directory(*argument)) {
      for (const auto& entry : std::filesystem::directory_iterator(*argument)) run_file(entry.path()), ++count;
    } else {
      run_file(*argument);
      ++count;
    }
  }
  std::printf("%lld right\n", static_cast<long long>(count));
  return 0;
}
