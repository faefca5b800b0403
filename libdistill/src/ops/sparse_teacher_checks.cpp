#include "ops/sparse_teacher_checks.h"

#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/all.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/logical_or.h>

namespace distill::ops {

namespace {

constexpr std::string_view kOp = "linear_divergence: ";
/// Sums of probabilities may be above 1 by the rounding of fp32 log-probabilities, or of those that
/// were stored in 16 bits.
constexpr double kSumSlack = 1e-2;

void check_row_ids(const std::int64_t* ids, std::int64_t count, std::int64_t row,
                   std::int64_t vocabulary) {
  for (std::int64_t k = 0; k < count; ++k) {
    TORCH_CHECK(ids[k] >= 0 && ids[k] < vocabulary, kOp, "`teacher.ids` holds ", ids[k], " in row ",
                row, ", expected an id in [0, ", vocabulary, ")");
    TORCH_CHECK(k == 0 || ids[k] > ids[k - 1], kOp, "`teacher.ids` must ascend in each row, holds ",
                ids[k - 1], " before ", ids[k], " in row ", row);
  }
}

void check_row_log_probs(const double* log_probs, std::int64_t count, std::int64_t row) {
  for (std::int64_t k = 0; k < count; ++k) {
    TORCH_CHECK(!std::isnan(log_probs[k]) && log_probs[k] <= kSumSlack, kOp,
                "`teacher.log_probs` holds ", log_probs[k], " in row ", row,
                ", expected a number that is 0 or below");
  }
}

/// `all`: nothing is left for other ids, so there must be something.
void check_row_sum(const double* log_probs, std::int64_t count, std::int64_t row, bool all) {
  double total = 0;
  for (std::int64_t k = 0; k < count; ++k) total += std::exp(log_probs[k]);
  TORCH_CHECK(total <= 1 + kSumSlack, kOp, "`teacher.log_probs` of row ", row,
              " are probabilities that sum to ", total, ", expected at most 1");
  TORCH_CHECK(!all || total > 0, kOp, "`teacher.log_probs` of row ", row,
              " give every id the probability 0");
}

void check_row_weights(const double* weights, const double* log_probs, std::int64_t count,
                       std::int64_t row) {
  for (std::int64_t k = 0; k < count; ++k) {
    TORCH_CHECK(weights[k] >= 0 && std::isfinite(weights[k]), kOp, "`teacher.weights` holds ",
                weights[k], " in row ", row, ", expected a finite number, 0 or above");
    TORCH_CHECK(weights[k] == 0 || std::isfinite(log_probs[k]), kOp, "`teacher.log_probs` holds ",
                log_probs[k], " in row ", row, " for an id that was drawn");
  }
}

/// The same conditions as below in one reduction on the tensors' device; true where all hold.
bool all_fine(const SparseTeacher& teacher, std::int64_t vocabulary) {
  const at::Tensor& ids = teacher.ids;
  const at::Tensor& log_probs = teacher.log_probs;
  const std::int64_t count = teacher.count();
  at::Tensor fine = at::logical_and(ids >= 0, ids < vocabulary);
  fine.logical_and_(log_probs <= kSumSlack);  // false for NaN
  fine.narrow(1, 1, count - 1)
      .logical_and_(ids.narrow(1, 1, count - 1) > ids.narrow(1, 0, count - 1));
  if (teacher.is_sampled()) {
    const at::Tensor& weights = teacher.weights;
    fine.logical_and_(weights >= 0).logical_and_(weights <= std::numeric_limits<double>::max());
    fine.logical_and_(at::logical_or(weights == 0, at::isfinite(log_probs)));
    return at::all(fine).item<bool>();
  }
  const at::Tensor totals = log_probs.exp().sum(1, /*keepdim=*/true);
  fine.logical_and_(totals <= 1 + kSumSlack);
  if (count == vocabulary) fine.logical_and_(totals > 0);
  return at::all(fine).item<bool>();
}

/// Says which number is wrong; tensors of the CPU.
void check_rows(const SparseTeacher& teacher, std::int64_t vocabulary) {
  const std::int64_t count = teacher.count();
  for (std::int64_t row = 0; row < teacher.ids.size(0); ++row) {
    const std::int64_t offset = row * count;
    const auto* values = teacher.log_probs.const_data_ptr<double>() + offset;
    check_row_ids(teacher.ids.const_data_ptr<std::int64_t>() + offset, count, row, vocabulary);
    check_row_log_probs(values, count, row);
    if (teacher.is_sampled()) {
      check_row_weights(teacher.weights.const_data_ptr<double>() + offset, values, count, row);
    } else {
      check_row_sum(values, count, row, count == vocabulary);
    }
  }
}

}  // namespace

void check_device(const at::Tensor& x, const char* name, at::Device expected) {
  TORCH_CHECK(x.device() == expected, kOp, "`", name, "` is on ", x.device(),
              " and `student_hidden` on ", expected, ", all tensors must be on one device");
}

void check_sparse_signal(const at::Tensor& ids, std::initializer_list<NamedTensor> numbers,
                         std::int64_t vocabulary, double temperature) {
  TORCH_CHECK(ids.defined() && ids.dim() == 2 && ids.size(1) > 0 &&
                  (ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt),
              kOp, "`teacher.ids` must be int64 or int32 [N, K] with K > 0",
              ids.defined() ? c10::str(", is ", ids.scalar_type(), " ", ids.sizes())
                            : std::string(", is missing"));
  TORCH_CHECK(vocabulary > 0, kOp, "`teacher.vocabulary` must be above 0, is ", vocabulary);
  TORCH_CHECK(ids.size(1) <= vocabulary, kOp, "`teacher.ids` lists ", ids.size(1), " ids of ",
              vocabulary);
  TORCH_CHECK(std::isfinite(temperature) && temperature > 0, kOp,
              "`teacher.temperature` must be above 0, is ", temperature);
  for (const auto& [name, tensor] : numbers) {
    TORCH_CHECK(tensor.defined(), kOp, "`teacher.", name, "` is missing");
    TORCH_CHECK(tensor.sizes() == ids.sizes() &&
                    (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble),
                kOp, "`teacher.", name, "` must be fp32 or fp64 ", ids.sizes(), ", is ",
                tensor.scalar_type(), " ", tensor.sizes());
  }
}

void take_sparse_rows(const at::Tensor& ids, const at::Tensor& log_probs, const at::Tensor& weights,
                      DivergenceProblem& problem) {
  const auto rows = [&](const at::Tensor& x, at::ScalarType type) {
    return take_rows(problem, x.detach(), 0, problem.num_rows).to(type).contiguous();
  };
  SparseTeacher& teacher = problem.sparse;
  teacher.ids = rows(ids, at::kLong);
  teacher.log_probs = rows(log_probs, at::kDouble);
  if (weights.defined()) teacher.weights = rows(weights, at::kDouble);
  if (!teacher.ids.is_cpu() && all_fine(teacher, problem.vocabulary)) return;
  SparseTeacher on_host = teacher;
  for (at::Tensor* x : {&on_host.ids, &on_host.log_probs, &on_host.weights}) {
    if (x->defined()) *x = x->cpu();
  }
  check_rows(on_host, problem.vocabulary);
}

}  // namespace distill::ops
