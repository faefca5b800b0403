#include "ops/linear_divergence_checks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/all.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/nonzero.h>

#include "ops/sparse_teacher_checks.h"

namespace distill::ops {
namespace {

constexpr std::string_view kOp = "linear_divergence: ";

bool is_float_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kDouble;
}

void check_matrix(const at::Tensor& x, const char* name) {
  TORCH_CHECK(x.defined(), kOp, "`", name, "` is missing");
  TORCH_CHECK(x.dim() == 2, kOp, "`", name, "` must have 2 dimensions, has shape ", x.sizes());
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

/// `what` of a term must lie in a range; `range` says which.
void check_number(bool ok, const LogitTerm& term, const char* what, const char* range,
                  double seen) {
  TORCH_CHECK(ok && std::isfinite(seen), kOp, "the ", what, " of ", name_of(term.kind), " must be ",
              range, ", is ", seen);
}

void check_term(const LogitTerm& term) {
  check_number(true, term, "weight", "finite", term.weight);
  if (term.kind == LogitTermKind::kCrossEntropy) {
    check_number(term.label_smoothing >= 0 && term.label_smoothing < 1, term, "label smoothing",
                 "in [0, 1)", term.label_smoothing);
    check_number(term.z_loss >= 0, term, "z-loss", "0 or above", term.z_loss);
    return;
  }
  check_number(term.temperature > 0, term, "temperature", "above 0", term.temperature);
  const bool between = term.beta > 0 && term.beta < 1;
  switch (term.kind) {
    case LogitTermKind::kJsd:
      check_number(between, term, "beta",
                   "in (0, 1) (its limits are not 0 but have other names: forward_kl, reverse_kl)",
                   term.beta);
      break;
    case LogitTermKind::kSkewForwardKl:
      check_number(between, term, "beta", "in (0, 1) (0 would be forward_kl)", term.beta);
      break;
    case LogitTermKind::kSkewReverseKl:
      check_number(between, term, "beta", "in (0, 1) (0 would be reverse_kl)", term.beta);
      break;
    case LogitTermKind::kSymmetricKl:
      check_number(term.forward_weight >= 0, term, "forward weight", "0 or above",
                   term.forward_weight);
      check_number(term.reverse_weight >= 0, term, "reverse weight", "0 or above",
                   term.reverse_weight);
      break;
    default:
      break;
  }
}

/// Terms, and each temperature once.
void take_terms(std::span<const LogitTerm> terms, DivergenceProblem& problem) {
  for (const LogitTerm& term : terms) {
    check_term(term);
    const double temperature = needs_teacher(term.kind) ? term.temperature : 1.0;
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
  check_device(input.valid, "valid", problem.device());
  const at::Tensor rows = at::nonzero(input.valid).select(1, 0).contiguous();
  problem.num_rows = rows.size(0);
  if (problem.num_rows < num_rows) problem.rows = rows;
}

/// Sizes of a teacher's answer: it has a row for each of the student's.
struct TeacherSize {
  std::int64_t rows, vocabulary;
};

TeacherSize take_signal(const types::DenseHidden& signal, DivergenceProblem& problem) {
  problem.teacher = {signal.hidden.detach(), signal.head.detach().contiguous(), signal.transform};
  check_side(problem.teacher, "teacher.hidden", "teacher.head");
  check_device(signal.hidden, "teacher.hidden", problem.device());
  check_device(signal.head, "teacher.head", problem.device());
  return {signal.hidden.size(0), signal.head.size(0)};
}

TeacherSize take_signal(const types::DenseLogits& signal, DivergenceProblem& problem) {
  check_matrix(signal.logits, "teacher.logits");
  check_device(signal.logits, "teacher.logits", problem.device());
  TORCH_CHECK(at::isFloatingType(signal.logits.scalar_type()), kOp,
              "`teacher.logits` must be floating point, is ", signal.logits.scalar_type());
  TORCH_CHECK(signal.logits.size(1) > 0, kOp, "`teacher.logits` has no columns");
  problem.teacher_logits = signal.logits.detach();
  return {signal.logits.size(0), signal.logits.size(1)};
}

TeacherSize take_signal(const types::TopKLogProbs& signal, DivergenceProblem& problem) {
  check_sparse_signal(signal.ids, {{"log_probs", signal.log_probs}}, signal.vocabulary,
                      signal.temperature);
  check_device(signal.ids, "teacher.ids", problem.device());
  check_device(signal.log_probs, "teacher.log_probs", problem.device());
  problem.sparse.temperature = signal.temperature;
  return {signal.ids.size(0), signal.vocabulary};
}

TeacherSize take_signal(const types::SampledLogProbs& signal, DivergenceProblem& problem) {
  check_sparse_signal(signal.ids, {{"log_probs", signal.log_probs}, {"weights", signal.weights}},
                      signal.vocabulary, signal.temperature);
  check_device(signal.ids, "teacher.ids", problem.device());
  check_device(signal.log_probs, "teacher.log_probs", problem.device());
  check_device(signal.weights, "teacher.weights", problem.device());
  for (const LogitTerm& term : problem.terms) {
    if (!needs_teacher(term.kind)) continue;
    TORCH_CHECK(term.kind == LogitTermKind::kForwardKl, kOp, name_of(term.kind),
                " is not linear in the teacher's probabilities, so samples of it would be biased; "
                "a sampled teacher serves forward_kl");
    TORCH_CHECK(term.temperature == signal.temperature, kOp,
                "the teacher's samples are at "
                "temperature ",
                signal.temperature, " and forward_kl is at ", term.temperature,
                ", they must be equal");
  }
  problem.sparse.temperature = signal.temperature;
  return {signal.ids.size(0), signal.vocabulary};
}

TeacherSize take_signal(const types::AlignedChunks&, DivergenceProblem&) {
  TORCH_CHECK(false, kOp,
              "`teacher` has another tokenizer than the student, so that logits cannot be compared "
              "id by id; the losses for that are alm and uld");
  return {};
}

TeacherSize take_signal(const types::PartedSignal&, DivergenceProblem&) {
  TORCH_CHECK(false, kOp, "`teacher` is of several teachers, expected one of its parts");
}

void take_teacher(const LinearDivergenceInput& input, LogitTermKind kind,
                  DivergenceProblem& problem) {
  const TeacherSize size = std::visit(
      [&](const auto& signal) {
        if constexpr (std::is_same_v<std::decay_t<decltype(signal)>, std::monostate>) {
          TORCH_CHECK(false, kOp, "`teacher` is missing, ", name_of(kind), " compares with one");
          return TeacherSize{};
        } else {
          return take_signal(signal, problem);
        }
      },
      input.teacher);
  const std::int64_t num_rows = input.student_hidden.size(0);
  TORCH_CHECK(size.rows == num_rows, kOp, "`teacher` has ", size.rows,
              " rows and `student_hidden` ", num_rows, ", they must be equal");
  problem.vocabulary = std::min(problem.vocabulary, size.vocabulary);
  if (const auto* top_k = std::get_if<types::TopKLogProbs>(&input.teacher)) {
    take_sparse_rows(top_k->ids, top_k->log_probs, at::Tensor(), problem);
  } else if (const auto* sampled = std::get_if<types::SampledLogProbs>(&input.teacher)) {
    take_sparse_rows(sampled->ids, sampled->log_probs, sampled->weights, problem);
  }
}

/// The numbers of a vector to look at one by one, on the host: all of the CPU's; of another device
/// none, unless one reduction there finds that some are not `fine`.
template <class Fine>
at::Tensor suspects(const at::Tensor& x, Fine fine) {
  if (x.is_cpu()) return x;
  return at::all(fine(x)).template item<bool>() ? at::empty({0}, x.dtype()) : x.cpu();
}

/// Factors of the rows that count.
void take_weights(const LinearDivergenceInput& input, DivergenceProblem& problem) {
  const std::int64_t num_rows = input.student_hidden.size(0);
  const at::Tensor& weights = input.weights;
  if (!weights.defined()) return;
  TORCH_CHECK((weights.scalar_type() == at::kFloat || weights.scalar_type() == at::kDouble) &&
                  weights.dim() == 1 && weights.size(0) == num_rows,
              kOp, "`weights` must be fp32 or fp64 [", num_rows, "], is ", weights.scalar_type(),
              " ", weights.sizes());
  check_device(weights, "weights", problem.device());
  problem.row_weights =
      take_rows(problem, weights.detach(), 0, problem.num_rows).to(at::kDouble).contiguous();
  const at::Tensor seen = suspects(problem.row_weights, [](const at::Tensor& x) {
    return at::logical_and(x >= 0, x <= std::numeric_limits<double>::max());
  });
  const auto* values = seen.const_data_ptr<double>();
  for (std::int64_t i = 0; i < seen.numel(); ++i) {
    TORCH_CHECK(values[i] >= 0 && std::isfinite(values[i]), kOp, "`weights` holds ", values[i],
                " in a row that counts, expected a finite number, 0 or above");
  }
}

void take_labels(const LinearDivergenceInput& input, DivergenceProblem& problem) {
  const std::int64_t num_rows = input.student_hidden.size(0);
  const at::Tensor& labels = input.labels;
  TORCH_CHECK(labels.defined(), kOp, "`labels` is missing, cross_entropy needs it");
  TORCH_CHECK(labels.scalar_type() == at::kLong && labels.dim() == 1 && labels.size(0) == num_rows,
              kOp, "`labels` must be int64 [", num_rows, "], is ", labels.scalar_type(), " ",
              labels.sizes());
  check_device(labels, "labels", problem.device());
  problem.labels = take_rows(problem, labels, 0, problem.num_rows).contiguous();
  const at::Tensor seen = suspects(problem.labels, [&](const at::Tensor& x) {
    return at::logical_and(x >= 0, x < problem.vocabulary);
  });
  const auto* ids = seen.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < seen.numel(); ++i) {
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
  const at::Device device = input.student_hidden.device();
  TORCH_CHECK(device.is_cpu() || device.is_cuda(), kOp, "`student_hidden` is on ", device,
              ", expected cpu or cuda");
  check_device(input.student_head, "student_head", device);
  problem.student = {input.student_hidden.detach(), input.student_head.detach().contiguous(),
                     input.student_transform};
  problem.workspace_bytes = input.workspace_bytes;
  problem.workspace = input.workspace;
  TORCH_CHECK(input.vocabulary >= 0, kOp, "`vocabulary` must be 0 (all rows) or above, is ",
              input.vocabulary);
  problem.vocabulary = input.student_head.size(0);
  if (input.vocabulary > 0) problem.vocabulary = std::min(problem.vocabulary, input.vocabulary);
  take_terms(terms, problem);
  take_valid(input, problem);
  for (const LogitTerm& term : terms) {
    if (!needs_teacher(term.kind)) continue;
    take_teacher(input, term.kind, problem);
    break;
  }
  for (const LogitTerm& term : terms) {
    if (needs_teacher(term.kind)) continue;
    take_labels(input, problem);
    break;
  }
  take_weights(input, problem);
  const bool recording = at::GradMode::is_enabled();
  problem.needs_hidden_grad = recording && input.student_hidden.requires_grad();
  problem.needs_head_grad = recording && input.student_head.requires_grad();
  return problem;
}

}  // namespace distill::ops
