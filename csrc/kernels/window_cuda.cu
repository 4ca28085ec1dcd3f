// The window kernels for GPUs. An output that is contiguous is written in aligned chunks of 16 bytes: first those that
// show one row, then those in which a row ends.
#include "window_cuda.h"

#include <algorithm>
#include <cstdint>

#include "chunks_cuda.h"
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

// Rows of so many bytes and more have few chunks at a border.
#if !defined(TORCHCROP_FAST_LONG_ROW)
#define TORCHCROP_FAST_LONG_ROW 64
#endif
constexpr int64_t kLongRow = TORCHCROP_FAST_LONG_ROW;

// Writes a chunk, or what of it lies in the output, unit by unit. first: its first byte, counted from the output's.
// kTogether: whole chunks are stored at once.
template <bool kPlaced, bool kRepeats, bool kTogether, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_by_units(
    const CopyParameters<Index, kOuter>& p, Index first, KnownWindow<kOuter, Index>& known) {
  const Index begin = first < 0 ? 0 : first;
  const Index end = first + kChunkBytes > p.out_bytes ? p.out_bytes : first + kChunkBytes;
  const bool together = kTogether && end - begin == kChunkBytes;
  Index index = p.row.divide(begin);
  Index byte = begin - index * p.row.size();
  Row<Index> row = find_row<kPlaced, kRepeats, false>(p, index, known);
  const int bits = 8 * p.unit;
  uint64_t low = 0, high = 0;  // each unit comes in at the upper end
  for (Index at = begin; at < end; at += p.unit) {
    const uint64_t unit = read_unit<kRepeats>(p, row, byte, static_cast<int>(at - first));
    if (together) {
      low = bits == 64 ? high : (low >> bits | high << (64 - bits));
      high = bits == 64 ? unit : (high >> bits | unit << (64 - bits));
    } else {
      store_unit(p.out + p.out_shift + at, unit, p.unit);
    }
    byte += p.unit;
    if (byte == p.row.size() && at + p.unit < end) {
      byte = 0;
      row = find_row<kPlaced, kRepeats, false>(p, ++index, known);
    }
  }
  if (together) {
    const Chunk chunk{
        static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high),
        static_cast<uint32_t>(high >> 32)};
    store(p.out + p.out_shift + first, chunk);
  }
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

// How a block's threads share out what lies side by side in [begin, end): all take turns, or, where a thread knows what
// it has come by, each warp has a part of its own, so that what comes next is near. Calls use(nth).
template <bool kNear, class Index, class Use>
TORCHCROP_FAST_DEVICE void for_each_of_thread(const Divider<Index>& threads, Index begin, Index end, const Use& use) {
  if constexpr (kNear) {
    constexpr int kWarp = 32;
    const Index of_warp = threads.divide(end - begin + threads.size() - 1) * kWarp;
    begin += threadIdx.x / kWarp * of_warp;
    end = begin + of_warp < end ? begin + of_warp : end;
    for (Index nth = begin + threadIdx.x % kWarp; nth < end; nth += kWarp) {
      use(nth);
    }
  } else {
#pragma unroll kUnroll
    for (Index nth = begin + threadIdx.x; nth < end; nth += blockDim.x) {
      use(nth);
    }
  }
}

// Writes the chunk that begins at this byte of the output; false where that has to be done unit by unit. index: of the
// row that shows its first byte. byte: that one's place in the row. kRows: whether others may follow.
template <bool kPlaced, bool kRepeats, bool kRows, int kOuter, class Index>
TORCHCROP_FAST_DEVICE bool write_chunk(
    const CopyParameters<Index, kOuter>& p,
    Index first,
    Index index,
    const Row<Index>& row,
    Index byte,
    KnownWindow<kOuter, Index>& known) {
  const auto end_in_row = [&] {
    return kRows && byte + kChunkBytes > p.row.size() ? p.row.size() : byte + kChunkBytes;
  };
  Chunk chunk{};
  if (first + kChunkBytes > p.out_bytes || !load_row<kPlaced, kRepeats>(p, row, byte, byte, end_in_row(), chunk)) {
    return false;
  }
  while (kRows && byte + kChunkBytes > p.row.size()) {
    byte -= p.row.size();
    const Row<Index> next = find_row<kPlaced, kRepeats, false>(p, ++index, known);
    Chunk part{};
    if (!load_row<kPlaced, kRepeats>(p, next, byte, Index{0}, end_in_row(), part)) {
      return false;
    }
    chunk = joined(chunk, part, static_cast<int>(-byte));
  }
  store(p.out + p.out_shift + first, chunk);
  return true;
}

