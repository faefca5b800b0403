#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <distill/models/causal_lm.h>

namespace distill::models {

struct GenerateOptions {
  std::int64_t max_new_tokens = 256;
  double temperature = 0.0;  ///< 0: greedy
  double top_p = 1.0;        ///< keep the smallest set of ids with at least this probability
  std::uint64_t seed = 0;
  std::vector<std::int64_t> stop_ids =
      {};  ///< generation ends after one of these (it is returned too)
};

/// Continues one prompt with a key/value cache. `on_token` (may be empty) sees each new id as it
/// comes and ends generation by returning false. Same seed, same ids.
std::vector<std::int64_t> generate(CausalLm& model, const std::vector<std::int64_t>& prompt,
                                   const GenerateOptions& options,
                                   const std::function<bool(std::int64_t)>& on_token = {});

}  // namespace distill::models
