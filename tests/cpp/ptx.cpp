// What the instructions of PTX do, for a warp at a time: those that nvcc makes of the kernels, and their neighbors.
#include "ptx.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <type_traits>

#include "../../csrc/kernels/emulation.h"
#include "../../csrc/kernels/pixel.h"

namespace ptx {

using torchcrop_fast::BFloat16;
using torchcrop_fast::Half;

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

namespace {

constexpr uintptr_t kSector = 32;

// Calls use(lane) for the lanes that take part.
template <class Use>
void for_each_lane(const Warp& warp, const Use& use) {
  for (Mask left = warp.active; left != 0; left &= left - 1) {
    use(std::countr_zero(left));
  }
}

template <class To, class From, auto kFunction>
void unary(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    warp.put<To>(i.to[0], lane, static_cast<To>(kFunction(warp.get<From>(i.from[0], lane))));
  });
}

template <class To, class From, auto kFunction>
void binary(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    warp.put<To>(
        i.to[0], lane, static_cast<To>(kFunction(warp.get<From>(i.from[0], lane), warp.get<From>(i.from[1], lane))));
  });
}

template <class To, class From, auto kFunction>
void ternary(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const auto value =
        kFunction(warp.get<From>(i.from[0], lane), warp.get<From>(i.from[1], lane), warp.get<From>(i.from[2], lane));
    warp.put<To>(i.to[0], lane, static_cast<To>(value));
  });
}

// The type of twice as many bits, and the one without a sign, in which sums may overflow.
template <class T>
struct Wide;
template <>
struct Wide<uint16_t> {
  using Type = uint32_t;
};
template <>
struct Wide<int16_t> {
  using Type = int32_t;
};
template <>
struct Wide<uint32_t> {
  using Type = uint64_t;
};
template <>
struct Wide<int32_t> {
  using Type = int64_t;
};
template <>
struct Wide<uint64_t> {
  using Type = unsigned __int128;
};
template <>
struct Wide<int64_t> {
  using Type = __int128;
};
template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
T divided(T a, T b) {
  if (b == 0) {
    throw std::logic_error("PTX: a division by zero");
  }
  return a / b;
}

// Bits that are shifted by the number of a register's 32 bits; as many as there are and more give 0, or the sign.
template <class T>
T shifted_left(T a, uint32_t by) {
  return by >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << by);
}
template <class T>
T shifted_right(T a, uint32_t by) {
  if (by >= 8 * sizeof(T)) {
    return a < 0 ? static_cast<T>(-1) : T{0};
  }
  return static_cast<T>(a >> by);
}

template <class T, auto kFunction>
void shift(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    warp.put<T>(i.to[0], lane, kFunction(warp.get<T>(i.from[0], lane), warp.get<uint32_t>(i.from[1], lane)));
  });
}

template <class T>
void select(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    warp.put<T>(i.to[0], lane, warp.get<T>(i.from[warp.get<bool>(i.from[2], lane) ? 0 : 1], lane));
  });
}

// setp with a second predicate: the result and that one, or the result or it.
template <class T, auto kCompare, bool kAnd>
void compare_with(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const bool result = kCompare(warp.get<T>(i.from[0], lane), warp.get<T>(i.from[1], lane));
    const bool other = warp.get<bool>(i.from[2], lane);
    warp.put<bool>(i.to[0], lane, kAnd ? result && other : result || other);
  });
}

template <class T>
void move(Warp& warp, const Instruction& i) {
  if (i.to.size() == 1 && i.from.size() == 1) {
    for_each_lane(warp, [&](int lane) { warp.put<T>(i.to[0], lane, warp.get<T>(i.from[0], lane)); });
    return;
  }
  const size_t parts = std::max(i.to.size(), i.from.size());
  const auto bits = static_cast<int>(8 * sizeof(T) / parts);
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  for_each_lane(warp, [&](int lane) {
    uint64_t all = 0;
    if (i.from.size() == 1) {
      all = warp.get<T>(i.from[0], lane);
      for (size_t part = 0; part < parts; ++part) {
        warp.put<uint64_t>(i.to[part], lane, all >> (part * bits) & mask);
      }
    } else {
      for (size_t part = 0; part < parts; ++part) {
        all |= (warp.get<uint64_t>(i.from[part], lane) & mask) << (part * bits);
      }
      warp.put<T>(i.to[0], lane, static_cast<T>(all));
    }
  });
}

