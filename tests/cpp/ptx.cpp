// Reads PTX and runs its kernels, block by block and warp by warp.
#include "ptx.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>

#include "../../csrc/kernels/emulation.h"
#include "ptx_instructions.h"

namespace ptx {

namespace {

// The rows that every kernel has.
enum Special { kTid, kNtid, kCtaid, kNctaid, kDiscarded, kFirstRegister };

// Reads the text of one kernel.
class Parser {
 public:
  Parser(Kernel& kernel, const std::string& file) : kernel_(kernel), file_(file) { kernel.rows = kFirstRegister; }

  void parse(std::string_view said, int line) {
    line_ = line;
    for (size_t at = 0; at < said.size();) {
      const size_t end = std::min(said.find_first_of(";", at), said.size());
      read(trimmed(said.substr(at, end - at)));
      at = end + 1;
    }
  }

  void finish() {
    for (const auto& [i, label] : jumps_) {
      kernel_.code[i].target = labels_.at(label);
    }
  }

 private:
  static std::string_view trimmed(std::string_view said) {
    const char* const kSpace = " \t{}";
    const size_t begin = said.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) {
      return {};
    }
    // A brace ends a vector of registers, but for one that ends an inline assembly.
    const size_t end = said.find_last_not_of(" \t");
    const std::string_view rest = said.substr(begin, end + 1 - begin);
    return rest.find('{') == std::string_view::npos ? rest.substr(0, rest.find_last_not_of(kSpace) + 1) : rest;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(file_ + ", line " + std::to_string(line_) + ": " + what);
  }

  void read(std::string_view said) {
    if (said.empty() || said.substr(0, 2) == "//" || said.substr(0, 7) == ".pragma" || said.substr(0, 4) == ".loc") {
      return;
    }
    if (said.back() == ':') {
      labels_[std::string(said.substr(0, said.size() - 1))] = static_cast<int>(kernel_.code.size());
      return;
    }
    if (said.substr(0, 4) == ".reg") {
      return read_registers(said);
    }
    if (said.front() == '.') {
      fail("a directive that is not known: " + std::string(said));
    }
    Instruction instruction;
    instruction.line = line_;
    if (said.front() == '@') {
      instruction.guarded_by_not = said[1] == '!';
      const size_t begin = instruction.guarded_by_not ? 2 : 1, end = said.find_first_of(" \t");
      instruction.guard = row_of(said.substr(begin, end - begin));
      said = trimmed(said.substr(end));
    }
    const size_t space = std::min(said.find_first_of(" \t"), said.size());
    const std::string name(said.substr(0, space));
    const std::string_view rest = trimmed_operands(said.substr(space));
    if (name == "bra" || name == "bra.uni") {
      jumps_.emplace_back(kernel_.code.size(), std::string(rest));
    } else if (name == "ret" || name == "exit") {
      instruction.ends = true;
    } else {
      read_operation(instruction, name, rest);
    }
    kernel_.code.push_back(instruction);
  }

  static std::string_view trimmed_operands(std::string_view said) {
    const size_t begin = said.find_first_not_of(" \t");
    return begin == std::string_view::npos ? std::string_view() : said.substr(begin);
  }

  void read_registers(std::string_view said) {  // .reg .b32 %r<8>
    const size_t percent = said.find('%'), open = said.find('<');
    if (percent == std::string_view::npos || open == std::string_view::npos) {
      fail("registers that are not known: " + std::string(said));
    }
    registers_[std::string(said.substr(percent, open - percent))] = kernel_.rows;
    kernel_.rows += std::atoi(std::string(said.substr(open + 1)).c_str());
  }

  void read_operation(Instruction& instruction, const std::string& name, std::string_view rest) {
    const auto found = instructions().find(name);
    if (found == instructions().end()) {
      fail("an instruction that is not known: " + name);
    }
    instruction.execute = found->second;
    std::vector<std::vector<std::string_view>> operands = split(rest);
    const bool stores = name.substr(0, 3) == "st.";
    if (operands.size() < 2) {
      fail("too few operands: " + name);
    }
    for (size_t i = 0; i < operands.size(); ++i) {
      for (const std::string_view operand : operands[i]) {
        (i == 0 && !stores ? instruction.to : instruction.from).push_back(operand_of(instruction, operand, name));
      }
    }
  }