// Whether this byte lies inside of a chunk, not at its beginning.
template <class Index>
TORCHCROP_FAST_DEVICE bool is_inside_chunk(Index byte, Index chunk) {
  return chunk < byte && byte < chunk + kChunkBytes;
}

// Writes the chunk at this byte of the output if it shows one row, and has no seam that is left to write_seams.
template <bool kPlaced, bool kRepeats, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_in_row(
    const CopyParameters<Index, kOuter>& p, Index first, KnownWindow<kOuter, Index>& known) {
  bool written = false;
  if (first >= 0) {
    const Index index = p.row.divide(first);
    const Index byte = first - index * p.row.size();
    if (byte + kChunkBytes > p.row.size()) {
      return;
    }
    const Row<Index> row = find_row<kPlaced, kRepeats, false>(p, index, known);
    if (kRepeats && p.leaves_borders && (is_inside_chunk(row.begin, byte) || is_inside_chunk(row.end, byte))) {
      return;
    }
    written = write_chunk<kPlaced, kRepeats, false>(p, first, index, row, byte, known);
  }
  if (!written) {
    write_by_units<kPlaced, kRepeats, false>(p, first, known);
  }
}

// Writes the chunk in which this row ends, and, where they are left to this, those in which its input begins or ends.
template <bool kPlaced, bool kRepeats, int kOuter, class Index>
TORCHCROP_FAST_DEVICE void write_seams(
    const CopyParameters<Index, kOuter>& p, Index index, BlockChunks<Index> block, KnownWindow<kOuter, Index>& known) {
  enum Seam { kInputBegins, kInputEnds, kRowEnds };
  const Index row_at = index * p.row.size(), row_end = row_at + p.row.size();
  const Row<Index> row = find_row<kPlaced, kRepeats, false>(p, index, known);
#pragma unroll 1
  for (int seam = kRepeats && p.leaves_borders ? kInputBegins : kRowEnds; seam <= kRowEnds; ++seam) {
    const Index at = seam == kRowEnds ? row_end : row_at + (seam == kInputBegins ? row.begin : row.end);
    const Index nth = (at + p.out_shift) / kChunkBytes;
    const Index first = nth * kChunkBytes - p.out_shift;
    // A chunk in which a row ends is written for that, others for their first seam.
    const bool is_first = seam == kRowEnds || (row_at <= first && first + kChunkBytes <= row_end &&
                                               !(seam == kInputEnds && first < row_at + row.begin));
    if (first < at && is_first && block.begin <= nth && nth < block.end &&
        !write_chunk<kPlaced, kRepeats, true>(p, first, index, row, first - row_at, known)) {
      write_by_units<kPlaced, kRepeats, false>(p, first, known);
    }
  }
}

// The chunks that show one row, then those with seams: so threads side by side go the same way.
template <bool kPlaced, bool kRepeats, int kOuter, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(kPlaced + kRepeats))
    copy_rows_kernel(const __grid_constant__ CopyParameters<Index, kOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
  KnownWindow<kOuter, Index> known;
  for_each_of_thread<kPlaced>(p.threads, block.begin, block.end, [&](Index nth) {
    write_in_row<kPlaced, kRepeats>(p, nth * kChunkBytes - p.out_shift, known);
  });
  if (!p.has_seams) {
    return;
  }
  const Index begin = block.begin * kChunkBytes - p.out_shift;
  const Index end = block.end * kChunkBytes - p.out_shift;
  const Index last = p.row.divide((end < p.out_bytes ? end : p.out_bytes) - 1);
  for_each_of_thread<kPlaced>(p.threads, p.row.divide(begin < 0 ? 0 : begin), last + 1, [&](Index index) {
    write_seams<kPlaced, kRepeats>(p, index, block, known);
  });
}