template <bool kWrap>
void funnel_shift_right(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint32_t given = warp.get<uint32_t>(i.from[2], lane), by = kWrap ? given % 32 : std::min(given, 32u);
    const uint64_t both = uint64_t{warp.get<uint32_t>(i.from[1], lane)} << 32 | warp.get<uint32_t>(i.from[0], lane);
    warp.put<uint32_t>(i.to[0], lane, static_cast<uint32_t>(both >> by));
  });
}

template <bool kWrap>
void funnel_shift_left(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint32_t given = warp.get<uint32_t>(i.from[2], lane), by = kWrap ? given % 32 : std::min(given, 32u);
    const uint64_t both = uint64_t{warp.get<uint32_t>(i.from[1], lane)} << 32 | warp.get<uint32_t>(i.from[0], lane);
    warp.put<uint32_t>(i.to[0], lane, static_cast<uint32_t>(both << by >> 32));
  });
}

void permute_bytes(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint64_t both = uint64_t{warp.get<uint32_t>(i.from[1], lane)} << 32 | warp.get<uint32_t>(i.from[0], lane);
    const uint32_t chosen = warp.get<uint32_t>(i.from[2], lane);
    uint32_t result = 0;
    for (int byte = 0; byte < 4; ++byte) {
      const uint32_t digit = chosen >> (4 * byte) & 15;
      uint32_t value = both >> (8 * (digit & 7)) & 255;
      value = (digit & 8) == 0 ? value : ((value & 128) != 0 ? 255 : 0);  // its sign, repeated
      result |= value << (8 * byte);
    }
    warp.put<uint32_t>(i.to[0], lane, result);
  });
}

template <class T>
void insert_bits(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const T what = warp.get<T>(i.from[0], lane);
    T into = warp.get<T>(i.from[1], lane);
    const uint32_t at = warp.get<uint32_t>(i.from[2], lane) & 255, count = warp.get<uint32_t>(i.from[3], lane) & 255;
    for (uint32_t bit = 0; bit < count && at + bit < 8 * sizeof(T); ++bit) {
      const T one = T{1} << (at + bit);
      into = (what >> bit & 1) != 0 ? into | one : into & ~one;
    }
    warp.put<T>(i.to[0], lane, into);
  });
}

template <class T>
void extract_bits(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const T from = warp.get<T>(i.from[0], lane);
    const uint32_t at = warp.get<uint32_t>(i.from[1], lane) & 255, count = warp.get<uint32_t>(i.from[2], lane) & 255;
    const T low = shifted_right(from, at);
    warp.put<T>(i.to[0], lane, count >= 8 * sizeof(T) ? low : low & ((T{1} << count) - 1));
  });
}

// Any function of three bits, bit by bit: the number of the table's entry is (a, b, c).
void look_up_bits(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint32_t a = warp.get<uint32_t>(i.from[0], lane), b = warp.get<uint32_t>(i.from[1], lane);
    const uint32_t c = warp.get<uint32_t>(i.from[2], lane), table = warp.get<uint32_t>(i.from[3], lane);
    uint32_t result = 0;
    for (uint32_t entry = 0; entry < 8; ++entry) {
      const uint32_t here = ((entry & 4) != 0 ? a : ~a) & ((entry & 2) != 0 ? b : ~b) & ((entry & 1) != 0 ? c : ~c);
      result |= (table >> entry & 1) != 0 ? here : 0;
    }
    warp.put<uint32_t>(i.to[0], lane, result);
  });
}

// Two numbers rounded to halves of a register, the first one to the upper half.
template <class T, auto kRound>
void round_pair(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint32_t high = kRound(warp.get<float>(i.from[0], lane)).bits;
    const uint32_t low = kRound(warp.get<float>(i.from[1], lane)).bits;
    warp.put<uint32_t>(i.to[0], lane, high << 16 | low);
  });
}

// As the hardware rounds: NaN becomes the one of all ones but for the sign.
template <class T>
T round_as_hardware(float number) {
  return std::isnan(number) ? T{0x7fff} : torchcrop_fast::from_float<T>(number);
}