  // Operands, each of them one or the several of a vector.
  static std::vector<std::vector<std::string_view>> split(std::string_view said) {
    std::vector<std::vector<std::string_view>> operands;
    bool in_vector = false;
    for (size_t at = 0; at < said.size();) {
      const size_t begin = said.find_first_not_of(" \t,", at);
      if (begin == std::string_view::npos) {
        break;
      }
      if (said[begin] == '{' || said[begin] == '}') {
        in_vector = said[begin] == '{';
        if (in_vector) {
          operands.emplace_back();
        }
        at = begin + 1;
        continue;
      }
      const size_t end = std::min(said.find_first_of(" \t,}", begin), said.size());
      if (!in_vector) {
        operands.emplace_back();
      }
      operands.back().push_back(said.substr(begin, end - begin));
      at = end;
    }
    return operands;
  }

  int operand_of(Instruction& instruction, std::string_view said, const std::string& name) {
    if (said.front() == '[') {  // [register+offset] or [parameter+offset]
      said = said.substr(1, said.size() - 2);
      const size_t plus = said.find('+');
      if (plus != std::string_view::npos) {
        instruction.offset = std::atoll(std::string(said.substr(plus + 1)).c_str());
        said = said.substr(0, plus);
      }
    }
    if (said.front() == '%' || said == "_") {
      return row_of(said);
    }
    if (said.size() > kernel_.name.size() && said.substr(0, kernel_.name.size()) == kernel_.name) {
      return constant(0);  // parameters begin at address 0 of theirs
    }
    return constant(number_of(said, name));
  }

  int row_of(std::string_view said) const {
    static const std::map<std::string, int, std::less<>> kSpecial = {
        {"%tid.x", kTid}, {"%ntid.x", kNtid}, {"%ctaid.x", kCtaid}, {"%nctaid.x", kNctaid}, {"_", kDiscarded}};
    if (const auto found = kSpecial.find(said); found != kSpecial.end()) {
      return found->second;
    }
    const size_t digits = said.find_first_of("0123456789");
    const auto found =
        digits == std::string_view::npos ? registers_.end() : registers_.find(std::string(said.substr(0, digits)));
    if (found == registers_.end()) {
      fail("a register that is not known: " + std::string(said));
    }
    return found->second + std::atoi(std::string(said.substr(digits)).c_str());
  }

  uint64_t number_of(std::string_view said, const std::string& name) const {
    const auto digits = [&](size_t skipped, int base) {
      uint64_t number = 0;
      const char* const end = said.data() + said.size();
      if (std::from_chars(said.data() + skipped, end, number, base).ptr != end) {
        fail("an operand of " + name + " that is not known: " + std::string(said));
      }
      return number;
    };
    if (said.substr(0, 2) == "0f" || said.substr(0, 2) == "0d" || said.substr(0, 2) == "0x") {
      return digits(2, 16);
    }
    return said.front() == '-' ? uint64_t{0} - digits(1, 10) : digits(0, 10);
  }

  int constant(uint64_t value) {
    const auto [found, is_new] = constants_.try_emplace(value, kernel_.rows);
    if (is_new) {
      kernel_.constants.emplace_back(kernel_.rows++, value);
    }
    return found->second;
  }

