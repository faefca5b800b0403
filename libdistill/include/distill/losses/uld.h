#pragma once

#include <distill/core/describe.h>
#include <distill/losses/loss.h>

namespace distill::losses {

struct UldOptions {
  static constexpr std::string_view kKind = "uld";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 1.0;  ///< divides the logits of both models; > 0
  std::int64_t top_k = 0;    ///< compares only so many of the largest probabilities; 0: all
};
void describe(core::FieldVisitor& visit, UldOptions& options);
void validate(const UldOptions& options, core::Problems& problems);

/// Universal logit distillation, for a teacher with another tokenizer (Boizard et al. 2024,
/// "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs"): the sum
/// over i of |p_(i) - q_(i)|, p_(i) and q_(i) the i-th largest probabilities of the models; how
/// sure they are, not of what. 0 to 2 for each position. Only positions are compared where both
/// models predict what follows the same text: the first tokens of chunks; the paper pairs positions
/// by their number. The sum and the count are over these; as for all losses the trainer divides by
/// the tokens to learn. It says nothing about which token is right: use it beside `cross_entropy`.
class Uld final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit Uld(const UldOptions& options);
  std::string name() const override { return std::string(UldOptions::kKind); }
  bool needs_teacher() const override { return true; }
  bool across_tokenizers() const override { return true; }
  /// Throws TeacherError for a teacher that does not answer with types::AlignedChunks that hold its
  /// hidden states.
  types::LossValue operator()(const LossInput& input) const override;

 private:
  UldOptions options_;
};

}  // namespace distill::losses
