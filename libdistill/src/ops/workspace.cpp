#include <distill/ops/workspace.h>

#include <algorithm>

#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <sys/mman.h>

#include "ops/large_buffer.h"

namespace distill::ops {

namespace {

bool in_use(const at::Tensor& buffer) {
  return buffer.storage().use_count() > 1;
}

}  // namespace

at::Tensor Workspace::take(at::IntArrayRef sizes, at::ScalarType type) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(type));
  const std::int64_t bytes = c10::multiply_integers(sizes) * element;
  const auto typed = [&](const at::Tensor& buffer) {
    return buffer.narrow(0, 0, bytes).view(type).view(sizes);
  };
  const std::lock_guard lock(mutex_);
  const at::Tensor* best = nullptr;
  for (const at::Tensor& buffer : buffers_) {
    if (in_use(buffer) || buffer.size(0) < bytes) continue;
    if (best == nullptr || buffer.size(0) < best->size(0)) best = &buffer;
  }
  // A much larger one is left for those who need it.
  if (best != nullptr && best->size(0) <= 2 * bytes + (1 << 20)) return typed(*best);
  std::erase_if(buffers_, [&](const at::Tensor& buffer) {
    return !in_use(buffer) && buffer.size(0) < bytes && 2 * buffer.size(0) > bytes;
  });
  buffers_.push_back(large_buffer({bytes}, at::kByte));
  return typed(buffers_.back());
}

void Workspace::clear() {
  const std::lock_guard lock(mutex_);
  std::erase_if(buffers_, [](const at::Tensor& buffer) { return !in_use(buffer); });
}

at::Tensor large_buffer(at::IntArrayRef sizes, at::ScalarType type) {
  at::Tensor buffer = at::empty(sizes, type);
#if defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t kPage = std::uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(buffer.data_ptr());
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage;
  const std::uintptr_t last = (begin + buffer.nbytes()) / kPage * kPage;
  // Advice only: where it is refused, small pages do.
  if (first < last) (void)madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
  return buffer;
}

}  // namespace distill::ops
