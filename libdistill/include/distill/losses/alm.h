#pragma once

#include <array>
#include <string_view>

#include <distill/core/describe.h>
#include <distill/losses/loss.h>

namespace distill::losses {

/// Between two coins: a chunk of the text is produced, or it is not.
enum class AlmDivergence { kKl, kReverseKl, kTvd };
constexpr std::array<std::string_view, 3> choice_names(AlmDivergence) {
  return {"kl", "reverse_kl", "tvd"};
}

struct AlmOptions {
  static constexpr std::string_view kKind = "alm";
  double weight = 1.0;               ///< factor of this loss in the total; >= 0
  double temperature = 100.0;        ///< probabilities are raised to 1 / temperature; > 0
  bool scale_by_temperature = true;  ///< multiplies value and gradient by temperature
  AlmDivergence divergence = AlmDivergence::kKl;
};
void describe(core::FieldVisitor& visit, AlmOptions& options);
void validate(const AlmOptions& options, core::Problems& problems);

/// Approximate likelihood matching, for a teacher with another tokenizer (Minixhofer, Vulic and
/// Ponti 2025, "Universal Cross-Tokenizer Distillation via Approximate Likelihood Matching"): for
/// every chunk of bytes that both tokenizers have borders around,
/// f(p || q) + f(1 - p || 1 - q) with p and q the probabilities of the chunk's tokens to teacher
/// and student, each to the power of 1 / temperature. kl: p log(p / q) + (1 - p) log((1 - p) / (1 -
/// q)); reverse_kl: the two exchanged; tvd: |p - q|. The paper's correction for what may follow a
/// chunk is left out. It needs the log-probability of the text's own tokens and nothing else.
///
/// With u = -log of the chunk's probability and a high temperature, kl times the temperature is
/// u_S - u_T + u_T log(u_T / u_S): its slope in u_S is 1 - u_T / u_S, where cross-entropy has 1. So
/// it is cross-entropy that stops where the student is as surprised as the teacher, and its weight
/// compares with that of `cross_entropy`. The sum is over chunks, the count is of the student's
/// tokens in them; as for all losses the trainer divides by the tokens to learn, in chunks or not.
class Alm final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit Alm(const AlmOptions& options);
  std::string name() const override { return std::string(AlmOptions::kKind); }
  bool needs_teacher() const override { return true; }
  bool across_tokenizers() const override { return true; }
  /// Throws TeacherError for a teacher that does not answer with types::AlignedChunks. A chunk that
  /// has a row outside the mask does not count; weights of the rows are averaged over a chunk.
  types::LossValue operator()(const LossInput& input) const override;

 private:
  AlmOptions options_;
};

}  // namespace distill::losses
