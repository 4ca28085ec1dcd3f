// The window kernels for GPUs. An output that is contiguous is written in aligned chunks of 16 bytes: first
// those that show one row's input or nothing but fill; then the seams, where rows and borders begin and end.
#include "window_cuda.h"

#include <algorithm>
#include <cstdint>

#include "device.h"
#include "places_cuda.h"
#include "rows_cuda.h"

namespace torchcrop_fast {
namespace {

// How many chunks a block writes, where they are enough for each multiprocessor to have some blocks; else one a thread.
#if !defined(TORCHCROP_FAST_BLOCK_CHUNKS)
#define TORCHCROP_FAST_BLOCK_CHUNKS 1024
#endif
#if !defined(TORCHCROP_FAST_MANY_BLOCKS)
#define TORCHCROP_FAST_MANY_BLOCKS 1024
#endif
constexpr int kBlockChunks = TORCHCROP_FAST_BLOCK_CHUNKS;
constexpr int kManyBlocks = TORCHCROP_FAST_MANY_BLOCKS;

// How many of a thread's chunks the compiler may lay side by side.
#if !defined(TORCHCROP_FAST_UNROLL)
#define TORCHCROP_FAST_UNROLL 1
#endif
constexpr int kUnroll = TORCHCROP_FAST_UNROLL;

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
template <int kOuter, class Index>
TORCHCROP_FAST_DEVICE uint64_t
read_unit(const CopyParameters<Index, kOuter>& p, const Row<Index>& row, Index byte, int place) {
  if (p.border == Border::kConstant && (byte < row.begin || byte >= row.end)) {
    return half_of(p.fill, place >> 3) >> (8 * (place & 7));
  }
  const Index column = p.pixel.divide(byte);
  Index at = row.columns.base + row.columns.step * column;
  if (p.border != Border::kConstant) {
    at = border_index(p.border, at, p.in_columns);
  }
  return load_unit(p.in + row.in + at * p.in_pixel_stride + (byte - column * p.pixel.size()), p.unit);
}

// Writes a chunk, or what of it lies in the output, unit by unit. first: its first byte, counted from the output's.
template <bool kPlaced, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_by_units(const CopyParameters<Index, kOuter>& p, Index first) {
  const Index begin = first < 0 ? 0 : first;
  const Index end = first + kChunkBytes > p.out_bytes ? p.out_bytes : first + kChunkBytes;
  Index index = p.row.divide(begin);
  Index byte = begin - index * p.row.size();
  Row<Index> row = find_row<kPlaced, false>(p, index);
  const int bits = 8 * p.unit;
  uint64_t low = 0, high = 0;  // each unit comes in at the upper end
  for (Index at = begin; at < end; at += p.unit) {
    const uint64_t unit = read_unit(p, row, byte, static_cast<int>(at - first));
    if (end - begin < kChunkBytes) {
      store_unit(p.out + p.out_shift + at, unit, p.unit);
    }
    low = bits == 64 ? high : (low >> bits | high << (64 - bits));
    high = bits == 64 ? unit : (high >> bits | unit << (64 - bits));
    byte += p.unit;
    if (byte == p.row.size() && at + p.unit < end) {
      byte = 0;
      row = find_row<kPlaced, false>(p, ++index);
    }
  }
  if (end - begin == kChunkBytes) {
    const Chunk chunk{
        static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high),
        static_cast<uint32_t>(high >> 32)};
    store(p.out + p.out_shift + first, chunk);
  }
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

// The chunk with its pixels, of `pixel` bytes, in reverse.
TORCHCROP_FAST_DEVICE Chunk reversed(const Chunk& chunk, int pixel) {
  if (pixel == 16) {
    return chunk;
  }
  if (pixel == 8) {
    return {chunk.word[2], chunk.word[3], chunk.word[0], chunk.word[1]};
  }
  const uint32_t order = pixel == 4 ? 0x3210 : (pixel == 2 ? 0x1032 : 0x0123);
  return {
      __byte_perm(chunk.word[3], 0, order), __byte_perm(chunk.word[2], 0, order), __byte_perm(chunk.word[1], 0, order),
      __byte_perm(chunk.word[0], 0, order)};
}

// Whether a chunk of the output, whose bytes from this one of the row on see the input, was copied as a whole.
template <bool kPlaced, int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool copy_chunk(
    const CopyParameters<Index, kOuter>& p, const Row<Index>& row, Index byte, Index first) {
  const Index pixel = p.pixel.size();
  Index at = row.in + row.columns.base * pixel + byte;
  const bool mirrored = kPlaced && row.columns.step < 0;
  if (mirrored) {
    if (!p.reverses_chunks) {
      return false;
    }
    at = row.in + (row.columns.base + 1) * pixel - byte - kChunkBytes;
  }
  const Index low = (at & ~static_cast<Index>(kChunkBytes - 1)) - p.first_chunk;
  const Index high = ((at + kChunkBytes - 1) & ~static_cast<Index>(kChunkBytes - 1)) - p.first_chunk;
  if (low < 0 || high > p.last_chunk) {
    return false;
  }
  Chunk chunk = load_across(p.in, at);
  if (mirrored) {
    chunk = reversed(chunk, static_cast<int>(pixel));
  }
  store(p.out + p.out_shift + first, chunk);
  return true;
}

// The chunks [begin, end) that this block writes.
template <class Index>
struct BlockChunks {
  Index begin, end;
};

template <class Index>
TORCHCROP_FAST_DEVICE BlockChunks<Index> chunks_of_block(Index chunks, int of_block) {
  const Index begin = static_cast<Index>(blockIdx.x) * of_block;
  return {begin, begin + of_block < chunks ? begin + of_block : chunks};
}

// Writes the chunk that begins at this byte of the output, if it shows one row's input or nothing but fill. All others
// have a seam inside: the beginning of a row, or of the input or the border behind it in a row.
template <bool kPlaced, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_if_seamless(const CopyParameters<Index, kOuter>& p, Index first) {
  if (first < 0 || first + kChunkBytes > p.out_bytes) {
    return;
  }
  const Index index = p.row.divide(first);
  const Index byte = first - index * p.row.size();
  if (byte + kChunkBytes > p.row.size()) {
    return;
  }
  const Row<Index> row = find_row<kPlaced, false>(p, index);
  if (row.begin <= byte && byte + kChunkBytes <= row.end) {
    if (!copy_chunk<kPlaced>(p, row, byte, first)) {
      write_by_units<kPlaced>(p, first);
    }
  } else if (byte + kChunkBytes <= row.begin || row.end <= byte) {
    store(p.out + p.out_shift + first, p.fill);
  }
}

// Whether this byte of the output lies inside of a chunk, not at its beginning.
template <class Index>
TORCHCROP_FAST_DEVICE bool is_seam(Index byte, Index chunk) {
  return chunk < byte && byte < chunk + kChunkBytes;
}

// Writes the chunk with a seam inside, if it is one and this seam is the one to do it: the beginning of a row, of which
// no chunk has two, else that of the input, else that of the border behind. kind: which of them of the row.
template <bool kPlaced, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_seam(
    const CopyParameters<Index, kOuter>& p, Index index, int kind, BlockChunks<Index> block) {
  const Index row_at = index * p.row.size();
  Index at = row_at, other = row_at;
  if (kind > 0) {
    if (index == p.rows) {
      return;
    }
    const Row<Index> row = find_row<kPlaced, false>(p, index);
    at += kind == 1 ? row.begin : row.end;
    other += row.begin;
  }
  const Index nth = (at + p.out_shift) / kChunkBytes;
  const Index chunk = nth * kChunkBytes - p.out_shift;
  if (!is_seam(at, chunk) || nth < block.begin || nth >= block.end) {
    return;
  }
  const bool has_row = chunk < row_at || chunk + kChunkBytes > row_at + p.row.size();
  const bool has_first = kind > 0 && (has_row || (kind == 2 && is_seam(other, chunk)));
  if (!has_first) {
    write_by_units<kPlaced>(p, chunk);
  }
}

template <bool kPlaced, int kOuter, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(kPlaced))
    copy_rows_kernel(const __grid_constant__ CopyParameters<Index, kOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
#pragma unroll kUnroll
  for (Index nth = block.begin + threadIdx.x; nth < block.end; nth += blockDim.x) {
    write_if_seamless<kPlaced>(p, nth * kChunkBytes - p.out_shift);
  }
  const Index begin = block.begin * kChunkBytes - p.out_shift;
  const Index end = block.end * kChunkBytes - p.out_shift;
  const Index first_row = p.row.divide(begin < 0 ? 0 : begin);
  const Index last_row = p.row.divide(end < p.out_bytes ? end : p.out_bytes);
  const int kinds = p.bordered ? 3 : 1;
  const Index seams = (last_row - first_row + 1) * kinds;
  for (Index i = threadIdx.x; i < seams; i += blockDim.x) {
    const Index row = p.bordered ? i / 3 : i;
    write_seam<kPlaced>(p, first_row + row, static_cast<int>(i - row * kinds), block);
  }
}

// For borders that repeat the input, and for pixels that lie apart in it: each chunk by its thread.
template <bool kPlaced, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(true))
    copy_chunks_kernel(const __grid_constant__ CopyParameters<Index, kAnyOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
  for (Index nth = block.begin + threadIdx.x; nth < block.end; nth += blockDim.x) {
    const Index first = nth * kChunkBytes - p.out_shift;
    if (p.whole_chunks && first >= 0 && first + kChunkBytes <= p.out_bytes) {
      const Index index = p.row.divide(first);
      const Index byte = first - index * p.row.size();
      if (byte + kChunkBytes <= p.row.size()) {
        const Row<Index> row = find_row<kPlaced, false>(p, index);
        if (row.begin <= byte && byte + kChunkBytes <= row.end && copy_chunk<kPlaced>(p, row, byte, first)) {
          continue;
        }
      }
    }
    write_by_units<kPlaced>(p, first);
  }
}

