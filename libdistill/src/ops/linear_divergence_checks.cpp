#include "ops/linear_divergence_checks.h"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>

namespace distill::ops {
namespace {

constexpr std::string_view kOp = "linear_divergence: ";

bool is_float_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kDouble;
}

void check_on_cpu(const at::Tensor& x, const char* name) {
  TORCH_CHECK(x.device().is_cpu(), kOp, "`", name, "` is on ", x.device(),
              ", this build computes on the CPU; move it there");
}

void check_matrix(const at::Tensor& x, const char* name) {
  TORCH_CHECK(x.defined(), kOp, "`", name, "` is missing");
  TORCH_CHECK(x.dim() == 2, kOp, "`", name, "` must have 2 dimensions, has shape ", x.sizes());
  check_on_cpu(x, name);
}

void check_side(const ModelSide& side, const char* hidden_name, const char* head_name) {
  check_matrix(side.hidden, hidden_name);
  check_matrix(side.head, head_name);
  TORCH_CHECK(is_float_type(side.hidden.scalar_type()), kOp, "`", hidden_name,
              "` must be fp32, bf16 or fp64, is ", side.hidden.scalar_type());
  TORCH_CHECK(side.head.scalar_type() == side.hidden.scalar_type(), kOp, "`", head_name, "` is ",
              side.head.scalar_type(), " and `", hidden_name, "` ", side.hidden.scalar_type(),
              ", they must be the same");
  TORCH_CHECK(side.head.size(1) == side.hidden.size(1), kOp, "`", head_name, "` has shape ",
              side.head.sizes(), " and `", hidden_name, "` ", side.hidden.sizes(),
              ", their last sizes must be equal");
  TORCH_CHECK(side.head.size(0) > 0, kOp, "`", head_name, "` has no rows");
  TORCH_CHECK(std::isfinite(side.transform.scale), kOp, "the logit scale that goes with `",
              head_name, "` must be finite, is ", side.transform.scale);
  TORCH_CHECK(side.transform.softcap >= 0 && std::isfinite(side.transform.softcap), kOp,
              "the softcap that goes with `", head_name, "` must be 0 (off) or above, is ",
              side.transform.softcap);
}

bool needs_teacher(LogitTermKind kind) {
  switch (kind) {
    case LogitTermKind::kForwardKl:
      return true;
    case LogitTermKind::kCrossEntropy:
      return false;
  }
  return false;
}

bool needs_labels(LogitTermKind kind) {
  return kind == LogitTermKind::kCrossEntropy;
}

std::string_view name_of(LogitTermKind kind) {
  return choice_names(kind)[static_cast<std::size_t>(kind)];
}

/// Terms, and each temperature once.
void take_terms(std::span<const LogitTerm> terms, DivergenceProblem& problem) {
  for (const LogitTerm& term : terms) {
    const bool heated = term.kind != LogitTermKind::kCrossEntropy;
    const double temperature = heated ? term.temperature : 1.0;
    TORCH_CHECK(std::isfinite(temperature) && temperature > 0, kOp, "the temperature of ",
                name_of(term.kind), " must be above 0, is ", temperature);
    TORCH_CHECK(std::isfinite(term.weight), kOp, "the weight of ", name_of(term.kind),
                " must be finite, is ", term.weight);
    auto& known = problem.temperatures;
    const auto found = std::find(known.begin(), known.end(), temperature);
    problem.temperature_of.push_back(found - known.begin());
    if (found == known.end()) known.push_back(temperature);
    problem.terms.push_back(term);
  }
}

/// Rows that count, from `valid` [N].
void take_valid(const LinearDivergenceInput& input, DivergenceProblem& problem) {
  const std::int64_t num_rows = input.student_hidden.size(0);
  problem.num_rows = num_rows;
  if (!input.valid.defined()) return;
  TORCH_CHECK(input.valid.scalar_type() == at::kBool && input.valid.dim() == 1 &&
                  input.valid.size(0) == num_rows,
              kOp, "`valid` must be bool [", num_rows, "], is ", input.valid.scalar_type(), " ",
              input.valid.sizes());
  check_on_cpu(input.valid, "valid");
  const at::Tensor rows = at::nonzero(input.valid).select(1, 0).contiguous();
  problem.num_rows = rows.size(0);
  if (problem.num_rows < num_rows) problem.rows = rows;
}

void take_teacher(const LinearDivergenceInput& input, LogitTermKind kind,
                  DivergenceProblem& problem) {
  const std::int64_t num_rows = input.student_hidden.size(0);
  std::int64_t vocabulary = 0;
  std::int64_t teacher_rows = 0;
  if (const auto* dense = std::get_if<types::DenseHidden>(&input.teacher)) {
    problem.teacher = {dense->hidden.detach(), dense->head.detach().contiguous(), dense->transform};
    check_side(problem.teacher, "teacher.hidden", "teacher.head");
    vocabulary = dense->head.size(0);
    teacher_rows = dense->hidden.size(0);
  } else if (const auto* logits = std::get_if<types::DenseLogits>(&input.teacher)) {
    check_matrix(logits->logits, "teacher.logits");
    TORCH_CHECK(at::isFloatingType(logits->logits.scalar_type()), kOp,
                "`teacher.logits` must be floating point, is ", logits->logits.scalar_type());
    TORCH_CHECK(logits->logits.size(1) > 0, kOp, "`teacher.logits` has no columns");
    problem.teacher_logits = logits->logits.detach();
    vocabulary = logits->logits.size(1);
    teacher_rows = logits->logits.size(0);
  } else {
    TORCH_CHECK(false, kOp, "`teacher` is missing, ", name_of(kind), " compares with one");
  }
  TORCH_CHECK(teacher_rows == num_rows, kOp, "`teacher` has ", teacher_rows,
              " rows and `student_hidden` ", num_rows, ", they must be equal");
  problem.vocabulary = std::min(problem.vocabulary, vocabulary);
}

void take_labels(const LinearDivergenceInput& input, DivergenceProblem& problem) {
  const std::int64_t num_rows = input.student_hidden.size(0);
  const at::Tensor& labels = input.labels;
  TORCH_CHECK(labels.defined(), kOp, "`labels` is missing, cross_entropy needs it");
  TORCH_CHECK(labels.scalar_type() == at::kLong && labels.dim() == 1 && labels.size(0) == num_rows,
              kOp, "`labels` must be int64 [", num_rows, "], is ", labels.scalar_type(), " ",
              labels.sizes());
  check_on_cpu(labels, "labels");
  problem.labels = take_rows(problem, labels, 0, problem.num_rows).contiguous();
  const auto* ids = problem.labels.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < problem.num_rows; ++i) {
    TORCH_CHECK(ids[i] >= 0 && ids[i] < problem.vocabulary, kOp, "`labels` holds ", ids[i],
                " in a row that counts, expected an id in [0, ", problem.vocabulary, ")");
  }
}

}  // namespace