// For pixels that lie apart in the input, and for short rows: each chunk by its thread.
template <bool kPlaced, bool kRepeats, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(1))
    copy_chunks_kernel(const __grid_constant__ CopyParameters<Index, kAnyOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
  KnownWindow<kAnyOuter, Index> known;
  for (Index nth = block.begin + threadIdx.x; nth < block.end; nth += blockDim.x) {
    const Index first = nth * kChunkBytes - p.out_shift;
    bool written = false;
    if (p.joins_rows && first >= 0) {
      const Index index = p.row.divide(first);
      const Row<Index> row = find_row<kPlaced, kRepeats, false>(p, index, known);
      written = write_chunk<kPlaced, kRepeats, true>(p, first, index, row, first - index * p.row.size(), known);
    }
    if (!written) {
      write_by_units<kPlaced, kRepeats, true>(p, first, known);
    }
  }
}

// For outputs with gaps, or in another order: unit by unit.
template <bool kPlaced, bool kRepeats, class Index>
__global__ void __launch_bounds__(kThreads, min_blocks<Index>(1))
    copy_units_kernel(const __grid_constant__ CopyParameters<Index, kAnyOuter> p) {
  const BlockChunks<Index> block = chunks_of_block(p.chunks, p.block_chunks);
  KnownWindow<kAnyOuter, Index> known;
  for (Index nth = block.begin + threadIdx.x; nth < block.end; nth += blockDim.x) {
    const Index at = nth * p.unit;  // were there no gaps
    const Index index = p.row.divide(at);
    const Index byte = at - index * p.row.size();
    const Row<Index> row = find_row<kPlaced, kRepeats, true>(p, index, known);
    const Index column = p.pixel.divide(byte);
    const Index in_pixel = byte - column * p.pixel.size();
    const uint64_t unit = read_unit<kRepeats>(p, row, byte, static_cast<int>(at & (kChunkBytes - 1)));
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
      // Outer borders that repeat the input lead back into it before a stride is counted; those of a row double it.
      const bool leads_back = repeats && d < window_.dims - 1;
      in += (leads_back ? dim.in_size : std::max({dim.in_size, start, end}) * (repeats ? 4 : 1)) * dim.in_stride;
    }
    return fit_32_bits(given_.places) && std::max({bytes(in), bytes(out_extent(given_)), out_bytes()}) < k32BitLimit;
  }

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

  int64_t row_bytes() const { return bytes(column().size * pixel_); }

  // Whether it costs less to join a chunk of what rows show than to read it unit by unit.
  bool joins_rows() const {
    constexpr int64_t kShortRow = 6;
    return whole_chunks() && row_bytes() >= kShortRow;
  }

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
    p.row = Divider<Index>(row_bytes());
    p.pixel = Divider<Index>(bytes(pixel_));
    p.columns = index(column().size);
    p.in_columns = index(column().in_size);
    p.start = index(column().start);
    p.repetition = repetition_of<Index>(window_.border, p.in_columns);
    p.period = border_period<Index>(window_.border, p.in_columns);
    p.in_pixel_stride = index(bytes(column().in_stride));
    p.out_pixel_stride = index(bytes(column().out_stride));
    p.column_spatial = spatial_[window_.dims - 1];
    p.unit = unit_;
    p.leaves_borders = window_.border != Border::kConstant && row_bytes() >= kLongRow;
    p.has_seams = p.leaves_borders || row_bytes() % kChunkBytes != 0 || shift(window_.out) != 0;
    p.joins_rows = joins_rows();
    const int64_t pixel = bytes(pixel_);
    p.reverses_chunks = pixel <= kChunkBytes && (pixel & (pixel - 1)) == 0 && shift(window_.out) % pixel == 0;
    p.reversed_bytes = pixel == 1 ? 0x0123 : (pixel == 2 ? 0x1032 : 0x3210);
    p.repeats_pixels = p.reverses_chunks && unit_ == std::min<int64_t>(pixel, 8);
    for (int i = 0; i < kChunkBytes; ++i) {
      const unsigned char byte =
          window_.fill[(i + (contiguous() ? kChunkBytes - shift(window_.out) : 0)) % kChunkBytes];
      p.fill.word[i / 4] |= static_cast<uint32_t>(byte) << (8 * (i % 4));
    }

    p.places = device_places<Index>(given_.places);
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
      p.dim[d] = {Divider<Index>(1), 1, 0, 0, {}, 0, 0, -1};
    }
    for (int d = 0; d < window_.dims - 1; ++d) {
      const WindowDim& dim = window_.dim[d];
      p.dim[missing + d] = {
          Divider<Index>(dim.size),
          index(dim.in_size),
          index(dim.start),
          border_period<Index>(window_.border, index(dim.in_size)),
          repetition_of<Index>(window_.border, index(dim.in_size)),
          index(bytes(dim.in_stride)),
          index(bytes(dim.out_stride)),
          spatial_[d]};
    }
    return p;
  }

  template <class Index>
  LaunchError run_as(Stream stream) const {
    const bool repeats = window_.border != Border::kConstant;
    if (placed()) {
      return repeats ? run_kernel<true, true, Index>(stream) : run_kernel<true, false, Index>(stream);
    }
    return repeats ? run_kernel<false, true, Index>(stream) : run_kernel<false, false, Index>(stream);
  }

  template <bool kPlaced, bool kRepeats, class Index>
  LaunchError run_kernel(Stream stream) const {
    constexpr int kFewOuter = 2;
    const int64_t chunks = (address(window_.out) % kChunkBytes + out_bytes() + kChunkBytes - 1) / kChunkBytes;
    if (!contiguous()) {
      const auto kernel = copy_units_kernel<kPlaced, kRepeats, Index>;
      return launch_for(kernel, parameters<Index, kAnyOuter>(), out_bytes() / unit_, stream);
    }
    // No chunk has two rows' beginnings inside, from rows of its size on.
    if (!whole_chunks() || row_bytes() < kChunkBytes) {
      const auto kernel = copy_chunks_kernel<kPlaced, kRepeats, Index>;
      return launch_for(kernel, parameters<Index, kAnyOuter>(), chunks, stream);
    }
    if constexpr (sizeof(Index) == 4) {
      if (window_.dims - 1 <= kFewOuter) {
        const auto kernel = copy_rows_kernel<kPlaced, kRepeats, kFewOuter, Index>;
        return launch_for(kernel, parameters<Index, kFewOuter>(), chunks, stream);
      }
    }
    const auto kernel = copy_rows_kernel<kPlaced, kRepeats, kAnyOuter, Index>;
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
    p.threads = Divider<Index>(threads);
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

// What may be copied by itself: each image, or each index of an outermost dimension that is copied whole.
int64_t copies_of(const Windows& windows) {
  const WindowDim& dim = windows.window.dim[0];
  const bool whole = windows.window.dims > 1 && windows.spatial[0] < 0 && dim.start == 0 && dim.size == dim.in_size;
  return windows.images > 1 ? windows.images : (whole ? dim.size : 1);
}

Windows some_copies(const Windows& windows, int64_t first, int64_t count) {
  const int64_t bytes = windows.window.element_size;
  if (windows.images > 1) {
    return some_images(windows, first, count, bytes, bytes);
  }
  Windows some = windows;
  WindowDim& dim = some.window.dim[0];
  some.window.in += first * dim.in_stride * bytes;
  some.window.out += first * dim.out_stride * bytes;
  dim.size = dim.in_size = count;
  return some;
}

}  // namespace

LaunchError copy_windows_cuda(const Windows& windows, Stream stream) {
  const Copy copy(windows);
  const int64_t count = copies_of(windows);
  if (copy.fits_32_bits() || count == 1 || !Copy(some_copies(windows, 0, 1)).fits_32_bits()) {
    return copy.run(stream);
  }
  // Two launches in which threads count in 32 bits.
  const LaunchError error = copy_windows_cuda(some_copies(windows, 0, count / 2), stream);
  return error ? error : copy_windows_cuda(some_copies(windows, count / 2, count - count / 2), stream);
}

}  // namespace torchcrop_fast