// For outputs with gaps, or in another order: unit by unit.
template <bool kPlaced, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(true))
    copy_units_kernel(const __grid_constant__ CopyParameters<Index, kAnyOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
  for (Index nth = block.begin + threadIdx.x; nth < block.end; nth += blockDim.x) {
    const Index at = nth * p.unit;  // were there no gaps
    const Index index = p.row.divide(at);
    const Index byte = at - index * p.row.size();
    const Row<Index> row = find_row<kPlaced, true>(p, index);
    const Index column = p.pixel.divide(byte);
    const Index in_pixel = byte - column * p.pixel.size();
    const uint64_t unit = read_unit(p, row, byte, static_cast<int>(at & (kChunkBytes - 1)));
    store_unit(p.out + p.out_shift + row.out + column * p.out_pixel_stride + in_pixel, unit, p.unit);
  }
}

// How a launch sees its windows.
class Copy {
 public:
  explicit Copy(const Windows& windows) : given_(windows), window_(windows.window) {
    std::copy(windows.spatial, windows.spatial + window_.dims, spatial_);
    join_dims();
    unit_ = std::min(window_.element_size, 8);
    while ((address(window_.in) | address(window_.out)) % unit_ != 0) {
      unit_ /= 2;
    }
  }

  LaunchError run(Stream stream) const { return fits_32_bits() ? run_as<int32_t>(stream) : run_as<int64_t>(stream); }

