// The instructions of PTX that nvcc makes of the kernels, and their neighbors.
#include "ptx_instructions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <stdexcept>

#include "../../csrc/kernels/emulation.h"
#include "../../csrc/kernels/pixel.h"

namespace ptx {

using torchcrop_fast::BFloat16;
using torchcrop_fast::Half;

namespace {

constexpr uintptr_t kSector = 32;

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

template <bool kLeft, bool kWrap>
void funnel_shift(Warp& warp, const Instruction& i) {
  for_each_lane(warp, [&](int lane) {
    const uint32_t given = warp.get<uint32_t>(i.from[2], lane), by = kWrap ? given % 32 : std::min(given, 32u);
    const uint64_t both = uint64_t{warp.get<uint32_t>(i.from[1], lane)} << 32 | warp.get<uint32_t>(i.from[0], lane);
    warp.put<uint32_t>(i.to[0], lane, static_cast<uint32_t>(kLeft ? both << by >> 32 : both >> by));
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
  table["shf.r.wrap.b32"] = funnel_shift<false, true>;
  table["shf.r.clamp.b32"] = funnel_shift<false, false>;
  table["shf.l.wrap.b32"] = funnel_shift<true, true>;
  table["shf.l.clamp.b32"] = funnel_shift<true, false>;
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

}  // namespace

const Table& instructions() {
  static const Table kTable = make_table();
  return kTable;
}

}  // namespace ptx
