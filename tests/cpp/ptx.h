// Runs PTX without a GPU: warps of 32 lanes in lockstep, and a count of what they do.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptx {

inline constexpr int kLanes = 32;
using Mask = uint32_t;  // a bit a lane

struct Instruction;
struct Warp;
using Execute = void (*)(Warp&, const Instruction&);

// One instruction. Registers, constants and the places of special values are rows of a warp's registers.
struct Instruction {
  Execute execute = nullptr;  // none: a branch, or the end of a thread
  std::vector<int> to, from;  // rows
  int guard = -1;             // a row: only lanes where it holds, or where it doesn't, take part
  bool guarded_by_not = false;
  int64_t offset = 0;  // bytes, of a load or store
  int target = -1;     // of a branch: which instruction
  bool ends = false;
  int line = 0;  // of the file
};

struct Kernel {
  std::string name;
  int parameter_bytes = 0;
  int rows = 0;
  std::vector<Instruction> code;
  std::vector<std::pair<int, uint64_t>> constants;  // rows that hold them
};

// All kernels of a PTX file. Throws std::runtime_error that names the line where it does not know an instruction.
std::vector<Kernel> parse(const std::string& text, const std::string& file);

// Of the launches so far.
struct Counts {
  struct OfLine {
    int64_t warps = 0;  // that went through it
    int64_t lanes = 0;  // of theirs that were not masked
  };
  std::map<std::string, std::map<int, OfLine>> lines;  // by kernel and line of the file
  int64_t requested = 0;                               // sectors of 32 bytes that warps asked for, load by load
  int64_t read = 0;                                    // and those that the blocks read, each once a block
  int64_t written = 0;                                 // likewise
};

// How one launch is run. parameters: the kernel's, as bytes. chosen: the blocks that run, all if empty.
// Each access is checked by the emulation's Watch, if there is one.
void run(
    const Kernel& kernel,
    const char* parameters,
    unsigned blocks,
    unsigned threads,
    const std::vector<unsigned>& chosen,
    Counts& counts);

}  // namespace ptx