 private:
  static uintptr_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

  const WindowDim& column() const { return window_.dim[window_.dims - 1]; }
  int64_t bytes(int64_t elements) const { return elements * window_.element_size; }
  int64_t windows() const { return given_.images * given_.windows_an_image; }
  bool placed() const { return given_.places.starts || given_.places.flips; }

  bool is_whole(int d) const {
    return spatial_[d] < 0 && window_.dim[d].start == 0 && window_.dim[d].size == window_.dim[d].in_size;
  }

  // Joins whole dimensions with whole ones around them, and the innermost, if whole, with the columns around it as
  // their pixels.
  void join_dims() {
    int kept = 0;
    for (int d = 0; d < window_.dims; ++d) {
      const WindowDim dim = window_.dim[d];
      if (is_whole(d) && dim.size == 1) {
        continue;
      }
      if (kept > 0 && is_whole(d) && is_whole(kept - 1)) {
        WindowDim& outer = window_.dim[kept - 1];
        if (outer.in_stride == dim.size * dim.in_stride && outer.out_stride == dim.size * dim.out_stride) {
          outer = {outer.size * dim.size, 0, outer.size * dim.size, dim.in_stride, dim.out_stride};
          continue;
        }
      }
      spatial_[kept] = spatial_[d];
      window_.dim[kept++] = dim;
    }
    if (kept == 0) {
      spatial_[0] = -1;
      window_.dim[kept++] = {1, 0, 1, 1, 1};
    }
    window_.dims = kept;
    constexpr int64_t kFewBytes = 64;
    const WindowDim last = column();
    if (kept > 1 && is_whole(kept - 1) && last.in_stride == 1 && last.out_stride == 1) {
      const WindowDim& around = window_.dim[kept - 2];
      const bool together = around.in_stride == last.size || bytes(last.size) <= kFewBytes;
      if (together && around.out_stride == last.size) {
        pixel_ = last.size;
        --window_.dims;
      }
    }
  }

