#include <distill/nn/kv_cache.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

namespace distill::nn {

namespace {

constexpr std::int64_t kFirstCapacity = 64;

bool is_plain(const at::Tensor& x, const at::Tensor& like) {
  return x.device().is_cpu() && x.stride(2) == 1 && x.scalar_type() == like.scalar_type();
}

/// added [n, heads, D] to held [heads, capacity, D] from `first` on. A few rows a step, many
/// sequences and layers: a tensor operation for each would cost more than the bytes.
void write_rows(const at::Tensor& added, const at::Tensor& held, std::int64_t first) {
  if (!is_plain(added, held) || !is_plain(held, held)) {
    held.narrow(1, first, added.size(0)).copy_(added.transpose(0, 1));
    return;
  }
  const std::size_t item = added.element_size();
  const auto bytes = static_cast<std::size_t>(added.size(2)) * item;
  const auto* from = static_cast<const std::byte*>(added.const_data_ptr());
  auto* to = static_cast<std::byte*>(held.mutable_data_ptr());
  for (std::int64_t token = 0; token < added.size(0); ++token) {
    for (std::int64_t head = 0; head < added.size(1); ++head) {
      std::memcpy(to + (head * held.stride(0) + (first + token) * held.stride(1)) *
                           static_cast<std::int64_t>(item),
                  from + (token * added.stride(0) + head * added.stride(1)) *
                             static_cast<std::int64_t>(item),
                  bytes);
    }
  }
}

}  // namespace

KvCache::KvCache(const KvCacheShape& shape)
    : shape_(shape), layers_(static_cast<std::size_t>(shape.num_layers)) {}

void KvCache::shorten(std::int64_t length) {
  TORCH_CHECK(length >= 0 && length <= length_, "KvCache: of ", length_, " tokens not ", length,
              " can be kept");
  length_ = length;
}

at::Tensor KvCache::append_to(at::Tensor& held, const at::Tensor& added) const {
  const std::int64_t count = added.size(0), tokens = length_ + count;
  const std::int64_t capacity = held.defined() ? held.size(1) : 0;
  if (tokens > capacity) {
    const std::int64_t larger = std::max({tokens, 2 * capacity, kFirstCapacity});
    at::Tensor grown = at::empty({shape_.kv_heads, larger, added.size(2)}, shape_.options);
    if (length_ > 0) grown.narrow(1, 0, length_).copy_(held.narrow(1, 0, length_));
    held = std::move(grown);
  }
  write_rows(added, held, length_);
  return held.narrow(1, 0, tokens);
}

std::pair<at::Tensor, at::Tensor> KvCache::append(std::int64_t layer, const at::Tensor& k,
                                                  const at::Tensor& v) {
  TORCH_CHECK(k.size(2) == shape_.head_dim && v.size(2) == shape_.value_dim.value_or(k.size(2)),
              "KvCache: keys of ", k.size(2), " and values of ", v.size(2), " do not fit");
  Layer& held = layers_.at(static_cast<std::size_t>(layer));
  return {append_to(held.k, k), append_to(held.v, v)};
}

at::Tensor KvCache::append(std::int64_t layer, const at::Tensor& k) {
  TORCH_CHECK(k.size(2) == shape_.head_dim && shape_.value_dim == 0, "KvCache: keys of ", k.size(2),
              " without values do not fit");
  return append_to(layers_.at(static_cast<std::size_t>(layer)).k, k);
}

}  // namespace distill::nn
