// From tensors and checked arguments to the window that a kernel copies.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/DimVector.h>

#include <array>

#include "../kernels/window.h"

namespace torchcrop_fast {

// An uninitialised tensor of these sizes, for what pad makes of input, where input lies: its strides are those that
// torch's pad gives.
at::Tensor empty_padded(const at::Tensor& input, at::IntArrayRef pad, at::IntArrayRef sizes, Border border);

// The memory format of what pad makes of input with so many entries, and a border that repeats elements.
at::MemoryFormat padded_format(const at::Tensor& input, size_t entries, Border border);

// Uninitialised CPU tensors for windows on images, of these sizes, and for images of windows: in the memory format of
// the tensor given. several: the windows are (N, K, ...), and their format is that of N * K images.
at::Tensor empty_windows(const at::Tensor& images, at::IntArrayRef sizes, bool several);
at::Tensor empty_images(const at::Tensor& windows, at::IntArrayRef sizes, bool several);

// The memory format of images of these windows.
at::MemoryFormat images_format(const at::Tensor& windows, bool several);

// An uninitialised CPU tensor of sizes (N, C, h, w), or (N, K, C, h, w) in the format of N * K images.
at::Tensor empty_in_format(at::IntArrayRef sizes, at::ScalarType dtype, at::MemoryFormat format);

// As empty_windows and empty_images, where the tensor given lies, for sizes that may be symbolic.
at::Tensor new_windows(const at::Tensor& images, c10::SymIntArrayRef sizes, bool several);
at::Tensor new_images(const at::Tensor& windows, c10::SymIntArrayRef sizes, bool several);

// As empty_in_format, of these options.
at::Tensor new_in_format(c10::SymIntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format);

// Where the middle of so many elements begins, rounded as torchvision does: before 0 where there are fewer.
int64_t centre_start(int64_t elements, int64_t size);

// The offsets (N, 2) of the middle of images (N, C, H, W): in ops that a graph can hold, and that need no copy to a
// device.
at::Tensor centre_offsets(const at::Tensor& images, at::IntArrayRef size, at::Device device);

// A number for each channel, (C, 1, 1), in float32: in such ops, too.
at::Tensor one_a_channel(at::ArrayRef<double> numbers, at::Device device);

// The window that writes pad(input, pad) to out, its dimensions in the order of out's memory, a constant border filled
// with an element of these bytes. out is a
// tensor that check_out and check_out_memory accept, of the padded sizes.
Window pad_window(
    const at::Tensor& input,
    at::IntArrayRef pad,
    Border border,
    const std::array<unsigned char, 16>& fill,
    const at::Tensor& out);

// The same window, for add_windows_cpu: on the gradient of pad's input, with that of its output as out. No element is a
// complex number, but the last dimensions may be parts of elements: so many, which pad's entries don't count. Elements
// of the input that a circular border lets no window see are not written.
Window pad_adjoint_window(
    const at::Tensor& input, at::IntArrayRef pad, Border border, const at::Tensor& out, int64_t tail);

}  // namespace torchcrop_fast
