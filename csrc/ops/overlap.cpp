// Whether tensors share memory: sums of multiples of their strides that are equal.
#include "overlap.h"

#include <c10/util/SmallVector.h>
#include <c10/util/irange.h>

#include <algorithm>

namespace torchcrop_fast {
namespace {

// What a sum of strides can reach: the multiples 0 to (count - 1) of stride, in bytes.
struct Steps {
  int64_t stride;
  int64_t count;
};

bool larger(const Steps& a, const Steps& b) { return a.stride > b.stride; }

constexpr int64_t kTries = 1000000;  // that a question of overlap may take

// Whether target is a sum of one multiple of each steps' stride. Largest stride first, so that nearly always one or two
// multiples remain to be tried at each. Says yes when that doesn't end within `budget` tries.
bool reaches(const Steps* steps, const Steps* end, int64_t target, int64_t& budget) {
  if (steps == end) {
    return target == 0;
  }
  int64_t rest = 0;  // the most that the smaller strides reach
  for (const Steps* s = steps + 1; s != end; ++s) {
    rest += s->stride * (s->count - 1);
  }
  const int64_t least = target <= rest ? 0 : (target - rest + steps->stride - 1) / steps->stride;
  const int64_t most = std::min(steps->count - 1, target / steps->stride);
  for (int64_t multiple = least; multiple <= most; ++multiple) {
    if (--budget < 0 || reaches(steps + 1, end, target - multiple * steps->stride, budget)) {
      return true;
    }
  }
  return false;
}

// Whether two elements of a tensor lie at the same place: whether some sum of multiples of its strides, -(size - 1) to
// size - 1 of each and not all of them 0, is 0. Asked once for each stride: is it, with those before left out?
bool repeats(const at::Tensor& tensor) {
  c10::SmallVector<Steps, 8> steps;
  for (const auto d : c10::irange(tensor.dim())) {
    if (tensor.size(d) > 1 && tensor.stride(d) == 0) {
      return true;
    }
    if (tensor.size(d) > 1) {
      steps.push_back({tensor.stride(d), tensor.size(d)});
    }
  }
  std::sort(steps.begin(), steps.end(), larger);
  int64_t budget = kTries;
  for (auto* first = steps.begin(); first != steps.end(); ++first) {
    // first takes 1 to (count - 1) multiples; the others their full range, moved to begin at 0.
    c10::SmallVector<Steps, 8> others(first, steps.end());
    int64_t target = -first->stride;
    others[0].count = first->count - 1;
    for (auto* other = others.begin() + 1; other != others.end(); ++other) {
      target += other->stride * (other->count - 1);
      other->count = 2 * other->count - 1;
    }
    if (target >= 0 && reaches(others.begin(), others.end(), target, budget)) {
      return true;
    }
  }
  return false;
}

// Whether a, whose first element is at a_data, and b have a byte in common.
bool share_memory(const at::Tensor& a, const void* a_data, const at::Tensor& b, const void* b_data) {
  if (a.numel() == 0 || b.numel() == 0) {
    return false;
  }
  // An address in a is its base and a sum of steps; an address in b, read backwards, is its last byte less such a sum.
  c10::SmallVector<Steps, 16> steps;
  int64_t b_last = 0;
  const auto add_steps = [&](int64_t stride, int64_t bytes, int64_t size) {
    if (stride != 0 && size > 1) {  // the stride of a dimension of one element may be anything
      steps.push_back({stride * bytes, size});
    }
  };
  for (const auto d : c10::irange(a.dim())) {
    add_steps(a.stride(d), a.element_size(), a.size(d));
  }
  for (const auto d : c10::irange(b.dim())) {
    add_steps(b.stride(d), b.element_size(), b.size(d));
    b_last += (b.size(d) - 1) * b.stride(d) * b.element_size();
  }
  add_steps(1, 1, a.element_size());
  add_steps(1, 1, b.element_size());
  b_last += b.element_size() - 1;
  const int64_t target = reinterpret_cast<intptr_t>(b_data) + b_last - reinterpret_cast<intptr_t>(a_data);
  std::sort(steps.begin(), steps.end(), larger);
  int64_t budget = kTries;
  return target >= 0 && reaches(steps.begin(), steps.end(), target, budget);
}

}  // namespace

void check_out_memory(const char* op, const char* argument, const at::Tensor& tensor, const at::Tensor& out) {
  const auto has_memory = [](const at::Tensor& t) {
    return t.has_storage() && !t.is_meta() && !t.unsafeGetTensorImpl()->is_python_dispatch();
  };
  if (!has_memory(tensor) || !has_memory(out)) {
    return;
  }
  TORCH_CHECK(
      out.numel() == 0 || !repeats(out), op, ": out must not have elements that share memory, got one of sizes ",
      out.sizes(), " and strides ", out.strides());
  void* const out_data = out.mutable_data_ptr();  // first: a lazy clone gets memory of its own here
  TORCH_CHECK(
      !share_memory(tensor, tensor.const_data_ptr(), out, out_data), op, ": out must not share memory with ", argument);
}

}  // namespace torchcrop_fast