  int64_t rows_of_window() const {
    int64_t rows = 1;
    for (int d = 0; d < window_.dims - 1; ++d) {
      rows *= window_.dim[d].size;
    }
    return rows;
  }

  // Elements of one window.
  int64_t window_size() const { return rows_of_window() * column().size * pixel_; }

  int64_t out_bytes() const { return bytes(window_size()) * windows(); }

  // Whether pixels that lie together in the output do so in the input.
  bool whole_chunks() const { return column().in_stride == pixel_; }

  // Whether the output's elements are contiguous, in the order of the dimensions.
  bool contiguous() const {
    int64_t size = pixel_;
    for (int d = window_.dims - 1; d >= 0; --d) {
      if (window_.dim[d].size > 1 && window_.dim[d].out_stride != size) {
        return false;
      }
      size *= window_.dim[d].size;
    }
    const bool windows_are = given_.windows_an_image == 1 || given_.out_window_stride == size;
    return windows_are && (given_.images == 1 || given_.out_image_stride == size * given_.windows_an_image);
  }

  // Whether no number that a thread computes reaches 2^31: those for what lies outside of the input included.
  bool fits_32_bits() const {
    const bool repeats = window_.border != Border::kConstant;
    int64_t in = (given_.images - 1) * given_.in_image_stride + pixel_;
    for (int d = 0; d < window_.dims; ++d) {
      const WindowDim& dim = window_.dim[d];
      const int64_t start = spatial_[d] >= 0 ? std::max(dim.size, dim.in_size) : std::abs(dim.start);
      if (std::max({start, dim.size, dim.in_size}) >= k32BitLimit ||
          (start + dim.size + dim.in_size) * (repeats ? 4 : 1) >= k32BitLimit) {
        return false;
      }
      const int64_t end = spatial_[d] >= 0 ? dim.in_size + dim.size : std::abs(dim.start + dim.size);
      // Outer borders that repeat the input lead back into it before a stride is counted.
      const bool leads_back = repeats && d < window_.dims - 1;
      in += (leads_back ? dim.in_size : std::max({dim.in_size, start, end})) * dim.in_stride;
    }
    return bytes(in) < k32BitLimit && bytes(out_extent(given_)) < k32BitLimit && out_bytes() < k32BitLimit;
  }

  template <class Index, int kOuter>
  CopyParameters<Index, kOuter> parameters() const {
    const auto index = [](int64_t number) { return static_cast<Index>(number); };
    const auto shift = [](const void* pointer) { return static_cast<int64_t>(address(pointer) % kChunkBytes); };
    CopyParameters<Index, kOuter> p{};
    p.in = window_.in - shift(window_.in);
    p.in_shift = index(shift(window_.in));
    const int64_t first = shift(window_.in) > 0 ? kChunkBytes : 0;
    const int64_t behind = (shift(window_.in) + bytes(in_extent(given_))) / kChunkBytes * kChunkBytes;
    p.first_chunk = index(first);
    p.last_chunk = index(std::max<int64_t>(behind - kChunkBytes - first, -1));
    p.out = window_.out - shift(window_.out);
    p.out_shift = index(shift(window_.out));
    p.out_bytes = index(out_bytes());

    p.border = window_.border;
    p.row = Divider<Index>(bytes(column().size * pixel_));
    p.rows = index(rows_of_window() * windows());
    p.pixel = Divider<Index>(bytes(pixel_));
    p.columns = index(column().size);
    p.in_columns = index(column().in_size);
    p.start = index(column().start);
    p.in_pixel_stride = index(bytes(column().in_stride));
    p.out_pixel_stride = index(bytes(column().out_stride));
    p.column_spatial = spatial_[window_.dims - 1];
    p.unit = unit_;
    p.bordered = !is_whole(window_.dims - 1) || window_.dims > 1;
    p.whole_chunks = whole_chunks();
    const int64_t pixel = bytes(pixel_);
    p.reverses_chunks = pixel <= kChunkBytes && (pixel & (pixel - 1)) == 0 && shift(window_.out) % pixel == 0;
    for (int i = 0; i < kChunkBytes; ++i) {
      const unsigned char byte =
          window_.fill[(i + (contiguous() ? kChunkBytes - shift(window_.out) : 0)) % kChunkBytes];
      p.fill.word[i / 4] |= static_cast<uint32_t>(byte) << (8 * (i % 4));
    }

    p.places = given_.places;
    p.windows_to_images = given_.windows_to_images;
    p.window_rows = Divider<Index>(rows_of_window());
    p.windows = Divider<Index>(given_.windows_an_image);
    p.in_image_stride = index(bytes(given_.in_image_stride));
    p.out_image_stride = index(bytes(given_.out_image_stride));
    p.out_window_stride = index(bytes(given_.out_window_stride));
    // Dimensions of one element make up for missing ones.
    p.outer = kOuter == kAnyOuter ? window_.dims - 1 : kOuter;
    const int missing = p.outer - (window_.dims - 1);
    for (int d = 0; d < missing; ++d) {
      p.dim[d] = {Divider<Index>(1), 1, 0, 0, 0, -1};
    }
    for (int d = 0; d < window_.dims - 1; ++d) {
      const WindowDim& dim = window_.dim[d];
      p.dim[missing + d] = {Divider<Index>(dim.size),    index(dim.in_size),           index(dim.start),
                            index(bytes(dim.in_stride)), index(bytes(dim.out_stride)), spatial_[d]};
    }
    return p;
  }

