#include <distill/ops/sorted_divergence.h>

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <distill/ops/head_product.h>

#include "ops/linear_divergence_autograd.h"
#include "ops/transformed_logits.h"

namespace distill::ops {
namespace {

constexpr const char* kOp = "sorted_divergence: ";

void check_side(const at::Tensor& hidden, const at::Tensor& head, const char* who) {
  TORCH_CHECK(hidden.defined() && head.defined() && hidden.dim() == 2 && head.dim() == 2 &&
                  hidden.size(1) == head.size(1) && head.size(0) > 0,
              kOp, "`", who, "` must have hidden [N, H] and head [V, H]",
              hidden.defined() && head.defined()
                  ? c10::str(", they are ", hidden.sizes(), " and ", head.sizes())
                  : ", one is missing");
  TORCH_CHECK(hidden.scalar_type() == head.scalar_type(), kOp, "`", who, "` has hidden in ",
              hidden.scalar_type(), " and head in ", head.scalar_type(), ", they must be the same");
}

void check(const SortedDivergenceInput& input) {
  check_side(input.student_hidden, input.student_head, "student");
  check_side(input.teacher.hidden, input.teacher.head, "teacher");
  const std::int64_t rows = input.student_hidden.size(0);
  TORCH_CHECK(input.teacher.hidden.size(0) == rows, kOp, "`teacher` has ",
              input.teacher.hidden.size(0), " rows and `student` ", rows, ", they must be equal");
  TORCH_CHECK(std::isfinite(input.temperature) && input.temperature > 0, kOp,
              "`temperature` must be above 0, is ", input.temperature);
  TORCH_CHECK(input.top_k >= 0, kOp, "`top_k` must be 0 (all) or above, is ", input.top_k);
  TORCH_CHECK(
      !input.weights.defined() || (input.weights.dim() == 1 && input.weights.size(0) == rows), kOp,
      "`weights` must be [", rows, "]");
}

std::int64_t real_ids(const at::Tensor& head, std::int64_t vocabulary) {
  return vocabulary > 0 ? std::min(vocabulary, head.size(0)) : head.size(0);
}

/// The largest probabilities of each row, and whose they are.
struct Sorted {
  at::Tensor values;  ///< [n, k], falling
  at::Tensor ids;     ///< int64 [n, k]
};

Sorted sorted(const at::Tensor& probabilities, std::int64_t top_k) {
  const std::int64_t ids = probabilities.size(1);
  auto [values, where] = top_k > 0 && top_k < ids ? at::topk(probabilities, top_k, 1)
                                                  : at::sort(probabilities, 1, /*descending=*/true);
  return {values, where};
}

/// `x` [n, a] with zeros up to a width.
at::Tensor widened(const at::Tensor& x, std::int64_t width) {
  return x.size(1) == width ? x : at::constant_pad_nd(x, {0, width - x.size(1)});
}

class SortedDivergence {
 public:
  explicit SortedDivergence(const SortedDivergenceInput& input)
      : input_(input),
        student_ids_(real_ids(input.student_head, input.student_vocabulary)),
        teacher_ids_(real_ids(input.teacher.head, input.teacher_vocabulary)),
        type_(input.student_head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat) {}

  /// The value; fills what `sums` has of gradients.
  double run(DivergenceSums& sums) {
    const std::int64_t rows = input_.student_hidden.size(0);
    // Probabilities, their order and the slopes of the student, and the teacher's.
    const std::int64_t step =
        logit_rows_at_a_time(2 * student_ids_ + teacher_ids_, input_.workspace_bytes);
    double value = 0;
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      value += add_rows(begin, std::min(step, rows - begin), sums);
    }
    return value;
  }

 private:
  /// Teacher's largest probabilities, [n, k].
  at::Tensor teacher_values(std::int64_t begin, std::int64_t count) const {
    const at::Tensor logits =
        transformed_(head_product(input_.teacher.hidden.narrow(0, begin, count),
                                  input_.teacher.head.narrow(0, 0, teacher_ids_)),
                     input_.teacher.transform);
    return sorted(at::softmax(logits.div_(input_.temperature), 1), input_.top_k).values.to(type_);
  }

