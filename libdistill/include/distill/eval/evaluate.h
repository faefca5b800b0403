#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/stop_flag.h>
#include <distill/data/dataset.h>
#include <distill/dist/communicator.h>
#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>

namespace distill::eval {

/// Averages over the target tokens of a held-out set, at temperature 1.
struct Evaluation {
  /// exp(mean negative log-likelihood) of the student, over the ids of the tokenizer.
  double perplexity = 0;
  /// This and the next: where there is a teacher that gives its whole distribution.
  std::optional<double> teacher_perplexity;
  /// KL(teacher || student), nats per token, both restricted to the ids that both models have.
  std::optional<double> kl_to_teacher;
  /// Of a teacher that names its K likeliest ids, as a cache or a server: KL over K + 1 classes,
  /// all other ids being one. Never above `kl_to_teacher` (data-processing inequality), so that
  /// the true one is this or more. Not there where its probabilities are of another temperature.
  std::optional<double> top_k_kl_to_teacher;
  /// Share of positions with the same most likely id. Not there for a teacher that gives only
  /// samples, of which nothing above is measured either.
  std::optional<double> top1_agreement;
  std::int64_t tokens = 0;     ///< targets, over all ranks
  double student_seconds = 0;  ///< spent on hidden states and logits, summed over ranks
  double teacher_seconds = 0;
};

struct EvaluateOptions {
  std::int64_t rows_per_batch = 4;
  /// Rows done by all ranks, and all rows; after every batch.
  std::function<void(std::int64_t done, std::int64_t total)> on_progress = {};
  /// Looked at between batches; all ranks stop when it is set on any. Given on all ranks or none.
  const core::StopFlag* stop = nullptr;
};

/// Thrown when `stop` was requested in the middle.
class Stopped : public Error {
 public:
  using Error::Error;
};

/// Measures `student`, and how near it is to `teacher` when that is not null. Collective: every
/// rank calls it with the same data, takes its share of the batches and gets the same result.
/// Logits are formed for a few rows at a time (fp32), never for the whole batch.
/// Throws InputError when there is nothing to predict or an id is outside a vocabulary, Stopped,
/// and TeacherError for a teacher that says nothing, or something that does not fit the batch.
Evaluation evaluate(models::CausalLm& student, teachers::Teacher* teacher,
                    const data::Dataset& dataset, dist::Communicator& ranks,
                    const EvaluateOptions& options);

}  // namespace distill::eval
