#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// How the frequencies of rotary embeddings are stretched for long contexts.
enum class RopeType {
  kDefault,  ///< theta^(-2i / D) (Su et al. 2021)
  kLinear,   ///< all divided by `factor` (Chen et al. 2023, position interpolation)
  kLlama3,   ///< low frequencies divided, high ones kept, smooth between (Llama 3.1)
};
constexpr std::array<std::string_view, 3> choice_names(RopeType) {
  return {"default", "linear", "llama3"};
}

struct RopeOptions {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;              ///< linear, llama3
  double low_freq_factor = 1.0;     ///< llama3
  double high_freq_factor = 4.0;    ///< llama3; above low_freq_factor
  double original_positions = 0.0;  ///< llama3: context length before stretching
};

/// fp64 [head_dim / 2] on the CPU; `head_dim` is even.
at::Tensor inverse_frequencies(std::int64_t head_dim, const RopeOptions& options);

/// What ops::rotary takes, one row for each token.
struct RotaryTable {
  at::Tensor cos;  ///< fp32 [N, D/2]
  at::Tensor sin;  ///< fp32 [N, D/2]
};

/// Angles are formed in fp64, so that far positions keep their digits. `positions` int64 [N].
RotaryTable rotary_table(const at::Tensor& inverse_frequencies, const at::Tensor& positions);

}  // namespace distill::nn
