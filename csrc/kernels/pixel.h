// One element as a number: half and bfloat16 by their bits, host and device.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "border.h"

namespace torchcrop_fast {

// The types that pixels are read and written in; kUint8 is only read.
enum class PixelType { kUint8, kHalf, kBFloat16, kFloat };

// In bytes.
constexpr int size_of(PixelType type) { return type == PixelType::kUint8 ? 1 : (type == PixelType::kFloat ? 4 : 2); }

// The type of a gradient's elements.
enum class Real { kHalf, kBFloat16, kFloat, kDouble };

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

TORCHCROP_FAST_HOST_DEVICE inline float to_float(uint8_t number) { return number; }
TORCHCROP_FAST_HOST_DEVICE inline float to_float(float number) { return number; }
TORCHCROP_FAST_HOST_DEVICE inline double to_float(double number) { return number; }
TORCHCROP_FAST_HOST_DEVICE inline float to_float(BFloat16 number) {
  return std::bit_cast<float>(static_cast<uint32_t>(number.bits) << 16);
}
TORCHCROP_FAST_HOST_DEVICE inline float to_float(Half number) {
#if defined(__CUDA_ARCH__)
  float there;
  asm("cvt.f32.f16 %0, %1;" : "=f"(there) : "h"(number.bits));
  return there;
#else
  const uint32_t sign = static_cast<uint32_t>(number.bits & 0x8000u) << 16;
  const uint32_t rest = number.bits & 0x7fffu;
  uint32_t bits = (rest << 13) + 0x38000000u;  // the exponent counts from another zero
  if (rest >= 0x7c00u) {                       // infinite or NaN
    bits = (rest << 13) | 0x7f800000u;
  } else if (rest < 0x400u) {  // subnormal: a multiple of 2^-24
    bits = std::bit_cast<uint32_t>(static_cast<float>(rest) * 0x1p-24f);
  }
  return std::bit_cast<float>(sign | bits);
#endif
}

// The nearest number of the other type, the even one of two as near; NaN stays NaN.
template <class T>
TORCHCROP_FAST_HOST_DEVICE inline T from_float(float number);

template <>
TORCHCROP_FAST_HOST_DEVICE inline float from_float(float number) {
  return number;
}

template <>
TORCHCROP_FAST_HOST_DEVICE inline BFloat16 from_float(float number) {
  const uint32_t bits = std::bit_cast<uint32_t>(number);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded)};
}

template <>
TORCHCROP_FAST_HOST_DEVICE inline Half from_float(float number) {
  const uint32_t bits = std::bit_cast<uint32_t>(number);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t rest = bits & 0x7fffffffu;
  uint32_t half = (rest + 0xc8000fffu + ((rest >> 13) & 1)) >> 13;
  if (rest > 0x7f800000u) {
    half = 0x7e00u;
  } else if (rest >= 0x47800000u) {  // 2^16 and more, infinity among them
    half = 0x7c00u;
  } else if (rest < 0x38800000u) {  // below 2^-14: counts in steps of 2^-24, as the last bits of numbers from 0.5 on do
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3f000000u;
  }
  return {static_cast<uint16_t>(sign | half)};
}

// Two numbers of the other type, the first one in the lower half. kMayBeNan: whether one of them may be.
template <class T, bool kMayBeNan>
TORCHCROP_FAST_DEVICE uint32_t rounded_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if (!kMayBeNan || (low == low && high == high)) {  // of NaN the hardware makes another one
    uint32_t pair;
    if constexpr (std::is_same_v<T, Half>) {
      asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    } else {
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    }
    return pair;
  }
#endif
  return from_float<T>(low).bits | static_cast<uint32_t>(from_float<T>(high).bits) << 16;
}

}  // namespace torchcrop_fast
