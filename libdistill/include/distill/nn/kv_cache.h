#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// Facts that fix a cache's memory.
struct KvCacheShape {
  std::int64_t num_layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  at::TensorOptions options;  ///< dtype and device of keys and values
  /// Size of a value; nothing: as a key. 0: the values are made of the keys.
  std::optional<std::int64_t> value_dim = {};
};

/// Keys and values of one sequence, for every layer. Grows by doubling.
class KvCache {
 public:
  explicit KvCache(const KvCacheShape& shape);

  /// Tokens that every layer holds.
  std::int64_t length() const { return length_; }

  /// Writes the new tokens' k [n, kv_heads, D] and v [n, kv_heads, Dv] behind the `length()` held
  /// ones and returns all of the layer's keys and values, [kv_heads, length + n, D or Dv]. They
  /// count only after `advance`.
  std::pair<at::Tensor, at::Tensor> append(std::int64_t layer, const at::Tensor& k,
                                           const at::Tensor& v);
  /// The same where the values are made of the keys.
  at::Tensor append(std::int64_t layer, const at::Tensor& k);
  /// Called once when all layers have appended `count` tokens.
  void advance(std::int64_t count) { length_ += count; }
  /// Forgets all behind the first `length` tokens, so that another text can go on from there.
  /// Throws c10::Error when it holds fewer.
  void shorten(std::int64_t length);

 private:
  struct Layer {
    at::Tensor k;  ///< [kv_heads, capacity, D]
    at::Tensor v;  ///< [kv_heads, capacity, Dv]
  };
  /// Writes `added` behind the held ones and returns all.
  at::Tensor append_to(at::Tensor& held, const at::Tensor& added) const;

  KvCacheShape shape_;
  std::vector<Layer> layers_;
  std::int64_t length_ = 0;
};

}  // namespace distill::nn
