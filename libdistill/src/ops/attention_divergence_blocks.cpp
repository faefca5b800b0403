// Shapes: B query rows of one segment, K keys they may see, G = heads / kv_heads.
#include "ops/attention_divergence_blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

/// Query rows of one segment that are treated together.
struct Block {
  std::int64_t segment_begin = 0;
  std::int64_t num_keys = 0;  ///< up to its last query; what lies behind is not looked at
  at::Tensor rows;            ///< int64 [B]
  at::Tensor hidden;          ///< bool [B, K], keys in a query's future
};

/// A side's block in the type that sums are kept in.
struct Side {
  at::Tensor q;         ///< [kv_heads, G * B, D], scaled
  at::Tensor k;         ///< [kv_heads, K, D]
  at::Tensor log_maps;  ///< [heads, B, K], 0 at hidden keys
  at::Tensor maps;      ///< [heads, B, K], 0 at hidden keys
};

Side form_maps(const types::AttentionInputs& side, const Block& block, at::ScalarType type) {
  const std::int64_t heads = side.q.size(1), size = side.q.size(2), kv_heads = side.k.size(1);
  const std::int64_t count = block.rows.size(0);
  Side result;
  result.q = (at::index_select(side.q, 0, block.rows).to(type) * side.scale)
                 .view({count, kv_heads, heads / kv_heads, size})
                 .permute({1, 2, 0, 3})
                 .reshape({kv_heads, heads / kv_heads * count, size});
  result.k = side.k.narrow(0, block.segment_begin, block.num_keys).to(type).transpose(0, 1);
  at::Tensor scores =
      at::bmm(result.q, result.k.transpose(1, 2)).view({heads, count, block.num_keys});
  scores.masked_fill_(block.hidden, -std::numeric_limits<double>::infinity());
  result.log_maps = at::log_softmax(scores, -1);
  result.maps = at::exp(result.log_maps);
  // 0 log 0 is 0.
  result.log_maps.masked_fill_(block.hidden, 0.0);
  return result;
}

/// What one block adds: the value, and dL/d(scores) of the student, [heads, B, K].
struct BlockSums {
  double value = 0;
  at::Tensor score_grad;
};

double weighted(const at::Tensor& per_query, const at::Tensor& weights) {
  return (per_query.to(at::kDouble) * weights.to(at::kDouble)).sum().item<double>();
}

/// Head by head. `weights` [B, 1].
BlockSums compare_heads(const Side& student, const Side& teacher, const at::Tensor& weights,
                        bool with_gradient) {
  const auto heads = static_cast<double>(student.maps.size(0));
  BlockSums sums;
  at::Tensor terms = teacher.log_maps - student.log_maps;
  terms.mul_(teacher.maps);
  sums.value = weighted(terms.sum(-1).sum(0), weights.squeeze(1)) / heads;
  if (with_gradient) {
    sums.score_grad = (student.maps - teacher.maps).mul_(weights / heads);
  }
  return sums;
}

/// The log of the average map, [B, K]; 0 at hidden keys.
at::Tensor log_average(const Side& side) {
  return at::logsumexp(side.log_maps, 0) - std::log(static_cast<double>(side.maps.size(0)));
}

/// The averages over heads. The gradient of score hij is S_hij sum_k R_hik - R_hij with
/// R = T S_h / (heads S), T and S the averages; R is formed from logarithms, so that no quotient of
/// small numbers can overflow.
BlockSums compare_averages(const Side& student, const Side& teacher, const at::Tensor& weights,
                           bool with_gradient) {
  const at::Tensor log_student = log_average(student);
  const at::Tensor teacher_map = teacher.maps.mean(0);
  BlockSums sums;
  sums.value =
      weighted((teacher_map * (log_average(teacher) - log_student)).sum(-1), weights.squeeze(1));
  if (with_gradient) {
    const auto heads = static_cast<double>(student.maps.size(0));
    const at::Tensor shares =
        at::exp(student.log_maps - log_student).mul_(teacher_map * (weights / heads));
    sums.score_grad = student.maps * shares.sum(-1, true) - shares;
  }
  return sums;
}