template <class T>
void load_parameters(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const auto bytes = static_cast<int64_t>(i.to.size() * sizeof(T));
    const int64_t at = static_cast<int64_t>(warp.get<uint64_t>(i.from[0], lane)) + i.offset;
    if (at < 0 || at + bytes > warp.parameter_bytes || at % bytes != 0) {
      throw std::logic_error("PTX: a parameter that there is not, at byte " + std::to_string(at));
    }
    for (size_t part = 0; part < i.to.size(); ++part) {
      T value;
      std::memcpy(&value, warp.parameters + at + part * sizeof(T), sizeof(T));
      warp.put<T>(i.to[part], lane, value);
    }
  });
}

template <class T, bool kStore>
void access_memory(Warp& warp, const Instruction& i) {
  using torchcrop_fast::emulation::Watch;
  const std::vector<int>& values = kStore ? i.from : i.to;
  const size_t first = kStore ? 1 : 0;  // the address comes first
  const size_t bytes = (values.size() - first) * sizeof(T);
  std::set<uintptr_t> sectors;
  for_each_lane(warp, [&](int lane) {
    const uintptr_t at = warp.get<uint64_t>(i.from[0], lane) + i.offset;
    auto* const place = reinterpret_cast<char*>(at);
    torchcrop_fast::emulation::thread.x = static_cast<unsigned>(warp.thread + lane);
    if (Watch* const watch = Watch::current()) {
      kStore ? watch->store(place, bytes) : watch->load(place, bytes);
    }
    for (size_t part = first; part < values.size(); ++part) {
      char* const element = place + (part - first) * sizeof(T);
      if constexpr (kStore) {
        std::memcpy(element, &warp.rows[values[part]][lane], sizeof(T));
      } else {
        T value;
        std::memcpy(&value, element, sizeof(T));
        warp.put<T>(values[part], lane, value);
      }
    }
    for (uintptr_t sector = at / kSector; sector <= (at + bytes - 1) / kSector; ++sector) {
      sectors.insert(sector);
    }
  });
  warp.counts->requested += static_cast<int64_t>(sectors.size());
  std::vector<uintptr_t>& all = kStore ? warp.written : warp.read;
  all.insert(all.end(), sectors.begin(), sectors.end());
}

using Table = std::map<std::string, Execute, std::less<>>;

constexpr auto kSame = [](auto a) { return a; };

template <class T>
void add_bit_instructions(Table& table, const std::string& type) {
  table["and." + type] = binary<T, T, [](T a, T b) { return a & b; }>;
  table["or." + type] = binary<T, T, [](T a, T b) { return a | b; }>;
  table["xor." + type] = binary<T, T, [](T a, T b) { return a ^ b; }>;
  table["not." + type] = unary<T, T, [](T a) { return a ^ static_cast<T>(-1); }>;
}

template <class T>
void add_moves(Table& table, const std::string& type) {
  table["mov." + type] = move<T>;
  table["selp." + type] = select<T>;
  for (const std::string from : {"", ".v2", ".v4"}) {
    table["ld.param" + from + "." + type] = load_parameters<T>;
    for (const std::string cache : {"", ".nc", ".cg", ".ca"}) {
      table["ld.global" + cache + from + "." + type] = access_memory<T, false>;
    }
    for (const std::string cache : {"", ".cs", ".cg"}) {
      table["st.global" + cache + from + "." + type] = access_memory<T, true>;
    }
  }
}

template <class T, auto kCompare>
void add_comparison(Table& table, const std::string& name, const std::string& type) {
  table["setp." + name + "." + type] = binary<bool, T, kCompare>;
  table["setp." + name + ".and." + type] = compare_with<T, kCompare, true>;
  table["setp." + name + ".or." + type] = compare_with<T, kCompare, false>;
}

template <class T>
void add_comparisons(Table& table, const std::string& type) {
  add_comparison<T, [](T a, T b) { return (a == b); }>(table, "eq", type);
  add_comparison<T, [](T a, T b) { return (a != b); }>(table, "ne", type);
  add_comparison<T, [](T a, T b) { return (a < b); }>(table, "lt", type);
  add_comparison<T, [](T a, T b) { return (a <= b); }>(table, "le", type);
  add_comparison<T, [](T a, T b) { return (a > b); }>(table, "gt", type);
  add_comparison<T, [](T a, T b) { return (a >= b); }>(table, "ge", type);
}

