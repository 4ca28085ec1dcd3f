// Chunks of 16 bytes of a window's rows: loaded from where they need not be aligned, mirrored, filled and joined.
#pragma once

#include <cstdint>

#include "rows_cuda.h"

namespace torchcrop_fast {
namespace {

// A unit, in the lowest bytes.
TORCHCROP_FAST_DEVICE uint64_t load_unit(const char* from, int bytes) {
  switch (bytes) {
    case 1:
      return load<uint8_t>(from);
    case 2:
      return load<uint16_t>(from);
    case 4:
      return load<uint32_t>(from);
    default:
      return load<uint64_t>(from);
  }
}

TORCHCROP_FAST_DEVICE void store_unit(char* to, uint64_t unit, int bytes) {
  switch (bytes) {
    case 1:
      return store(to, static_cast<uint8_t>(unit));
    case 2:
      return store(to, static_cast<uint16_t>(unit));
    case 4:
      return store(to, static_cast<uint32_t>(unit));
    default:
      return store(to, unit);
  }
}

TORCHCROP_FAST_DEVICE uint64_t half_of(const Chunk& chunk, int half) {
  return half == 0 ? (static_cast<uint64_t>(chunk.word[1]) << 32 | chunk.word[0])
                   : (static_cast<uint64_t>(chunk.word[3]) << 32 | chunk.word[2]);
}

// What the row shows at this byte of it, which begins a unit. place: of the unit within a chunk of fill.
template <bool kRepeats, int kOuter, class Index>
TORCHCROP_FAST_DEVICE uint64_t
read_unit(const CopyParameters<Index, kOuter>& p, const Row<Index>& row, Index byte, int place) {
  if (!kRepeats && (byte < row.begin || byte >= row.end)) {
    return half_of(p.fill, place >> 3) >> (8 * (place & 7));
  }
  const Index column = p.pixel.divide(byte);
  Index at = row.columns.base + row.columns.step * column;
  if (kRepeats) {
    at = border_index(p.border, at, p.in_columns);
  }
  return load_unit(p.in + row.in + at * p.in_pixel_stride + (byte - column * p.pixel.size()), p.unit);
}

// The 16 bytes from this one of the input on, which need not be aligned, out of the two chunks that hold them.
template <class Index>
TORCHCROP_FAST_DEVICE Chunk load_across(const char* in, Index at) {
#if defined(TORCHCROP_FAST_LOAD_WORDS)
  if (at % 4 == 0) {
    return {
        load<uint32_t>(in + at), load<uint32_t>(in + at + 4), load<uint32_t>(in + at + 8),
        load<uint32_t>(in + at + 12)};
  }
#endif
  const Index low_at = at & ~static_cast<Index>(kChunkBytes - 1);
  const Index high_at = (at + kChunkBytes - 1) & ~static_cast<Index>(kChunkBytes - 1);
  const Chunk low = load<Chunk>(in + low_at);
  const Chunk high = load<Chunk>(in + high_at);
  const auto bytes = static_cast<uint32_t>(at - low_at);
  const bool two = bytes & 8, one = bytes & 4;
  const uint32_t a0 = two ? low.word[2] : low.word[0];
  const uint32_t a1 = two ? low.word[3] : low.word[1];
  const uint32_t a2 = two ? high.word[0] : low.word[2];
  const uint32_t a3 = two ? high.word[1] : low.word[3];
  const uint32_t a4 = two ? high.word[2] : high.word[0];
  const uint32_t a5 = two ? high.word[3] : high.word[1];
  const uint32_t b0 = one ? a1 : a0, b1 = one ? a2 : a1, b2 = one ? a3 : a2, b3 = one ? a4 : a3, b4 = one ? a5 : a4;
  const uint32_t bits = 8 * bytes;  // modulo 32
  return {
      __funnelshift_r(b0, b1, bits), __funnelshift_r(b1, b2, bits), __funnelshift_r(b2, b3, bits),
      __funnelshift_r(b3, b4, bits)};
}

// The chunk with its pixels, of `pixel` bytes, in reverse. order: of a word's bytes.
TORCHCROP_FAST_DEVICE Chunk reversed(const Chunk& chunk, int pixel, uint32_t order) {
  if (pixel <= 4) {
    return {
        __byte_perm(chunk.word[3], 0, order), __byte_perm(chunk.word[2], 0, order),
        __byte_perm(chunk.word[1], 0, order), __byte_perm(chunk.word[0], 0, order)};
  }
  return pixel == 8 ? Chunk{chunk.word[2], chunk.word[3], chunk.word[0], chunk.word[1]} : chunk;
}

// The first bytes of a chunk, so many, and the others of another one; or the other way round.
TORCHCROP_FAST_DEVICE Chunk joined(const Chunk& before, const Chunk& behind, int bytes, bool swapped = false) {
  Chunk chunk;
  TORCHCROP_FAST_UNROLLED
  for (int word = 0; word < 4; ++word) {
    const int bits = 8 * bytes - 32 * word;  // of this word, from before
    uint32_t mask = __funnelshift_lc(0, 0xffffffffu, static_cast<uint32_t>(bits > 0 ? bits : 0));
    mask = swapped ? ~mask : mask;
    chunk.word[word] = (before.word[word] & ~mask) | (behind.word[word] & mask);
  }
  return chunk;
}

// Of the input's bytes [begin, end): whether the chunks that hold them lie in it.
template <int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool holds_chunks(const CopyParameters<Index, kOuter>& p, Index begin, Index end) {
  const Index low = (begin & ~static_cast<Index>(kChunkBytes - 1)) - p.first_chunk;
  const Index high = ((end - 1) & ~static_cast<Index>(kChunkBytes - 1)) - p.first_chunk;
  return low >= 0 && high <= p.last_chunk;
}

// The word from this byte of the input on, which need not be aligned.
template <class Index>
TORCHCROP_FAST_DEVICE uint32_t load_word(const char* in, Index at) {
  const Index low = at & ~Index{3}, high = (at + 3) & ~Index{3};
  return __funnelshift_r(load<uint32_t>(in + low), load<uint32_t>(in + high), static_cast<uint32_t>(8 * (at - low)));
}

// As load_pixels, word by word, for pixels of 3 bytes and more: a word shows parts of two of them at most.
template <int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool load_by_words(
    const CopyParameters<Index, kOuter>& p, Index row_in, const IndexMap<Index>& columns, Index byte, Chunk& chunk) {
  const Index pixel = p.pixel.size();
  Index column = p.pixel.divide(byte + kChunkBytes * pixel) - kChunkBytes;  // byte may be less than 0
  Index part = byte - column * pixel;                                       // of the pixel, in bytes
  const Index first = row_in + (columns.base + columns.step * column) * pixel;
  const Index last = row_in + (columns.base + columns.step * (column + kChunkBytes / 3 + 1)) * pixel;
  if (!holds_chunks(p, first < last ? first : last, (first < last ? last : first) + pixel + 4)) {
    return false;
  }
  Index at = first;
  TORCHCROP_FAST_UNROLLED
  for (int word = 0; word < 4; ++word) {
    uint32_t shown = load_word(p.in, at + part);
    const Index left = pixel - part;  // of the pixel
    const Index next = at + columns.step * pixel;
    if (left < 4) {
      const uint32_t mask = (1u << (8 * left)) - 1;
      shown = (shown & mask) | (load_word(p.in, next) << (8 * left));
    }
    chunk.word[word] = shown;
    part += 4;
    for (int pixels = 0; pixels < 2 && part >= pixel; ++pixels) {
      part -= pixel;
      at += columns.step * pixel;
    }
  }
  return true;
}

// A pixel of 1, 2, 4, 8 or 16 bytes over and over.
TORCHCROP_FAST_DEVICE Chunk filled_with(const char* from, int pixel, int unit) {
  uint64_t half = load_unit(from, unit), other = half;
  if (pixel > 8) {
    other = load_unit(from + 8, unit);
  } else if (pixel < 8) {
    half *= pixel == 4 ? 0x0000000100000001u : (pixel == 2 ? 0x0001000100010001u : 0x0101010101010101u);
    other = half;
  }
  return {
      static_cast<uint32_t>(half), static_cast<uint32_t>(half >> 32), static_cast<uint32_t>(other),
      static_cast<uint32_t>(other >> 32)};
}

// The 16 bytes that a row shows from this one on, were its pixels to see the input by this map without end. False where
// what is loaded for them does not all lie in the input. kTurns: the map may lead elsewhere than forward.
template <bool kTurns, int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool load_pixels(
    const CopyParameters<Index, kOuter>& p, Index row_in, const IndexMap<Index>& columns, Index byte, Chunk& chunk) {
  const Index pixel = p.pixel.size();
  Index at = row_in + columns.base * pixel + byte;
  const bool turned = kTurns && columns.step != 1;
  if (turned) {
    if (columns.step == 0 && p.repeats_pixels) {
      const char* const element = p.in + row_in + columns.base * pixel;
      chunk = filled_with(element, static_cast<int>(pixel), p.unit);
      return true;
    }
    if (columns.step == 0 || !p.reverses_chunks) {
      return pixel >= 3 && load_by_words(p, row_in, columns, byte, chunk);
    }
    at = row_in + (columns.base + 1) * pixel - byte - kChunkBytes;
  }
  if (!holds_chunks(p, at, static_cast<Index>(at + kChunkBytes))) {
    return false;
  }
  chunk = load_across(p.in, at);
  if (turned) {
    chunk = reversed(chunk, static_cast<int>(pixel), p.reversed_bytes);
  }
  return true;
}

// The bytes [begin, end) of a row, in the chunk of 16 whose first one has this place in the row. False where they have
// to be read one by one.
template <bool kPlaced, bool kRepeats, int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool load_row(
    const CopyParameters<Index, kOuter>& p, const Row<Index>& row, Index byte, Index begin, Index end, Chunk& chunk) {
  // What lies in the input, and then the border before it, or behind.
  const Index first = begin < row.begin ? row.begin : begin, last = end < row.end ? end : row.end;
  if (first < last) {
    if (!load_pixels<kPlaced>(p, row.in, row.columns, byte, chunk)) {
      return false;
    }
    if (first == begin && last == end) {
      return true;
    }
  }
  if constexpr (!kRepeats) {
    if (first >= last) {
      chunk = p.fill;
    } else {
      chunk = joined(joined(p.fill, chunk, static_cast<int>(first - byte)), p.fill, static_cast<int>(last - byte));
    }
    return true;
  } else {
    const Index pixel = p.pixel.size(), behind = row.end > begin ? row.end : begin;
    for (Index at = begin < row.begin ? begin : behind; at < end; at = at < row.begin ? behind : end) {
      const bool before = at < row.begin;
      const Index next = before && row.begin < end ? row.begin : end;
      const IndexMap<Index> there = p.repetition(row.columns, before == (row.columns.step > 0));
      // The bytes of the row of the input that are seen.
      const Index seen = there.step < 0 ? (there.base + 1) * pixel - next : there.base * pixel + at;
      Chunk part;
      if ((there.step != 0 && (seen < 0 || seen + next - at > p.in_columns * pixel)) ||
          !load_pixels<true>(p, row.in, there, byte, part)) {
        return false;
      }
      chunk = joined(chunk, part, static_cast<int>((before ? next : at) - byte), before);
    }
    return true;
  }
}

}  // namespace
}  // namespace torchcrop_fast
