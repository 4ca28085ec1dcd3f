// Copies rows of columns, short and long, contiguous or element by element: a tool of the CPU's writers. Each file that
// includes this gets its own build of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace torchcrop_fast {
namespace {

// kBytes bytes, moved at once whatever their alignment.
template <int kBytes>
struct Bytes {
  typedef unsigned char Type __attribute__((vector_size(kBytes), aligned(1), may_alias));
};
template <>
struct Bytes<1> {
  typedef unsigned char Type;
};
template <>
struct Bytes<2> {
  typedef uint16_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct Bytes<4> {
  typedef uint32_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct Bytes<8> {
  typedef uint64_t Type __attribute__((aligned(1), may_alias));
};
template <int kBytes>
using Block = typename Bytes<kBytes>::Type;

template <int kBytes>
void move_block(char* to, const char* from) {
  *reinterpret_cast<Block<kBytes>*>(to) = *reinterpret_cast<const Block<kBytes>*>(from);
}

// Copies n bytes as kHeads blocks from the beginning and one that ends with them; they may overlap.
// kBlock <= n, and kHeads * kBlock <= n <= (kHeads + 1) * kBlock. Straight-line: a call of memcpy costs more than such
// a short row.
template <int kBlock, int kHeads>
struct CopyShort {
  void operator()(char* to, const char* from, int64_t n) const {
    for (int i = 0; i < kHeads; ++i) {
      move_block<kBlock>(to + i * kBlock, from + i * kBlock);
    }
    move_block<kBlock>(to + n - kBlock, from + n - kBlock);
  }
};

// Copies n bytes, at least two vectors: the first and the last one wherever they lie, those between to aligned places.
template <int kVector>
struct CopyLong {
  void operator()(char* to, const char* from, int64_t n) const {
    move_block<kVector>(to, from);
    int64_t i = kVector - static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % kVector);
    for (; i + 2 * kVector <= n; i += 2 * kVector) {
      move_block<kVector>(to + i, from + i);
      move_block<kVector>(to + i + kVector, from + i + kVector);
    }
    move_block<kVector>(to + n - 2 * kVector, from + n - 2 * kVector);
    move_block<kVector>(to + n - kVector, from + n - kVector);
  }
};

// Without wide vectors memcpy is faster, whose own choice of them is made at run time; in parts that it does not stream
// past the caches: whether that pays, we decide.
template <>
struct CopyLong<16> {
  void operator()(char* to, const char* from, int64_t n) const {
    constexpr int64_t kPart = 256 * 1024;
    for (; n > kPart; n -= kPart, to += kPart, from += kPart) {
      std::memcpy(to, from, kPart);
    }
    std::memcpy(to, from, n);
  }
};

constexpr int64_t kFilledFirst = 4096;  // bytes that are worth filling whole before a part of them is copied over
constexpr int64_t kLine = 64;           // of the caches, in bytes
constexpr int64_t kTile = 16;           // columns far apart in the input that are copied together
constexpr int64_t kStreamed = 192;      // the shortest row, in bytes, that is worth streaming
constexpr int64_t kShort = 128;         // the longest row, in bytes, that is copied straight-line

// Calls use(copy) with the straight-line copy of n bytes, more than a vector and at most kHeads + 1 of them.
template <int kVector, int kHeads, class Use>
void with_vectors(int64_t n, const Use& use) {
  if constexpr (kHeads > 1) {
    if (n <= kHeads * kVector) {
      return with_vectors<kVector, kHeads - 1>(n, use);
    }
  }
  use(CopyShort<kVector, kHeads>{});
}

// Calls use(copy) with the cheapest copy of n bytes, at least 1.
template <int kVector, class Use>
void with_copy(int64_t n, const Use& use) {
  if (n > kShort) {
    use(CopyLong<kVector>{});
  } else if (n > kVector) {
    with_vectors<kVector, kShort / kVector - 1>(n, use);
  } else if (n > 16) {
    use(CopyShort<16, 1>{});
  } else if (n > 8) {
    use(CopyShort<8, 1>{});
  } else if (n > 4) {
    use(CopyShort<4, 1>{});
  } else if (n > 2) {
    use(CopyShort<2, 1>{});
  } else {
    use(CopyShort<1, 1>{});
  }
}

// What some rows see of the input, and where it goes. A column is one byte or one element.
struct Rows {
  char* to;
  const char* from;
  int64_t count;
  int64_t to_step;    // bytes from row to row
  int64_t from_step;  // bytes
  int64_t seen;       // columns of each row
};

// Copies rows whose bytes lie side by side, each with one call of Copy.
template <class Copy>
struct CopyByteRows {
  void operator()(Rows rows) const {
    for (; rows.count > 0; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      copy(rows.to, rows.from, rows.seen);
    }
  }