template <class T>
void add_arithmetic(Table& table, const std::string& type) {
  using U = Unsigned<T>;
  using W = typename Wide<T>::Type;
  table["add." + type] = binary<U, U, [](U a, U b) { return a + b; }>;
  table["sub." + type] = binary<U, U, [](U a, U b) { return a - b; }>;
  table["mul.lo." + type] = binary<U, U, [](U a, U b) { return static_cast<U>(uint64_t{a} * b); }>;
  table["mad.lo." + type] = ternary<U, U, [](U a, U b, U c) { return static_cast<U>(uint64_t{a} * b + c); }>;
  table["mul.hi." + type] = binary<T, T, [](T a, T b) { return static_cast<T>((W{a} * b) >> (8 * sizeof(T))); }>;
  table["div." + type] = binary<T, T, [](T a, T b) { return divided<T>(a, b); }>;
  table["rem." + type] = binary<T, T, [](T a, T b) { return static_cast<T>(a - divided<T>(a, b) * b); }>;
  table["min." + type] = binary<T, T, [](T a, T b) { return std::min(a, b); }>;
  table["max." + type] = binary<T, T, [](T a, T b) { return std::max(a, b); }>;
  table["neg." + type] = unary<U, U, [](U a) { return U{0} - a; }>;
  table["abs." + type] = unary<T, T, [](T a) { return a < 0 ? static_cast<T>(U{0} - static_cast<U>(a)) : a; }>;
  table["shr." + type] = shift<T, shifted_right<T>>;
  add_comparisons<T>(table, type);
  add_moves<T>(table, type);
  if constexpr (sizeof(T) < 8) {
    table["mul.wide." + type] = binary<W, T, [](T a, T b) { return static_cast<W>(W{a} * b); }>;
  }
}

template <class T>
void add_float_instructions(Table& table, const std::string& type) {
  for (const std::string rounding : {".rn.", "."}) {
    table["add" + rounding + type] = binary<T, T, [](T a, T b) { return a + b; }>;
    table["sub" + rounding + type] = binary<T, T, [](T a, T b) { return a - b; }>;
    table["mul" + rounding + type] = binary<T, T, [](T a, T b) { return a * b; }>;
    table["fma" + rounding + type] = ternary<T, T, [](T a, T b, T c) { return std::fma(a, b, c); }>;
  }
  table["neg." + type] = unary<T, T, [](T a) { return -a; }>;
  add_comparisons<T>(table, type);
  add_comparison<T, [](T a, T b) { return std::isunordered(a, b); }>(table, "nan", type);
  add_comparison<T, [](T a, T b) { return !std::isunordered(a, b); }>(table, "num", type);
  add_comparison<T, [](T a, T b) { return !(a == b); }>(table, "neu", type);
  add_moves<T>(table, type);
}

// Whole numbers into each other.
template <class To, class From>
void add_conversion(Table& table, const std::string& to, const std::string& from) {
  table["cvt." + to + "." + from] = unary<To, From, kSame>;
}
template <class To>
void add_conversions_to(Table& table, const std::string& to) {
  add_conversion<To, uint8_t>(table, to, "u8");
  add_conversion<To, int8_t>(table, to, "s8");
  add_conversion<To, uint16_t>(table, to, "u16");
  add_conversion<To, int16_t>(table, to, "s16");
  add_conversion<To, uint32_t>(table, to, "u32");
  add_conversion<To, int32_t>(table, to, "s32");
  add_conversion<To, uint64_t>(table, to, "u64");
  add_conversion<To, int64_t>(table, to, "s64");
}
template <class From>
void add_conversions_to_float(Table& table, const std::string& from) {
  table["cvt.rn.f32." + from] = unary<float, From, kSame>;
  table["cvt.rn.f64." + from] = unary<double, From, kSame>;
}

