#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <distill/core/stop_flag.h>
#include <distill/data/batch_source.h>
#include <distill/dist/communicator.h>
#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>

namespace distill::eval {

/// Averages over the target tokens of a held-out set, at temperature 1.
struct Evaluation {
  double perplexity = 0;                       ///< exp(mean negative log-likelihood) of the student
  std::optional<double> teacher_perplexity;    ///< the four below: when there is a teacher
  std::optional<double> kl_to_teacher;         ///< KL(teacher || student), nats per token
  std::optional<double> top1_agreement;        ///< share of positions with the same most likely id
  std::int64_t tokens = 0;
  double student_seconds = 0;                  ///< spent in each forward pass
  double teacher_seconds = 0;
};

struct EvaluateOptions {
  std::int64_t rows_per_batch = 4;
  std::function<void(std::int64_t done, std::int64_t total)> on_progress;
  const core::StopFlag* stop = nullptr;  ///< looked at between batches; throws Stopped
};

/// Thrown when `stop` was requested in the middle.
class Stopped : public Error {
 public:
  using Error::Error;
};

/// Logits are formed for a few rows at a time (fp32), never for the whole batch.
Evaluation evaluate(models::CausalLm& student, teachers::Teacher* teacher, const data::Dataset& dataset,
                    dist::Communicator& ranks, const EvaluateOptions& options);

}  // namespace distill::eval
