// Runs the kernel "loop" of a PTX file, which writes a number for each thread of a warp, and prints the numbers, what
// each line did, and the sectors.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "ptx.h"

int main(int, char** arguments) {
  std::ostringstream text;
  text << std::ifstream(arguments[1]).rdbuf();
  const std::vector<ptx::Kernel> kernels = ptx::parse(text.str(), arguments[1]);
  alignas(32) uint32_t numbers[ptx::kLanes] = {};
  const uint64_t parameters[2] = {0, reinterpret_cast<uint64_t>(numbers)};
  ptx::Counts counts;
  ptx::run(kernels.at(0), reinterpret_cast<const char*>(parameters), 1, ptx::kLanes, {}, counts);
  for (const auto& [line, of_line] : counts.lines.at("loop")) {
    std::printf("%d: %d warps, %d lanes\n", line, static_cast<int>(of_line.warps), static_cast<int>(of_line.lanes));
  }
  std::printf("numbers:");
  for (const uint32_t number : numbers) {
    std::printf(" %u", number);
  }
  std::printf(
      "\nsectors: %d written, %d requested\n", static_cast<int>(counts.written), static_cast<int>(counts.requested));
  return 0;
}
