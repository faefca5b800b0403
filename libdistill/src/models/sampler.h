#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <distill/core/random.h>
#include <distill/models/generate.h>

namespace distill::models {

/// Chooses the ids of one sequence. What it draws depends on the logits, the options and `stream`
/// alone, not on the sequences beside it.
class Sampler {
 public:
  /// `prompt` counts for the repetition penalty.
  Sampler(const SamplingOptions& options, std::uint64_t stream,
          std::span<const std::int64_t> prompt);

  /// The next id by these logits [V], which are changed. Throws Error when they are not finite.
  std::int64_t next(std::span<float> logits);

 private:
  void mark(std::int64_t id);
  void penalise(std::span<float> logits) const;
  std::int64_t draw(std::span<const float> logits, float largest);
  /// Puts the candidates that top_k and top_p leave first, and returns the sum of their weights.
  double cut(std::span<const float> logits);

  SamplingOptions options_;
  core::RandomState random_;
  std::vector<std::int64_t> seen_;  ///< each id once; empty without a repetition penalty
  std::vector<std::int64_t> ids_;   ///< candidates
  std::vector<double> weights_;     ///< of every id
};

}  // namespace distill::models