class Sum {
 public:
  Sum(const AttentionDivergenceInput& input, bool with_gradients)
      : input_(input), type_(accumulator_type(input.student.q.scalar_type())) {
    if (!with_gradients) return;
    const auto options = input.student.q.options().dtype(type_);
    sums_.q_grad = at::zeros(input.student.q.sizes(), options);
    sums_.k_grad = at::zeros(input.student.k.sizes(), options);
  }

  AttentionDivergenceSums run() {
    const std::vector<std::int64_t> rows = valid_rows();
    auto next = rows.begin();
    for (std::size_t s = 1; s < input_.segments.size(); ++s) {
      const auto end = std::lower_bound(next, rows.end(), input_.segments[s]);
      while (next != end) {
        const std::int64_t begin = input_.segments[s - 1];
        const auto stop = next + std::min<std::int64_t>(end - next, rows_at_a_time(end[-1], begin));
        add(make_block({next, stop}, begin));
        next = stop;
      }
    }
    return sums_;
  }

 private:
  std::vector<std::int64_t> valid_rows() const {
    const at::Tensor rows = input_.valid.defined()
                                ? at::nonzero(input_.valid).squeeze(1).to(at::kCPU)
                                : at::arange(input_.student.q.size(0), at::kLong);
    const auto* data = rows.const_data_ptr<std::int64_t>();
    return {data, data + rows.numel()};
  }

  /// About four maps of each side are held at a time.
  std::int64_t rows_at_a_time(std::int64_t last, std::int64_t segment_begin) const {
    const std::int64_t heads = input_.student.q.size(1) + input_.teacher.q.size(1);
    const std::int64_t width =
        (last - segment_begin + 1) * heads * 4 * static_cast<std::int64_t>(c10::elementSize(type_));
    return std::max<std::int64_t>(1, input_.workspace_bytes / width);
  }

  Block make_block(const std::vector<std::int64_t>& rows, std::int64_t segment_begin) const {
    Block block;
    block.segment_begin = segment_begin;
    block.num_keys = rows.back() - segment_begin + 1;
    block.rows = at::tensor(rows, input_.student.q.options().dtype(at::kLong));
    const at::Tensor keys = at::arange(block.num_keys, block.rows.options()) + segment_begin;
    block.hidden = keys.unsqueeze(0) > block.rows.unsqueeze(1);
    return block;
  }

  void add(const Block& block) {
    const at::Tensor weights =
        (input_.weights.defined()
             ? at::index_select(input_.weights, 0, block.rows).to(type_)
             : at::ones({block.rows.size(0)}, input_.student.q.options().dtype(type_)))
            .unsqueeze(1);
    const Side student = form_maps(input_.student, block, type_);
    const Side teacher = form_maps(input_.teacher, block, type_);
    const bool same_heads = student.maps.size(0) == teacher.maps.size(0);
    const BlockSums sums = (same_heads ? compare_heads : compare_averages)(
        student, teacher, weights, sums_.q_grad.defined());
    sums_.value += sums.value;
    if (sums_.q_grad.defined()) add_gradients(block, student, sums.score_grad);
  }

  void add_gradients(const Block& block, const Side& student, const at::Tensor& score_grad) {
    const std::int64_t kv_heads = student.k.size(0), size = student.k.size(2);
    const std::int64_t count = block.rows.size(0), heads = score_grad.size(0);
    const at::Tensor grouped =
        score_grad.view({kv_heads, heads / kv_heads * count, block.num_keys});
    const at::Tensor q_grad = at::bmm(grouped, student.k)
                                  .view({kv_heads, heads / kv_heads, count, size})
                                  .permute({2, 0, 1, 3})
                                  .reshape({count, heads, size});
    sums_.q_grad.index_copy_(0, block.rows, q_grad * input_.student.scale);
    sums_.k_grad.narrow(0, block.segment_begin, block.num_keys)
        .add_(at::bmm(grouped.transpose(1, 2), student.q).transpose(0, 1));
  }

  const AttentionDivergenceInput& input_;
  at::ScalarType type_;
  AttentionDivergenceSums sums_;
};

}  // namespace

AttentionDivergenceSums sum_attention_divergence(const AttentionDivergenceInput& input,
                                                 bool with_gradients) {
  return Sum(input, with_gradients).run();
}

}  // namespace distill::ops