  Kernel& kernel_;
  const std::string& file_;
  int line_ = 0;
  std::map<std::string, int> registers_;  // the row of the first one
  std::map<uint64_t, int> constants_;
  std::map<std::string, int> labels_;
  std::vector<std::pair<size_t, std::string>> jumps_;
};

// One warp from its beginning to its end. Of lanes that are at different instructions those at the first one, in the
// order of the text, go on; the others wait.
void run_warp(const Kernel& kernel, Warp& warp, Mask lanes, std::vector<Counts::OfLine>& counted) {
  std::array<int, kLanes> at{};
  Mask alive = lanes;
  while (alive != 0) {
    int first = std::numeric_limits<int>::max(), next = first;
    for (Mask left = alive; left != 0; left &= left - 1) {
      first = std::min(first, at[std::countr_zero(left)]);
    }
    Mask here = 0;
    for (Mask left = alive; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      if (at[lane] == first) {
        here |= Mask{1} << lane;
      } else {
        next = std::min(next, at[lane]);
      }
    }
    int i = first;
    bool together = true;
    while (together && i < next) {
      const Instruction& instruction = kernel.code.at(i);
      warp.active = here;
      if (instruction.guard >= 0) {
        for (Mask left = here; left != 0; left &= left - 1) {
          const int lane = std::countr_zero(left);
          if (warp.get<bool>(instruction.guard, lane) == instruction.guarded_by_not) {
            warp.active &= ~(Mask{1} << lane);
          }
        }
      }
      counted[i].warps += 1;
      counted[i].lanes += std::popcount(instruction.execute != nullptr ? warp.active : here);
      if (instruction.execute != nullptr) {
        if (warp.active != 0) {
          instruction.execute(warp, instruction);
        }
        ++i;
        continue;
      }
      if (instruction.ends) {
        alive &= ~warp.active;
        here &= ~warp.active;
        together = here != 0;
        ++i;
      } else if (warp.active == here) {
        // Back, too: the others wait farther on.
        i = instruction.target;
      } else if (warp.active == 0) {
        ++i;
      } else {
        for_each_lane(warp, [&](int lane) { at[lane] = instruction.target; });
        here &= ~warp.active;
        for (Mask left = here; left != 0; left &= left - 1) {
          at[std::countr_zero(left)] = i + 1;
        }
        here = 0;
        together = false;
      }
    }
    for (Mask left = here; left != 0; left &= left - 1) {
      at[std::countr_zero(left)] = i;
    }
  }
}

int64_t distinct(std::vector<uintptr_t>& sectors) {
  std::sort(sectors.begin(), sectors.end());
  const auto count = std::unique(sectors.begin(), sectors.end()) - sectors.begin();
  sectors.clear();
  return count;
}

}  // namespace

std::vector<Kernel> parse(const std::string& text, const std::string& file) {
  std::vector<Kernel> kernels;
  std::istringstream lines(text);
  std::string said;
  bool in_body = false;
  std::vector<Parser> parser;  // one, or none between kernels
  for (int line = 1; std::getline(lines, said); ++line) {
    const size_t entry = said.find(".entry ");
    if (entry != std::string::npos) {
      kernels.emplace_back();
      kernels.back().name = said.substr(entry + 7, said.find('(') - entry - 7);
      parser.clear();
      parser.emplace_back(kernels.back(), file);
    } else if (parser.empty()) {
      continue;
    } else if (!in_body && said.find(".param") != std::string::npos) {
      kernels.back().parameter_bytes = std::atoi(said.substr(said.find('[') + 1).c_str());
    } else if (said == "{") {
      in_body = true;
    } else if (said == "}") {
      in_body = false;
      parser.back().finish();
      parser.clear();
    } else if (in_body) {
      parser.back().parse(said, line);
    }
  }
  return kernels;
}

void run(
    const Kernel& kernel,
    const char* parameters,
    unsigned blocks,
    unsigned threads,
    const std::vector<unsigned>& chosen,
    Counts& counts) {
  static thread_local std::mt19937 rng;
  Warp warp;
  warp.rows.resize(kernel.rows);
  warp.parameters = parameters;
  warp.parameter_bytes = kernel.parameter_bytes;
  warp.counts = &counts;
  for (const auto& [row, value] : kernel.constants) {
    warp.rows[row].fill(value);
  }
  warp.rows[kNtid].fill(threads);
  warp.rows[kNctaid].fill(blocks);
  std::vector<Counts::OfLine> counted(kernel.code.size());
  std::vector<unsigned> order = chosen;
  if (order.empty()) {
    order.resize(blocks);
    std::iota(order.begin(), order.end(), 0u);
  }
  std::shuffle(order.begin(), order.end(), rng);
  for (const unsigned block : order) {
    torchcrop_fast::emulation::block.x = block;
    warp.rows[kCtaid].fill(block);
    for (unsigned first = 0; first < threads; first += kLanes) {
      warp.thread = static_cast<int>(first);
      for (int lane = 0; lane < kLanes; ++lane) {
        warp.rows[kTid][lane] = first + lane;
      }
      const unsigned count = std::min<unsigned>(threads - first, kLanes);
      run_warp(kernel, warp, count == kLanes ? ~Mask{0} : (Mask{1} << count) - 1, counted);
    }
    counts.read += distinct(warp.read);
    counts.written += distinct(warp.written);
  }
  std::map<int, Counts::OfLine>& of_kernel = counts.lines[kernel.name];
  for (size_t i = 0; i < counted.size(); ++i) {
    Counts::OfLine& of_line = of_kernel[kernel.code[i].line];
    of_line.warps += counted[i].warps;
    of_line.lanes += counted[i].lanes;
  }
}

}  // namespace ptx
