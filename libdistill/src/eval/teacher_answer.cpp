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
    keep_full<LogitRows>(teacher, batch,
                         types::ModelOutput{hidden->hidden, hidden->head, hidden->transform});
  } else if (auto* logits = std::get_if<types::DenseLogits>(&signal)) {
    keep_full<LogitRows>(teacher, batch, std::move(*logits));
  } else if (const auto* parted = std::get_if<types::PartedSignal>(&signal)) {
    keep_full<PartedRows>(teacher, batch, *parted, batch.input.input_ids.size(0), batch.vocabulary);
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
}

template <class Rows, class... Args>
void TeacherAnswer::keep_full(teachers::Teacher& teacher, const types::Batch& batch,
                              Args&&... args) {
  const Rows& rows = full_.emplace<Rows>(std::forward<Args>(args)...);
  check_rows(teacher, rows.num_rows(), batch);
  vocab_size_ = rows.vocab_size();
}

std::optional<at::Tensor> TeacherAnswer::full(const at::Tensor& rows) const {
  if (const auto* own = std::get_if<LogitRows>(&full_)) return own->select(rows);
  if (const auto* parted = std::get_if<PartedRows>(&full_)) return parted->select(rows);
  return std::nullopt;
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
