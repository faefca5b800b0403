#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <distill/models/causal_lm.h>

namespace distill::models {

/// How the next id is drawn from the logits. The cuts apply in this order.
struct SamplingOptions {
  /// Above 1: logits of ids that the prompt or the text so far hold are divided by it where
  /// positive, else multiplied (Keskar et al. 2019, "CTRL", section 4.1). 1: off.
  double repetition_penalty = 1.0;  ///< 0.01 to 100
  double temperature = 0.0;         ///< divides the logits; 0: always the likeliest id
  std::int64_t top_k = 0;           ///< keep so many likeliest ids; 0: all
  double top_p = 1.0;               ///< keep the smallest set of ids with at least this probability
  std::uint64_t seed = 0;
};

struct GenerateOptions {
  std::int64_t max_new_tokens = 256;
  SamplingOptions sampling = {};
  std::vector<std::int64_t> stop_ids =
      {};  ///< generation ends after one of these (it is returned too)
  /// Sequences that go on together. A new prompt joins as soon as one has ended.
  std::int64_t batch_size = 32;
  /// Ids of the tokenizer: rows of the head behind them are padding and never chosen. 0: all rows.
  std::int64_t vocabulary = 0;
  /// End without an error where the model has no further position.
  bool end_at_last_position = false;
  /// What messages call each prompt, such as FILE:LINE; empty: by its number among several.
  std::vector<std::string> prompt_names = {};
};

/// Called as generation goes on, in one thread; each may be empty.
struct GenerateCallbacks {
  /// Before a prompt's first id; it may have waited for others to end.
  std::function<void(std::size_t prompt)> on_begin = {};
  /// Each new id, with the number of its prompt; ends that sequence by returning false.
  std::function<bool(std::size_t prompt, std::int64_t id)> on_token = {};
  /// After a prompt's last id.
  std::function<void(std::size_t prompt)> on_end = {};
};

/// Continues each prompt, of any length, with a key/value cache; nothing is padded. Returns the new
/// ids of each. The same seed gives the same ids in the same batches; prompt i draws from a random
/// stream of its own, and only the rounding of products depends on the sequences beside it.
/// Throws InputError for options out of range and prompts that are empty, hold unknown ids or do
/// not fit the model's positions.
std::vector<std::vector<std::int64_t>> generate(CausalLm& model,
                                                std::span<const std::vector<std::int64_t>> prompts,
                                                const GenerateOptions& options,
                                                const GenerateCallbacks& callbacks = {});

/// The same for one prompt.
std::vector<std::int64_t> generate(CausalLm& model, const std::vector<std::int64_t>& prompt,
                                   const GenerateOptions& options,
                                   const std::function<bool(std::int64_t)>& on_token = {});

}  // namespace distill::models
