#pragma once

#include <cstdint>
#include <vector>

#include <distill/types/model_output.h>

namespace distill::eval {

/// A position of a model's output, and the id whose probability there is asked for.
struct AskedLabel {
  std::int64_t row = 0;
  std::int64_t label = 0;
};

/// log p(label) at each of them over the first `vocabulary` ids (0: all), in nats; logits are
/// formed for a few rows at a time.
std::vector<double> label_scores(const types::ModelOutput& output,
                                 const std::vector<AskedLabel>& asked, std::int64_t vocabulary);

}  // namespace distill::eval
