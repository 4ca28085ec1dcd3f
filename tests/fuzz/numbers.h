// Half, bfloat16, float and double as the numbers they are, and rounding to them, by what they are made of.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "pixel.h"

namespace fuzz {

using torchcrop_fast::BFloat16;
using torchcrop_fast::Half;

// A binary format: digits of a number, exponent of the least one above 0, and the largest.
struct Format {
  int digits;
  int least;
  double most;
};

template <class T>
constexpr Format format_of() {
  if constexpr (std::is_same_v<T, Half>) return {11, -24, 65504};
  if constexpr (std::is_same_v<T, BFloat16>) return {8, -133, 0x1.fep127};
  return {24, -149, 0x1.fffffep127};
}

// A number of 16 bits of this format: a sign, then the exponent, then all digits but the first.
inline double value_of(uint16_t bits, Format format) {
  const int mantissa_bits = format.digits - 1;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 0x7fff >> mantissa_bits) return sign * (mantissa == 0 ? INFINITY : NAN);
  if (exponent == 0) return sign * std::ldexp(mantissa, format.least);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), format.least + exponent - 1);
}
inline double value_of(Half number) { return value_of(number.bits, format_of<Half>()); }
inline double value_of(BFloat16 number) { return value_of(number.bits, format_of<BFloat16>()); }
inline double value_of(float number) { return number; }
inline double value_of(double number) { return number; }
inline double value_of(uint8_t number) { return number; }

// The nearest number of T, the even one of two as near.
template <class T>
double rounded_to(double number) {
  if (std::is_same_v<T, double> || !std::isfinite(number) || number == 0) return number;
  constexpr Format kFormat = format_of<T>();
  int exponent;
  std::frexp(number, &exponent);
  const int last = std::max(exponent - kFormat.digits, kFormat.least);  // digit's exponent
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(number, -last)), last);
  return std::abs(rounded) > kFormat.most ? std::copysign(INFINITY, number) : rounded;
}

// Whether these are one number, of one sign, or both NaN.
inline bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace fuzz