  // Copies planes of such rows, given the first one and the bytes from the last row of a plane to the next plane. One
  // loop with no branch at a plane's end, which the CPU would mispredict: that costs as much as ten short rows.
  void operator()(Rows rows, int64_t planes, int64_t to_next_plane, int64_t from_next_plane) const {
    int64_t left_in_plane = rows.count;
    for (int64_t left = planes * rows.count; left > 0; --left) {
      copy(rows.to, rows.from, rows.seen);
      const bool last = --left_in_plane == 0;
      rows.to += last ? to_next_plane : rows.to_step;
      rows.from += last ? from_next_plane : rows.from_step;
      left_in_plane = last ? rows.count : left_in_plane;
    }
  }

  Copy copy;
};

#if defined(__x86_64__)
// A vector's elements in the opposite order.
template <int kSize>
__m256i reversed(__m256i elements) {
  struct Order {
    alignas(32) unsigned char from[32];  // in each half, where the bytes come from
  };
  static constexpr Order kOrder = [] {
    Order order{};
    for (int i = 0; i < 32; ++i) {
      order.from[i] = static_cast<unsigned char>((16 / kSize - 1 - i % 16 / kSize) * kSize + i % kSize);
    }
    return order;
  }();
  const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i*>(kOrder.from));
  return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(elements, order), 0x4e);
}
#endif

#if defined(__x86_64__)
// Every second element of two vectors that lie side by side, of 4 or 8 bytes.
template <int kSize>
__m256i every_second(__m256i first, __m256i second) {
  const __m256 a = _mm256_castsi256_ps(first);
  const __m256 b = _mm256_castsi256_ps(second);
  const __m256 kept = _mm256_shuffle_ps(a, b, kSize == 4 ? 0x88 : 0x44);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(kept), 0xd8);
}
#endif

// Copies rows one element at a time.
template <int kVector, int kSize>
struct CopyElementRows {
  // By reference: copying a struct just stored field by field stalls on store forwarding.
  void operator()(const Rows& given) const {
    Rows rows = given;
    switch (rows.seen) {
      case 1:
        return copy(rows.to, rows.from, rows.count, rows.to_step, rows.from_step);
      case 2:
        return copy_narrow<2>(rows);
      case 3:
        return copy_narrow<3>(rows);
      case 4:
        return copy_narrow<4>(rows);
    }
    // Where columns lie far apart in the input but rows near each other, so few columns at a time that the lines they
    // bring are still near when the next row reads them.
    const int64_t together = std::abs(from_next) > kLine && std::abs(rows.from_step) < kLine ? kTile : rows.seen;
    for (; rows.seen > 0; rows.seen -= together, rows.to += together * to_next, rows.from += together * from_next) {
      char* to = rows.to;
      const char* from = rows.from;
      for (int64_t row = 0; row < rows.count; ++row, to += rows.to_step, from += rows.from_step) {
        copy(to, from, std::min(rows.seen, together), to_next, from_next);
      }
    }
  }

  void operator()(Rows rows, int64_t planes, int64_t to_next_plane, int64_t from_next_plane) const {
    for (; planes > 0; --planes) {
      (*this)(rows);
      rows.to += (rows.count - 1) * rows.to_step + to_next_plane;
      rows.from += (rows.count - 1) * rows.from_step + from_next_plane;
    }
  }

  int64_t to_next;    // bytes from element to element
  int64_t from_next;  // bytes

 private:
  // Copies rows of kColumns columns: a loop over each would cost more than the row.
  template <int kColumns>
  void copy_narrow(Rows& rows) const {
    for (; rows.count > 0; --rows.count, rows.to += rows.to_step, rows.from += rows.from_step) {
      move_apart<kColumns>(rows.to, rows.from, to_next, from_next);
    }
  }

