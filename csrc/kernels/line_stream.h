// Fills, and stores past the caches, whatever the alignment: tools of the CPU's writers. Each file that includes this
// gets its own build of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "copy_rows.h"

namespace torchcrop_fast {
namespace {

// Stores a line, at an aligned place, past the caches.
template <int kVector>
void stream_line(char* to, const char* from) {
#if defined(__x86_64__)
  if constexpr (kVector == 32) {
    for (int i = 0; i < kLine; i += 32) {
      const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), part);
    }
  } else {
    for (int i = 0; i < kLine; i += 16) {
      const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), part);
    }
  }
#else
  std::memcpy(to, from, kLine);
#endif
}

// Fills with copies of one element.
template <int kVector>
class Filler {
 public:
  explicit Filler(const unsigned char* fill) : byte_(fill[0]) {
    for (int i = 0; i < kShort; i += 16) {
      std::memcpy(pattern_ + i, fill, 16);
    }
    uniform_ = std::memcmp(pattern_, pattern_ + 1, 15) == 0;
  }

  // Fills n bytes, whole elements.
  void operator()(char* to, int64_t n) const {
    if (n > kShort && uniform_) {
      std::memset(to, byte_, n);
      return;
    }
    for (; n > kShort; n -= kShort, to += kShort) {
      CopyShort<kVector, kShort / kVector - 1>{}(to, pattern_, kShort);
    }
    if (n > 0) {
      with_copy<kVector>(n, [&](const auto& copy) { copy(to, pattern_, n); });
    }
  }

  const char* pattern() const { return pattern_; }

 private:
  char pattern_[kShort];  // the element over and over
  unsigned char byte_;
  bool uniform_;  // all the element's bytes are byte_
};

// Writes bytes one after another past the caches. Only whole lines go that way, since a line that is written both
// ways costs many times more: the bytes of a line that come from several places gather in a buffer first.
template <int kVector>
class LineStream {
 public:
  explicit LineStream(char* to)
      : first_(static_cast<int>(reinterpret_cast<uintptr_t>(to) % kLine)), gathered_(first_), to_(to - first_) {}

  void copy(const char* from, int64_t n) {
    append(from, n, [](const char* at, int64_t bytes) { return at + bytes; });
  }

  void fill(const Filler<kVector>& filler, int64_t n) {
    const char* const pattern = filler.pattern();
    append(pattern, n, [=](const char* at, int64_t bytes) { return pattern + (at - pattern + bytes) % 16; });
  }

  // The bytes that complete the line begun, 0 if none is.
  int64_t left_in_line() const { return gathered_ > 0 ? kLine - gathered_ : 0; }

  // Where the next lines go, of which none is begun: the caller writes them, past the caches.
  char* next_lines(int64_t lines) { return std::exchange(to_, to_ + lines * kLine); }

  // Writes what is left, and orders all before what this thread stores next.
  void finish() {
    stream_waiting();
    std::memcpy(to_ + first_, line_ + first_, gathered_ - first_);
#if defined(__x86_64__)
    _mm_sfence();
#endif
  }

 private:
  // Appends n bytes; next(at, bytes) tells what to read after `bytes` bytes read at a place.
  template <class Next>
  void append(const char* from, int64_t n, const Next& next) {
    if (gathered_ > 0) {
      const int64_t part = std::min<int64_t>(n, kLine - gathered_);
      gather(from, part);
      from = next(from, part);
      n -= part;
      if (gathered_ == kLine) {
        finish_line();
      }
    }
    char* to = to_;
    for (; n >= kLine; n -= kLine, from = next(from, kLine), to += kLine) {
      stream_line<kVector>(to, from);
    }
    to_ = to;
    gather(from, n);
  }

  void gather(const char* from, int64_t n) {
    if (n > 0) {
      with_copy<kVector>(n, [&](const auto& copy) { copy(line_ + gathered_, from, n); });
      gathered_ += static_cast<int>(n);
    }
  }

  void finish_line() {
    if (first_ > 0) {  // the bytes before belong to another thread
      std::memcpy(to_ + first_, line_ + first_, kLine - first_);
      first_ = 0;
    } else {
      stream_waiting();
      waiting_ = to_;
      std::swap(line_, waiting_line_);
    }
    to_ += kLine;
    gathered_ = 0;
  }

  // A gathered line waits until the next one is complete: read at once, it would hold up the CPU until its parts,
  // stored one by one, have left for the cache.
  void stream_waiting() {
    if (waiting_) {
      stream_line<kVector>(waiting_, waiting_line_);
      waiting_ = nullptr;
    }
  }

  int first_;                // the current line's bytes before it are not ours
  int gathered_;             // its bytes up to here are in line_
  char* to_;                 // where it begins
  char* waiting_ = nullptr;  // where the gathered line goes that waits, if one does
  alignas(kLine) char lines_[2][kLine];
  char* line_ = lines_[0];
  char* waiting_line_ = lines_[1];
};

}  // namespace
}  // namespace torchcrop_fast