Table make_table() {
  Table table;
  add_arithmetic<uint16_t>(table, "u16");
  add_arithmetic<int16_t>(table, "s16");
  add_arithmetic<uint32_t>(table, "u32");
  add_arithmetic<int32_t>(table, "s32");
  add_arithmetic<uint64_t>(table, "u64");
  add_arithmetic<int64_t>(table, "s64");
  add_bit_instructions<bool>(table, "pred");
  add_bit_instructions<uint16_t>(table, "b16");
  add_bit_instructions<uint32_t>(table, "b32");
  add_bit_instructions<uint64_t>(table, "b64");
  table["mov.pred"] = move<bool>;
  add_moves<uint8_t>(table, "u8");
  add_moves<int8_t>(table, "s8");
  add_moves<uint8_t>(table, "b8");
  add_moves<uint16_t>(table, "b16");
  add_moves<uint32_t>(table, "b32");
  add_moves<uint64_t>(table, "b64");
  add_comparisons<uint16_t>(table, "b16");
  add_comparisons<uint32_t>(table, "b32");
  add_comparisons<uint64_t>(table, "b64");
  table["shl.b16"] = shift<uint16_t, shifted_left<uint16_t>>;
  table["shl.b32"] = shift<uint32_t, shifted_left<uint32_t>>;
  table["shl.b64"] = shift<uint64_t, shifted_left<uint64_t>>;
  table["shf.r.wrap.b32"] = funnel_shift_right<true>;
  table["shf.r.clamp.b32"] = funnel_shift_right<false>;
  table["shf.l.wrap.b32"] = funnel_shift_left<true>;
  table["shf.l.clamp.b32"] = funnel_shift_left<false>;
  table["prmt.b32"] = permute_bytes;
  table["lop3.b32"] = look_up_bits;
  table["bfi.b32"] = insert_bits<uint32_t>;
  table["bfi.b64"] = insert_bits<uint64_t>;
  table["bfe.u32"] = extract_bits<uint32_t>;
  table["bfe.u64"] = extract_bits<uint64_t>;
  table["cvta.to.global.u64"] = move<uint64_t>;
  add_float_instructions<float>(table, "f32");
  add_float_instructions<double>(table, "f64");
  add_conversions_to<uint8_t>(table, "u8");
  add_conversions_to<int8_t>(table, "s8");
  add_conversions_to<uint16_t>(table, "u16");
  add_conversions_to<int16_t>(table, "s16");
  add_conversions_to<uint32_t>(table, "u32");
  add_conversions_to<int32_t>(table, "s32");
  add_conversions_to<uint64_t>(table, "u64");
  add_conversions_to<int64_t>(table, "s64");
  add_conversions_to_float<uint8_t>(table, "u8");
  add_conversions_to_float<int8_t>(table, "s8");
  add_conversions_to_float<uint16_t>(table, "u16");
  add_conversions_to_float<int16_t>(table, "s16");
  add_conversions_to_float<uint32_t>(table, "u32");
  add_conversions_to_float<int32_t>(table, "s32");
  table["cvt.f64.f32"] = unary<double, float, kSame>;
  table["cvt.rn.f32.f64"] = unary<float, double, kSame>;
  table["cvt.f32.f16"] = unary<float, Half, [](Half a) { return torchcrop_fast::to_float(a); }>;
  table["cvt.f32.bf16"] = unary<float, BFloat16, [](BFloat16 a) { return torchcrop_fast::to_float(a); }>;
  table["cvt.rn.f16.f32"] = unary<Half, float, round_as_hardware<Half>>;
  table["cvt.rn.bf16.f32"] = unary<BFloat16, float, round_as_hardware<BFloat16>>;
  table["cvt.rn.f16x2.f32"] = round_pair<Half, round_as_hardware<Half>>;
  table["cvt.rn.bf16x2.f32"] = round_pair<BFloat16, round_as_hardware<BFloat16>>;
  return table;
}

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
    static const Table kTable = make_table();
    const auto found = kTable.find(name);
    if (found == kTable.end()) {
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
    ++counts.blocks;
  }
  std::map<int, Counts::OfLine>& of_kernel = counts.lines[kernel.name];
  for (size_t i = 0; i < counted.size(); ++i) {
    Counts::OfLine& of_line = of_kernel[kernel.code[i].line];
    of_line.warps += counted[i].warps;
    of_line.lanes += counted[i].lanes;
  }
}

}  // namespace ptx
