// What the instructions of PTX do, for a warp at a time, by their names.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "ptx.h"

namespace ptx {

// A warp on its way. A value of less than 64 bits lies in the lowest ones of a register.
struct Warp {
  std::vector<std::array<uint64_t, kLanes>> rows;
  Mask active = 0;
  const char* parameters = nullptr;
  int parameter_bytes = 0;
  int thread = 0;  // of lane 0
  Counts* counts = nullptr;
  std::vector<uintptr_t> read, written;  // sectors, by the block

  template <class T>
  T get(int row, int lane) const {
    if constexpr (std::is_same_v<T, bool>) {
      return (rows[row][lane] & 1) != 0;
    } else {
      T value;
      std::memcpy(&value, &rows[row][lane], sizeof(T));
      return value;
    }
  }
  template <class T>
  void put(int row, int lane, T value) {
    if constexpr (std::is_integral_v<T>) {
      rows[row][lane] = static_cast<uint64_t>(static_cast<int64_t>(value));  // loads may be into more bits
    } else {
      rows[row][lane] = 0;
      std::memcpy(&rows[row][lane], &value, sizeof(T));
    }
  }
};

// All instructions but branches.
using Table = std::map<std::string, Execute, std::less<>>;
const Table& instructions();

// Calls use(lane) for the lanes that take part.
template <class Use>
void for_each_lane(const Warp& warp, const Use& use) {
  for (Mask left = warp.active; left != 0; left &= left - 1) {
    use(std::countr_zero(left));
  }
}

}  // namespace ptx
