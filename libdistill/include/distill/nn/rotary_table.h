#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// How the frequencies of rotary embeddings are stretched for long contexts.
enum class RopeType {
  kDefault,  ///< theta^(-2i / D) (Su et al. 2021)
  kLinear,   ///< all divided by `factor` (Chen et al. 2023, position interpolation)
  kLlama3,   ///< low frequencies divided, high ones kept, smooth between (Llama 3.1)
  kDynamic,  ///< theta grows with a sequence that is longer than the old context (NTK-aware)
  kYarn,     ///< as llama3, blended over dimensions, with a sharper softmax (Peng et al. 2023)
};
constexpr std::array<std::string_view, 5> choice_names(RopeType) {
  return {"default", "linear", "llama3", "dynamic", "yarn"};
}

struct RopeOptions {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;              ///< all but default
  double low_freq_factor = 1.0;     ///< llama3
  double high_freq_factor = 4.0;    ///< llama3; above low_freq_factor
  double original_positions = 0.0;  ///< llama3, dynamic, yarn: context length before stretching
  double beta_fast = 32.0;          ///< yarn: frequencies with more turns than this are kept
  double beta_slow = 1.0;           ///< yarn: those with fewer are divided; below beta_fast
  bool truncate = true;             ///< yarn: the borders between them are whole dimensions
  double attention_factor = 1.0;    ///< yarn: multiplies cos and sin
};

/// fp64 [head_dim / 2] on the CPU; `head_dim` is even and above 2 for dynamic. `length`: tokens of
/// the sequence, which dynamic alone looks at.
at::Tensor inverse_frequencies(std::int64_t head_dim, const RopeOptions& options,
                               std::int64_t length = 0);

/// What ops::rotary takes, one row for each token.
struct RotaryTable {
  at::Tensor cos;  ///< fp32 [N, D/2]
  at::Tensor sin;  ///< fp32 [N, D/2]
};

/// Angles are formed in fp64, so that far positions keep their digits. `positions` int64 [N].
RotaryTable rotary_table(const at::Tensor& inverse_frequencies, const at::Tensor& positions,
                         double attention_factor = 1.0);

/// The tables of one model.
class RotaryTables {
 public:
  /// `head_dim` is what rotates of a head, even.
  RotaryTables(std::int64_t head_dim, const RopeOptions& options);

  /// One row for each of `positions` int64 [N]. `segments` as in types::ModelInput: the length that
  /// dynamic stretching looks at is each sequence's own.
  RotaryTable rows(const at::Tensor& positions, std::span<const std::int64_t> segments) const;

 private:
  std::int64_t head_dim_;
  RopeOptions options_;
  at::Tensor frequencies_;
};

}  // namespace distill::nn
