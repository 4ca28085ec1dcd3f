// The windows that are timed and counted on a GPU: each case's images and what is written of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "normalize_cuda.h"
#include "window_cuda.h"

namespace torchcrop_fast {

// A window of images (n, c, h, w), whose pixels are of elements (n, h, w, c) where channels are last.
struct Case {
  const char* name;
  const char* kind;  // cases of a kind go the same way through the kernels
  int element_size;  // bytes, of the input
  int64_t n, c, h, w;
  int64_t top, left, out_h, out_w;
  bool channels_last = false;
  bool placed = false;  // each image at its own place, every second one mirrored; top and left mean nothing
  Border border = Border::kConstant;
  int64_t overhang = 0;                   // of places, over each side of an image
  int normalized_size = 0;                // bytes of an element of the output, channel after channel; 0: a copy
  PixelType in_type = PixelType::kUint8;  // where it is normalized, as is the next one
  PixelType out_type = PixelType::kFloat;
  bool pixels = false;    // normalized pixel after pixel instead
  bool reversed = false;  // windows are read and images written, as gradients of crops at places are
  bool upright = false;   // placed, but none mirrored

  int64_t images() const { return n * c * h * w; }
  int64_t windows() const { return n * c * out_h * out_w; }
  int64_t in_bytes() const { return (reversed ? windows() : images()) * element_size; }
  int64_t out_bytes() const {
    return (reversed ? images() : windows()) * (normalized_size > 0 ? normalized_size : element_size);
  }
};

// clang-format off
inline const Case kCases[] = {
    {"uint8 224",                   "whole chunks",    1, 16, 64, 256, 256, 16, 16, 224, 224},
    {"bfloat16 224",                "whole chunks",    2,  8, 64, 256, 256, 16, 16, 224, 224},
    {"float32 224",                 "whole chunks",    4,  8, 64, 256, 256, 16, 16, 224, 224},
    {"float64 224",                 "whole chunks",    8,  4, 64, 256, 256, 16, 16, 224, 224},
    {"uint8 224, odd offset",       "whole chunks",    1, 16, 64, 256, 256,  3,  7, 224, 224},
    {"float32 224, odd offset",     "whole chunks",    4,  8, 64, 256, 256,  3,  7, 224, 224},
    {"float32 248",                 "whole chunks",    4,  8, 64, 256, 256,  4,  4, 248, 248},
    {"uint8 223",                   "odd rows",        1, 16, 64, 256, 256,  3,  7, 223, 223},
    {"bfloat16 223",                "odd rows",        2,  8, 64, 256, 256,  3,  7, 223, 223},
    {"float32 223",                 "odd rows",        4,  8, 64, 256, 256,  3,  7, 223, 223},
    {"float64 223",                 "odd rows",        8,  4, 64, 256, 256,  3,  7, 223, 223},
    {"uint8 239",                   "odd rows",        1, 16, 64, 256, 256,  3,  7, 249, 239},
    {"bfloat16 239",                "odd rows",        2,  8, 64, 256, 256,  3,  7, 249, 239},
    {"float32 239",                 "odd rows",        4,  8, 64, 256, 256,  3,  7, 249, 239},
    {"float64 239",                 "odd rows",        8,  4, 64, 256, 256,  3,  7, 249, 239},
    {"uint8 of 32 to 27",           "short rows",      1, 65536, 1, 32, 32,  2,  3,  27,  27},
    {"bfloat16 of 32 to 27",        "short rows",      2, 65536, 1, 32, 32,  2,  3,  27,  27},
    {"float32 of 32 to 27",         "short rows",      4, 32768, 1, 32, 32,  2,  3,  27,  27},
    {"float64 of 32 to 27",         "short rows",      8, 16384, 1, 32, 32,  2,  3,  27,  27},
    {"uint8 of 40 to 32",           "short rows",      1, 65536, 1, 40, 40,  4,  4,  32,  32},
    {"float32 of 40 to 32",         "short rows",      4, 16384, 1, 40, 40,  4,  4,  32,  32},
    {"uint8 mixed pad",             "some borders",    1, 16, 64, 256, 256, -2,  3, 251, 258},
    {"bfloat16 mixed pad",          "some borders",    2,  8, 64, 256, 256, -2,  3, 251, 258},
    {"float32 mixed pad",           "some borders",    4,  8, 64, 256, 256, -2,  3, 251, 258},
    {"float64 mixed pad",           "some borders",    8,  4, 64, 256, 256, -2,  3, 251, 258},
    {"uint8 pad 1",                 "some borders",    1, 16, 64, 224, 224, -1, -1, 226, 226},
    {"float32 pad 1",               "some borders",    4,  8, 64, 224, 224, -1, -1, 226, 226},
    {"float32 pad 1 of 32",         "some borders",    4, 16384, 1, 32, 32, -1, -1,  34,  34},
    {"bfloat16 gradient of 239",    "some borders",    2,  8, 64, 249, 239, -3, -7, 256, 256},
    {"float32 gradient of 239",     "some borders",    4,  8, 64, 249, 239, -3, -7, 256, 256},
    {"float64 gradient of 239",     "some borders",    8,  4, 64, 249, 239, -3, -7, 256, 256},
    {"uint8 HWC 239",               "channels last",   1, 256, 3, 256, 256,  3,  7, 249, 239, true},
    {"float32 HWC 239",             "channels last",   4, 128, 3, 256, 256,  3,  7, 249, 239, true},
    {"uint8 HWC placed",            "channels last",   1, 256, 3, 256, 256,  0,  0, 224, 224, true, true},
    {"bfloat16 HWC placed",         "channels last",   2, 128, 3, 256, 256,  0,  0, 224, 224, true, true},
    {"float32 HWC placed",          "channels last",   4, 128, 3, 256, 256,  0,  0, 224, 224, true, true},
    {"uint8 placed",                "placed",          1, 256, 3, 256, 256,  0,  0, 224, 224, false, true},
    {"bfloat16 placed",             "placed",          2, 128, 3, 256, 256,  0,  0, 224, 224, false, true},
    {"float32 placed",              "placed",          4, 128, 3, 256, 256,  0,  0, 224, 224, false, true},
    {"uint8 upright",               "placed",          1, 256, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 0, {}, {}, false, false, true},
    {"float32 upright",             "placed",          4, 128, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 0, {}, {}, false, false, true},
    {"uint8 placed 223",            "placed",          1, 256, 3, 256, 256,  0,  0, 223, 223, false, true},
    {"float32 placed 223",          "placed",          4, 128, 3, 256, 256,  0,  0, 223, 223, false, true},
    {"uint8 placed 32 of 32",       "placed",          1, 16384, 3, 32, 32,  0,  0,  32,  32, false, true, Border::kConstant, 4},
    {"float32 placed 32 of 32",     "placed",          4, 8192, 3, 32,  32,  0,  0,  32,  32, false, true, Border::kConstant, 4},
    {"float32 placed, gradient",    "placed",          4, 128, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 0, {}, {}, false, true},
    {"uint8 reflect 4",             "borders that repeat", 1, 16, 64, 224, 224, -4, -4, 232, 232, false, false, Border::kReflect},
    {"float32 reflect 4",           "borders that repeat", 4,  8, 64, 224, 224, -4, -4, 232, 232, false, false, Border::kReflect},
    {"float32 replicate 3",         "borders that repeat", 4,  8, 64, 224, 224, -3, -3, 230, 230, false, false, Border::kReplicate},
    {"float32 circular 3",          "borders that repeat", 4,  8, 64, 224, 224, -3, -3, 230, 230, false, false, Border::kCircular},
    {"float32 symmetric 3",         "borders that repeat", 4,  8, 64, 224, 224, -3, -3, 230, 230, false, false, Border::kSymmetric},
    {"uint8 placed, reflect",       "borders that repeat", 1, 16384, 3, 32, 32, 0, 0, 32, 32, false, true, Border::kReflect, 4},
    {"float32 placed, reflect",     "borders that repeat", 4, 8192, 3, 32, 32,  0,  0,  32,  32, false, true, Border::kReflect, 4},
    {"float32 upright, reflect",    "borders that repeat", 4, 8192, 3, 32, 32,  0,  0,  32,  32, false, true, Border::kReflect, 4, 0, {}, {}, false, false, true},
    {"uint8 HWC to float32",        "normalized",      1, 128, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 4, PixelType::kUint8, PixelType::kFloat},
    {"uint8 HWC to float16",        "normalized",      1, 256, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf},
    {"uint8 HWC to float16, upright", "normalized",    1, 256, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf, false, false, true},
    {"uint8 HWC to bfloat16",       "normalized",      1, 256, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kBFloat16},
    {"uint8 HWC to float16, 223",   "normalized",      1, 256, 3, 256, 256,  0,  0, 223, 223, true, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf},
    {"uint8 CHW to float16",        "normalized",      1, 256, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf},
    {"uint8 CHW to float32",        "normalized",      1, 128, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 4, PixelType::kUint8, PixelType::kFloat},
    {"float32 HWC to float32",      "normalized",      4, 128, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 4, PixelType::kFloat, PixelType::kFloat},
    {"float16 HWC to float16",      "normalized",      2, 128, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 2, PixelType::kHalf, PixelType::kHalf},
    {"float16 CHW to float16",      "normalized",      2, 128, 3, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 2, PixelType::kHalf, PixelType::kHalf},
    {"uint8 gray to float16",       "normalized",      1, 512, 1, 256, 256,  0,  0, 224, 224, false, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf},
    {"uint8 CHW to float16, 223",   "normalized",      1, 256, 3, 256, 256,  0,  0, 223, 223, false, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf},
    {"float16 HWC to float16, 223", "normalized",      2, 128, 3, 256, 256,  0,  0, 223, 223, true, true, Border::kConstant, 0, 2, PixelType::kHalf, PixelType::kHalf},
    {"uint8 HWC to float16, border", "normalized",     1, 256, 3, 224, 224,  0,  0, 224, 224, true, true, Border::kConstant, 16, 2, PixelType::kUint8, PixelType::kHalf},
    {"uint8 HWC to float16 HWC",    "normalized",      1, 256, 3, 256, 256,  0,  0, 224, 224, true, true, Border::kConstant, 0, 2, PixelType::kUint8, PixelType::kHalf, true},
    {"tiny",                        "small",           4, 10, 1, 28, 28,     4,  4,  20,  20},
    {"small, placed",               "small",           4, 64, 3, 32, 32,     0,  0,  32,  32, false, true},
    {"small uint8 239",             "small",           1,  1, 64, 256, 256,  3,  7, 249, 239},
};
// clang-format on

// Where the images' windows begin, and which are mirrored: (n, 2) and (n).
struct GivenPlaces {
  std::vector<int64_t> starts;
  std::vector<unsigned char> flips;
};
inline GivenPlaces places_of(const Case& given) {
  GivenPlaces places;
  for (int64_t image = 0; image < given.n; ++image) {
    places.starts.push_back((image * 7) % (given.h - given.out_h + 2 * given.overhang + 1) - given.overhang);
    places.starts.push_back((image * 13) % (given.w - given.out_w + 2 * given.overhang + 1) - given.overhang);
    places.flips.push_back(image % 2);
  }
  return places;
}

// What must be read and written, in bytes.
inline int64_t moved(const Case& given) {
  const auto seen = [](int64_t start, int64_t size, int64_t in_size) {
    return std::min(start + size, in_size) - std::max<int64_t>(start, 0);
  };
  const GivenPlaces places = places_of(given);
  int64_t pixels = 0;
  for (int64_t image = 0; image < given.n; ++image) {
    const int64_t top = given.placed ? places.starts[2 * image] : given.top;
    const int64_t left = given.placed ? places.starts[2 * image + 1] : given.left;
    pixels += seen(top, given.out_h, given.h) * seen(left, given.out_w, given.w);
  }
  return pixels * given.c * given.element_size + given.out_bytes();
}

// starts, flips: null, or where the kernel reads them.
inline Windows windows_of(
    const Case& given, const char* in, char* out, const int64_t* starts, const unsigned char* flips) {
  const bool last = given.channels_last, last_out = last && (given.normalized_size == 0 || given.pixels);
  const int64_t in_pixel = last ? given.c : 1, out_pixel = last_out ? given.c : 1;
  WindowDim channels{given.c, 0, given.c, last ? 1 : given.h * given.w, last_out ? 1 : given.out_h * given.out_w};
  WindowDim rows{given.out_h, given.placed ? 0 : given.top, given.h, given.w * in_pixel, given.out_w * out_pixel};
  WindowDim columns{given.out_w, given.placed ? 0 : given.left, given.w, in_pixel, out_pixel};
  int64_t in_image = given.c * given.h * given.w, out_image = given.c * given.out_h * given.out_w;
  if (given.reversed) {
    for (WindowDim* const dim : {&channels, &rows, &columns}) {
      *dim = {dim->in_size, 0, dim->size, dim->out_stride, dim->in_stride};
    }
    std::swap(in_image, out_image);
  }
  Windows windows{};
  Window& window = windows.window;
  window.in = in;
  window.out = out;
  window.element_size = given.normalized_size > 0 ? 1 : given.element_size;
  window.border = given.border;
  const auto add = [&](const WindowDim& dim, int spatial) {
    windows.spatial[window.dims] = spatial;
    window.dim[window.dims++] = dim;
  };
  if (!given.placed) {
    add({given.n, 0, given.n, in_image, out_image}, -1);
  }
  if (!last || given.normalized_size > 0) {  // normalized: (channel, y, x)
    add(channels, -1);
  }
  add(rows, given.placed ? 0 : -1);
  add(columns, given.placed ? 1 : -1);
  if (last && given.normalized_size == 0) {
    add(channels, -1);
  }
  windows.windows_to_images = given.reversed;
  windows.images = windows.windows_an_image = 1;
  if (given.placed) {
    windows.images = given.n;
    windows.in_image_stride = in_image;
    windows.out_image_stride = out_image;
    windows.out_window_stride = given.reversed ? in_image : out_image;
    Places& places = windows.places;
    places.starts = starts;
    places.flips = given.upright ? nullptr : reinterpret_cast<const bool*>(flips);
    places.start_strides[0] = places.start_strides[1] = 2;
    places.start_strides[2] = 1;
    places.flip_strides[0] = places.flip_strides[1] = 1;
    places.first_flipped = 1;
    places.spatial_dims = 2;
  }
  return windows;
}

// Starts the case's launch. Returns a cudaError_t.
inline LaunchError launch_case(const Case& given, const Windows& windows, Stream stream) {
  if (given.normalized_size == 0) {
    return copy_windows_cuda(windows, stream);
  }
  const float scale[] = {0.0171f, 0.0175f, 0.0174f}, bias[] = {-2.12f, -2.04f, -1.80f}, fill[] = {0, 0, 0};
  return normalize_windows_cuda({windows, given.in_type, given.out_type, scale, bias, fill}, stream);
}

}  // namespace torchcrop_fast