  // Moves kCount elements, to_next and from_next bytes apart. All are read before one is written: then the reads need
  // not wait for the writes.
  template <int kCount>
  static void move_apart(char* to, const char* from, int64_t to_next, int64_t from_next) {
    Block<kSize> elements[kCount];
    for (int i = 0; i < kCount; ++i) {
      elements[i] = *reinterpret_cast<const Block<kSize>*>(from + i * from_next);
    }
    for (int i = 0; i < kCount; ++i) {
      *reinterpret_cast<Block<kSize>*>(to + i * to_next) = elements[i];
    }
  }

  static void copy(char* to, const char* from, int64_t n, int64_t to_next, int64_t from_next) {
#if defined(__x86_64__)
    if constexpr (kVector == 32) {
      if (from_next == -kSize && to_next == kSize) {  // mirrored
        constexpr int64_t kTogether = 32 / kSize;
        for (; n >= kTogether; n -= kTogether, to += 32, from -= 32) {
          const char* const vector = from - (32 - kSize);
          const __m256i elements = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(vector));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reversed<kSize>(elements));
        }
      }
    }
#endif
#if defined(__x86_64__)
    if constexpr (kVector == 32 && (kSize == 4 || kSize == 8)) {
      if (from_next == 2 * kSize && to_next == kSize) {
        constexpr int64_t kTogether = 32 / kSize;
        for (; n > kTogether; n -= kTogether, to += 32, from += 64) {  // not the last: what follows it is not ours
          const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
          const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), every_second<kSize>(first, second));
        }
      }
    }
#endif
    if (from_next <= kLine) {  // elsewhere every read brings a line of its own, and they are better spread out
      for (; n >= 4; n -= 4, to += 4 * to_next, from += 4 * from_next) {
        move_apart<4>(to, from, to_next, from_next);
      }
    }
    for (; n > 0; --n, to += to_next, from += from_next) {
      move_block<kSize>(to, from);
    }
  }
};

// Planes of rows, and the bytes from one to the next.
struct Planes {
  int64_t count;
  int64_t to_step;
  int64_t from_step;
};

// Copies planes of rows of elements of `bytes` bytes, to_next and from_next bytes apart. rows, those of the first
// plane, counts elements.
template <int kVector>
void copy_element_rows(const Rows& rows, const Planes& planes, int64_t bytes, int64_t to_next, int64_t from_next) {
  const auto copy_all = [&](const auto& copy, const Rows& of_plane) {
    const int64_t to_next_plane = planes.to_step - (rows.count - 1) * rows.to_step;
    const int64_t from_next_plane = planes.from_step - (rows.count - 1) * rows.from_step;
    copy(of_plane, planes.count, to_next_plane, from_next_plane);
  };
  if (to_next == bytes && from_next == bytes) {
    const int64_t seen = rows.seen * bytes;
    return with_copy<kVector>(seen, [&](const auto& copy) {
      const Rows in_bytes{rows.to, rows.from, rows.count, rows.to_step, rows.from_step, seen};
      copy_all(CopyByteRows<std::decay_t<decltype(copy)>>{copy}, in_bytes);
    });
  }
  switch (bytes) {
    case 1:
      return copy_all(CopyElementRows<kVector, 1>{to_next, from_next}, rows);
    case 2:
      return copy_all(CopyElementRows<kVector, 2>{to_next, from_next}, rows);
    case 4:
      return copy_all(CopyElementRows<kVector, 4>{to_next, from_next}, rows);
    case 8:
      return copy_all(CopyElementRows<kVector, 8>{to_next, from_next}, rows);
    case 16:
      return copy_all(CopyElementRows<kVector, 16>{to_next, from_next}, rows);
  }
  with_copy<kVector>(bytes, [&](const auto& copy) {
    Rows column = rows;
    column.seen = bytes;
    for (int64_t left = rows.seen; left > 0; --left, column.to += to_next, column.from += from_next) {
      copy_all(CopyByteRows<std::decay_t<decltype(copy)>>{copy}, column);
    }
  });
}

// Copies n elements of `bytes` bytes, to_next and from_next bytes apart.
template <int kVector>
void copy_elements(char* to, const char* from, int64_t n, int64_t bytes, int64_t to_next, int64_t from_next) {
  copy_element_rows<kVector>({to, from, 1, 0, 0, n}, {1, 0, 0}, bytes, to_next, from_next);
}

}  // namespace
}  // namespace torchcrop_fast