DivergenceProblem checked_problem(const LinearDivergenceInput& input,
                                  std::span<const LogitTerm> terms) {
  TORCH_CHECK(!terms.empty(), kOp, "`terms` is empty");
  TORCH_CHECK(input.workspace_bytes > 0, kOp, "`workspace_bytes` must be above 0, is ",
              input.workspace_bytes);
  DivergenceProblem problem;
  check_side({input.student_hidden, input.student_head, input.student_transform}, "student_hidden",
             "student_head");
  problem.student = {input.student_hidden.detach(), input.student_head.detach().contiguous(),
                     input.student_transform};
  problem.workspace_bytes = input.workspace_bytes;
  problem.vocabulary = input.student_head.size(0);
  take_terms(terms, problem);
  take_valid(input, problem);
  for (const LogitTerm& term : terms) {
    if (!needs_teacher(term.kind)) continue;
    take_teacher(input, term.kind, problem);
    break;
  }
  for (const LogitTerm& term : terms) {
    if (!needs_labels(term.kind)) continue;
    take_labels(input, problem);
    break;
  }
  const bool recording = at::GradMode::is_enabled();
  problem.needs_hidden_grad = recording && input.student_hidden.requires_grad();
  problem.needs_head_grad = recording && input.student_head.requires_grad();
  return problem;
}

}  // namespace distill::ops
