// The public functions of torchcrop_fast/ops.h: typed calls of the dispatcher.
#include <torchcrop_fast/ops.h>

#include "handles.h"

namespace torchcrop_fast {
namespace {

using SymInts = c10::SmallVector<c10::SymInt, 8>;

}  // namespace

at::Tensor pad(
    const at::Tensor& input, at::IntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  return torchcrop_fast::pad_symint(input, SymInts(pad.begin(), pad.end()), mode, value);
}

at::Tensor pad_symint(
    const at::Tensor& input, c10::SymIntArrayRef pad, std::string_view mode, const std::optional<at::Scalar>& value) {
  return pad_handle().call(input, pad, mode, value);
}

at::Tensor& pad_out(
    at::Tensor& out,
    const at::Tensor& input,
    at::IntArrayRef pad,
    std::string_view mode,
    const std::optional<at::Scalar>& value) {
  pad_out_handle().call(input, SymInts(pad.begin(), pad.end()), mode, value, out);
  return out;
}

at::Tensor crop(const at::Tensor& input, at::IntArrayRef cropping) {
  SymInts pad;
  for (const int64_t entry : cropping) {
    TORCH_CHECK(entry != INT64_MIN, "crop: cropping must hold ints whose negatives fit int64, got ", entry);
    pad.push_back(-c10::SymInt(entry));
  }
  return torchcrop_fast::pad_symint(input, pad);
}

}  // namespace torchcrop_fast
