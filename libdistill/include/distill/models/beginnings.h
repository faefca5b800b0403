#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <distill/models/causal_lm.h>

namespace distill::models {

/// Beginnings of texts that are computed once, so that several texts can go on from each. No graph
/// is recorded. The model must outlive it.
class Beginnings {
 public:
  explicit Beginnings(CausalLm& model);
  ~Beginnings();

  /// Reads beginnings end to end, each from segments[i] to segments[i + 1]; once. The output has a
  /// row for each of `ids`.
  types::ModelOutput read(std::span<const std::int64_t> ids,
                          std::span<const std::int64_t> segments);

  /// Reads what follows beginnings which[0], which[1], ..., all different, in segments as above.
  /// What went on from them before is forgotten.
  types::ModelOutput go_on(std::span<const std::int64_t> ids,
                           std::span<const std::int64_t> segments,
                           std::span<const std::size_t> which);

 private:
  CausalLm& model_;
  std::vector<std::unique_ptr<nn::KvCache>> caches_;
  std::vector<std::int64_t> lengths_;
};

}  // namespace distill::models
