#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <distill/core/stop_flag.h>
#include <distill/dist/communicator.h>
#include <distill/eval/scored_text.h>
#include <distill/models/causal_lm.h>

namespace distill::eval {

/// How a set is gone through.
struct ScoreOptions {
  std::int64_t tokens_per_batch = 1024;  ///< that are computed at one time, about
  /// What the texts of a group have in common before any scored token is computed once, and its
  /// keys and values are kept for them.
  bool share_beginnings = true;
  /// Rows done by all ranks, and all rows; after every batch.
  std::function<void(std::int64_t done, std::int64_t total)> on_progress = {};
  /// Looked at between batches; all ranks stop when it is set on any. Given on all ranks or none.
  const core::StopFlag* stop = nullptr;
};

/// Texts that are compared with each other, such as the choices of a question.
using TextGroup = std::vector<ScoredText>;

/// The sum of log p(token | all before it) over the scored tokens of each text, in nats, by groups;
/// p is over the first `vocabulary` ids (0: all rows of the head). Logits are formed for a few rows
/// at a time (fp32), never for the whole batch. Collective: ranks take turns with the batches, and
/// all get everything. Throws InputError for an id outside the model's vocabulary, Stopped.
std::vector<std::vector<double>> log_likelihoods(models::CausalLm& model,
                                                 std::span<const TextGroup> groups,
                                                 std::int64_t vocabulary, dist::Communicator& ranks,
                                                 const ScoreOptions& options);

}  // namespace distill::eval
