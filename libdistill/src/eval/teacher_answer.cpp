#include "eval/teacher_answer.h"

#include <utility>

#include <ATen/ops/index_select.h>

#include <distill/core/error.h>

namespace distill::eval {

namespace {

void check_rows(teachers::Teacher& teacher, std::int64_t given, const types::Batch& batch) {
  const std::int64_t expected = batch.input.input_ids.size(0);
  if (given == expected) return;
  fail<TeacherError>("teacher `", teacher.describe(), "` answered for ", given, " positions of ",
                     expected);
}

}  // namespace

TeacherAnswer::TeacherAnswer(teachers::Teacher& teacher, const types::Batch& batch) {
  types::TeacherSignal signal = teacher.signal(batch);
  if (auto* hidden = std::get_if<types::DenseHidden>(&signal)) {
    full_.emplace(types::ModelOutput{hidden->hidden, hidden->head, hidden->transform});
  } else if (auto* logits = std::get_if<types::DenseLogits>(&signal)) {
    full_.emplace(std::move(*logits));
  } else if (auto* top_k = std::get_if<types::TopKLogProbs>(&signal)) {
    check_rows(teacher, top_k->ids.size(0), batch);
    vocab_size_ = top_k->vocabulary;
    top_k_ = std::move(*top_k);
  } else if (const auto* sampled = std::get_if<types::SampledLogProbs>(&signal)) {
    check_rows(teacher, sampled->ids.size(0), batch);
    vocab_size_ = sampled->vocabulary;
  } else {
    fail<TeacherError>("teacher `", teacher.describe(), "` gives nothing to evaluate against");
  }
  if (!full_) return;
  check_rows(teacher, full_->num_rows(), batch);
  vocab_size_ = full_->vocab_size();
}

std::optional<types::TopKLogProbs> TeacherAnswer::top_k(const at::Tensor& rows,
                                                        at::Device device) const {
  if (!top_k_) return std::nullopt;
  const auto select = [&](const at::Tensor& x) {
    return at::index_select(x, 0, rows.to(x.device())).to(device);
  };
  return types::TopKLogProbs{select(top_k_->ids), select(top_k_->log_probs), top_k_->vocabulary,
                             top_k_->temperature};
}

}  // namespace distill::eval
