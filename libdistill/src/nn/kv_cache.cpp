#include <distill/nn/kv_cache.h>

#include <algorithm>

#include <ATen/ops/empty.h>

namespace distill::nn {

namespace {
constexpr std::int64_t kFirstCapacity = 64;
}  // namespace

KvCache::KvCache(const KvCacheShape& shape)
    : shape_(shape), layers_(static_cast<std::size_t>(shape.num_layers)) {}

void KvCache::reserve(Layer& layer, std::int64_t tokens) const {
  const std::int64_t capacity = layer.k.defined() ? layer.k.size(1) : 0;
  if (tokens <= capacity) return;
  const std::int64_t larger = std::max({tokens, 2 * capacity, kFirstCapacity});
  for (at::Tensor* held : {&layer.k, &layer.v}) {
    at::Tensor grown = at::empty({shape_.kv_heads, larger, shape_.head_dim}, shape_.options);
    if (length_ > 0) grown.narrow(1, 0, length_).copy_(held->narrow(1, 0, length_));
    *held = std::move(grown);
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::append(std::int64_t layer, const at::Tensor& k,
                                                  const at::Tensor& v) {
  Layer& held = layers_.at(static_cast<std::size_t>(layer));
  const std::int64_t count = k.size(0);
  reserve(held, length_ + count);
  held.k.narrow(1, length_, count).copy_(k.transpose(0, 1));
  held.v.narrow(1, length_, count).copy_(v.transpose(0, 1));
  return {held.k.narrow(1, 0, length_ + count), held.v.narrow(1, 0, length_ + count)};
}

}  // namespace distill::nn