  double add_rows(std::int64_t begin, std::int64_t count, DivergenceSums& sums) const {
    const at::Tensor hidden = input_.student_hidden.narrow(0, begin, count);
    const at::Tensor head = input_.student_head.narrow(0, 0, student_ids_);
    const at::Tensor logits = transformed_(head_product(hidden, head), input_.student_transform);
    const at::Tensor p = at::softmax(logits / input_.temperature, 1);
    const Sorted own = sorted(p, input_.top_k);
    const at::Tensor theirs = teacher_values(begin, count);
    const std::int64_t width = std::max(own.values.size(1), theirs.size(1));
    at::Tensor gap = widened(own.values, width) - widened(theirs, width);
    at::Tensor of_rows = gap.abs().sum(1);
    at::Tensor sign = at::sign(gap.narrow(1, 0, own.values.size(1)));
    if (input_.weights.defined()) {
      const at::Tensor weights = input_.weights.detach().narrow(0, begin, count).to(type_);
      of_rows = of_rows * weights;
      sign.mul_(weights.unsqueeze(1));
    }
    if (sums.hidden_grad.defined() || sums.head_grad.defined()) {
      const at::Tensor slope = at::zeros_like(p).scatter_(1, own.ids, sign);
      add_gradients(logit_slopes(p, slope, logits), begin, hidden, sums);
    }
    return of_rows.sum(at::kDouble).item<double>();
  }

  /// From slopes in the probabilities to slopes in the products of hidden states and head.
  at::Tensor logit_slopes(const at::Tensor& p, const at::Tensor& slope,
                          const at::Tensor& logits) const {
    at::Tensor result = p * (slope - (p * slope).sum(1, true));
    result.mul_(input_.student_transform.scale / input_.temperature);
    const double cap = input_.student_transform.softcap;
    if (cap > 0) {
      const at::Tensor share = logits / cap;
      result.mul_(1 - share * share);
    }
    return result;
  }

  void add_gradients(const at::Tensor& slopes, std::int64_t begin, const at::Tensor& hidden,
                     DivergenceSums& sums) const {
    if (sums.hidden_grad.defined()) {
      const at::Tensor head = input_.student_head.narrow(0, 0, student_ids_).to(type_);
      sums.hidden_grad.narrow(0, begin, hidden.size(0)).copy_(at::mm(slopes, head));
    }
    if (sums.head_grad.defined()) {
      sums.head_grad.narrow(0, 0, student_ids_).addmm_(slopes.t(), hidden.to(type_));
    }
  }

  const SortedDivergenceInput& input_;
  std::int64_t student_ids_;
  std::int64_t teacher_ids_;
  at::ScalarType type_;
};

}  // namespace

at::Tensor sorted_divergence(const SortedDivergenceInput& input) {
  check(input);
  LinearDivergenceInput student;
  student.student_hidden = input.student_hidden;
  student.student_head = input.student_head;
  DivergenceProblem problem;
  problem.needs_hidden_grad = at::GradMode::is_enabled() && input.student_hidden.requires_grad();
  problem.needs_head_grad = at::GradMode::is_enabled() && input.student_head.requires_grad();
  const auto type = input.student_head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  DivergenceSums sums;
  double value = 0;
  {
    const at::NoGradGuard guard;
    const auto zeros = [&](const at::Tensor& like) {
      return at::zeros(like.sizes(), like.options().dtype(type));
    };
    if (problem.needs_hidden_grad) sums.hidden_grad = zeros(input.student_hidden);
    if (problem.needs_head_grad) sums.head_grad = zeros(input.student_head);
    value = SortedDivergence(input).run(sums);
    if (sums.head_grad.defined()) {
      sums.head_grad = sums.head_grad.to(input.student_head.scalar_type());
    }
  }
  return with_gradients(value, student, problem, sums);
}

}  // namespace distill::ops
