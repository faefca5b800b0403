#pragma once

#include <distill/core/describe.h>
#include <distill/losses/layer_pairs.h>
#include <distill/losses/loss.h>

namespace distill::losses {

struct AttentionKlOptions {
  static constexpr std::string_view kKind = "attention_kl";
  double weight = 1.0;                 ///< factor of this loss in the total; >= 0
  std::vector<LayerPair> layers = {};  ///< empty: evenly_spaced_pairs of all
};
void describe(core::FieldVisitor& visit, AttentionKlOptions& options);
void validate(const AttentionKlOptions& options, core::Problems& problems);

/// mean_h KL(T_h || S_h) of each valid query position, T and S the causal attention maps of teacher
/// and student, mean over the pairs of layers (Wang et al. 2020, "MiniLM: Deep Self-Attention
/// Distillation for Task-Agnostic Compression of Pre-Trained Transformers", section 3.1; there for
/// the last layer only). Derivative in the student's score of key j: (S_hj - T_hj) / heads. Where
/// the numbers of heads differ, the maps are averaged over heads before they are compared. No map
/// is held as a whole (distill/ops/attention_divergence.h); widths of models and heads may differ.
class AttentionKl final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit AttentionKl(const AttentionKlOptions& options);
  std::string name() const override { return std::string(AttentionKlOptions::kKind); }
  bool needs_teacher() const override { return true; }
  void check(const LossContext& context) const override;
  void prepare(const LossContext& context) override;
  LayerNeeds needs() const override;
  /// Throws Error when it was not prepared.
  types::LossValue operator()(const LossInput& input) const override;

 private:
  AttentionKlOptions options_;
  std::vector<LayerPair> pairs_;  ///< empty until prepared
};

}  // namespace distill::losses