  template <class Index>
  LaunchError run_as(Stream stream) const {
    constexpr int kFewOuter = 2;
    constexpr int64_t kShortRow = 2 * kChunkBytes;  // bytes: from here on seams are fewer than chunks, and far apart
    const int64_t chunks = (address(window_.out) % kChunkBytes + out_bytes() + kChunkBytes - 1) / kChunkBytes;
    if (!contiguous()) {
      const auto kernel = placed() ? copy_units_kernel<true, Index> : copy_units_kernel<false, Index>;
      return launch_for(kernel, parameters<Index, kAnyOuter>(), out_bytes() / unit_, stream);
    }
    if (window_.border != Border::kConstant || !whole_chunks() || bytes(column().size * pixel_) < kShortRow) {
      const auto kernel = placed() ? copy_chunks_kernel<true, Index> : copy_chunks_kernel<false, Index>;
      return launch_for(kernel, parameters<Index, kAnyOuter>(), chunks, stream);
    }
    if (window_.dims - 1 <= kFewOuter) {
      const auto kernel =
          placed() ? copy_rows_kernel<true, kFewOuter, Index> : copy_rows_kernel<false, kFewOuter, Index>;
      return launch_for(kernel, parameters<Index, kFewOuter>(), chunks, stream);
    }
    const auto kernel = placed() ? copy_rows_kernel<true, kAnyOuter, Index> : copy_rows_kernel<false, kAnyOuter, Index>;
    return launch_for(kernel, parameters<Index, kAnyOuter>(), chunks, stream);
  }

  // Launches a kernel whose blocks share out `count` chunks, or units.
  template <class Index, int kOuter>
  LaunchError launch_for(
      void (*kernel)(CopyParameters<Index, kOuter>),
      CopyParameters<Index, kOuter> p,
      int64_t chunks,
      Stream stream) const {
    const bool many = chunks >= int64_t{kManyBlocks} * kBlockChunks;
    const int64_t threads = std::min<int64_t>((chunks + 31) / 32 * 32, many ? kThreads : kSmallThreads);
    p.chunks = static_cast<Index>(chunks);
    p.block_chunks = many ? kBlockChunks : static_cast<int>(threads);
    const int64_t blocks = (chunks + p.block_chunks - 1) / p.block_chunks;
    const Accesses accesses{
        {{window_.in, window_.in + bytes(in_extent(given_))}, starts_of(given_), flips_of(given_)},
        {window_.out, window_.out + bytes(out_extent(given_))},
        out_bytes()};
    return launch(kernel, blocks, static_cast<int>(threads), stream, p, accesses);
  }

  const Windows& given_;
  Window window_;  // its dimensions joined; the last one are the columns
  int spatial_[kMaxDims];
  int64_t pixel_ = 1;  // elements that lie together in the columns
  int unit_;           // bytes
};

}  // namespace

LaunchError copy_windows_cuda(const Windows& windows, Stream stream) { return Copy(windows).run(stream); }

}  // namespace torchcrop_fast
