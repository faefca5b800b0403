#include <distill/ops/label_log_probs.h>

#include <algorithm>
#include <span>

#include <ATen/TensorOperators.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <distill/ops/head_product.h>

#include "ops/linear_divergence_autograd.h"
#include "ops/linear_divergence_checks.h"
#include "ops/linear_divergence_problem.h"
#include "ops/transformed_logits.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Cross-entropy against the labels: its gradient, with the incoming gradient as the factors of the
/// rows, is that of the log-probabilities.
DivergenceProblem problem_of(const LabelLogProbsInput& input) {
  LinearDivergenceInput op;
  op.student_hidden = input.hidden;
  op.student_head = input.head;
  op.student_transform = input.transform;
  op.labels = input.labels;
  op.valid = input.valid;
  op.vocabulary = input.vocabulary;
  op.workspace_bytes = input.workspace_bytes;
  const LogitTerm term{LogitTermKind::kCrossEntropy};
  return checked_problem(op, std::span(&term, 1));
}

/// Of the rows that count, [n].
at::Tensor log_probs(const DivergenceProblem& problem, at::ScalarType type) {
  const ModelSide& model = problem.student;
  const at::Tensor head = model.head.narrow(0, 0, problem.vocabulary);
  at::Tensor values = at::zeros({problem.num_rows}, model.head.options().dtype(type));
  const std::int64_t step = logit_rows_at_a_time(problem.vocabulary, problem.workspace_bytes);
  for (std::int64_t begin = 0; begin < problem.num_rows; begin += step) {
    const std::int64_t count = std::min(step, problem.num_rows - begin);
    const at::Tensor logits = transformed_(
        head_product(take_rows(problem, model.hidden, begin, count), head), model.transform);
    const at::Tensor of_label =
        at::gather(logits, 1, problem.labels.narrow(0, begin, count).unsqueeze(1)).squeeze(1);
    values.narrow(0, begin, count).copy_(of_label - at::logsumexp(logits, {1}));
  }
  return values;
}

at::Tensor all_rows(const DivergenceProblem& problem, const at::Tensor& of_rows,
                    at::IntArrayRef sizes) {
  if (!problem.rows.defined()) return of_rows;
  return at::zeros(sizes, of_rows.options()).index_copy_(0, problem.rows, of_rows);
}

struct LabelLogProbs : torch::autograd::Function<LabelLogProbs> {
  static Variable forward(AutogradContext* context, const Variable& hidden, const Variable& head,
                          const LabelLogProbsInput& input) {
    auto& saved = context->saved_data;
    saved["hidden"] = hidden;
    saved["head"] = head;
    saved["needs_hidden"] = hidden.requires_grad();
    saved["needs_head"] = head.requires_grad();
    saved["scale"] = input.transform.scale;
    saved["softcap"] = input.transform.softcap;
    saved["labels"] = input.labels;
    saved["valid"] = input.valid;
    saved["vocabulary"] = input.vocabulary;
    saved["workspace_bytes"] = input.workspace_bytes;
    const WithoutAutograd guard;
    const DivergenceProblem problem = problem_of(input);
    const auto type = head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return all_rows(problem, log_probs(problem, type), {hidden.size(0)});
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "label_log_probs can be differentiated only once; leave create_graph off");
    auto& saved = context->saved_data;
    LabelLogProbsInput input;
    input.hidden = saved["hidden"].toTensor();
    input.head = saved["head"].toTensor();
    input.transform = {saved["scale"].toDouble(), saved["softcap"].toDouble()};
    input.labels = saved["labels"].toTensor();
    input.valid = saved["valid"].toTensor();
    input.vocabulary = saved["vocabulary"].toInt();
    input.workspace_bytes = saved["workspace_bytes"].toInt();
    DivergenceProblem problem = problem_of(input);
    problem.needs_hidden_grad = saved["needs_hidden"].toBool();
    problem.needs_head_grad = saved["needs_head"].toBool();
    Workspace workspace;
    problem.workspace = &workspace;
    // Of either sign, unlike what linear_divergence takes from outside.
    problem.row_weights = take_rows(problem, incoming[0].detach(), 0, problem.num_rows)
                              .to(at::kDouble)
                              .neg()
                              .contiguous();
    DivergenceSums sums;
    if (problem.num_rows > 0) {
      const WithoutAutograd guard;
      sums = form_sums(problem);
    }
    return {hidden_grad(problem, input.hidden, sums), head_grad(problem, input.head, sums),
            Variable()};
  }

 private:
  static at::Tensor hidden_grad(const DivergenceProblem& problem, const at::Tensor& hidden,
                                const DivergenceSums& sums) {
    if (!problem.needs_hidden_grad) return {};
    if (!sums.hidden_grad.defined()) return at::zeros(hidden.sizes(), hidden.options());
    return all_rows(problem, sums.hidden_grad.to(hidden.scalar_type()), hidden.sizes());
  }
  static at::Tensor head_grad(const DivergenceProblem& problem, const at::Tensor& head,
                              const DivergenceSums& sums) {
    if (!problem.needs_head_grad || sums.head_grad.defined()) return sums.head_grad;
    return at::zeros(head.sizes(), head.options());
  }
};

}  // namespace

at::Tensor label_log_probs(const LabelLogProbsInput& input) {
  return LabelLogProbs::apply(input.hidden, input.head, input);
}

}  // namespace distill::ops
