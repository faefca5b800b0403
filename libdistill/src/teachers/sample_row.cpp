#include "teachers/sample_row.h"

#include <algorithm>
#include <cmath>

namespace distill::teachers {

io::SampledRow sample_row(std::span<const float> log_probs, std::int64_t draws, double start) {
  const auto factor = static_cast<double>(draws);
  io::SampledRow row;
  double place = start;  // along the line of all small probabilities, in units of 1 / draws
  double rest = 0;
  double rest_log = 0;
  for (std::size_t id = 0; id < log_probs.size(); ++id) {
    const double log_prob = log_probs[id];
    const double probability = std::exp(log_prob);
    if (probability * factor < 1) {
      rest += probability;
      if (probability > 0) rest_log += probability * log_prob;
      place += probability * factor;
      if (place < 1) continue;
      place -= 1;
    }
    row.ids.push_back(static_cast<std::int64_t>(id));
    row.probabilities.push_back(probability);
  }
  if (rest > 0) row.mean_log_prob_of_rest = rest_log / rest;
  return row;
}

}  // namespace distill::teachers
