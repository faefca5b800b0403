#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/ops/linear_divergence.h>

/// What linear_divergence asks of a device: checked inputs, and the sums and gradients to form.
namespace distill::ops {

struct ModelSide {
  at::Tensor hidden;  ///< [N, H]
  at::Tensor head;    ///< [V, H], rows dense
  types::LogitTransform transform;
};

/// A teacher known at K ids of each row that counts; all dense.
struct SparseTeacher {
  at::Tensor ids;        ///< int64 [n, K]; undefined: the teacher is dense or there is none
  at::Tensor log_probs;  ///< fp64 [n, K]
  at::Tensor weights;    ///< fp64 [n, K] of samples; undefined: ids are the likeliest
  double temperature = 1.0;

  bool defined() const { return ids.defined(); }
  bool is_sampled() const { return weights.defined(); }
  std::int64_t count() const { return ids.size(1); }
};

struct DivergenceProblem {
  ModelSide student;
  ModelSide teacher;          ///< hidden undefined: none, or one of the next two
  at::Tensor teacher_logits;  ///< [N, Vt] or undefined
  SparseTeacher sparse;
  at::Tensor rows;              ///< int64 [n]: which of the N rows count; undefined: all
  at::Tensor labels;            ///< int64 [n] dense, of those rows; undefined: no term needs them
  at::Tensor row_weights;       ///< fp64 [n] dense, of those rows; undefined: all 1
  std::int64_t num_rows = 0;    ///< n
  std::int64_t vocabulary = 0;  ///< ids both models have; > 0
  std::vector<LogitTerm> terms;
  std::vector<double> temperatures;          ///< each once
  std::vector<std::int64_t> temperature_of;  ///< index into temperatures, for each term
  bool needs_hidden_grad = false;
  bool needs_head_grad = false;
  std::int64_t workspace_bytes = 0;
  Workspace* workspace = nullptr;  ///< never null in a checked problem

  /// The teacher's logits are there, or are formed.
  bool has_dense_teacher() const { return teacher.hidden.defined() || teacher_logits.defined(); }
  /// Of every tensor.
  at::Device device() const { return student.hidden.device(); }
  bool needs_gradient() const { return needs_hidden_grad || needs_head_grad; }
};

struct DivergenceSums {
  std::vector<double> values;  ///< of each term, without weight and T^2
  at::Tensor hidden_grad;      ///< [n, H] fp32 or fp64; undefined unless asked for
  at::Tensor head_grad;        ///< [V, H] in the head's type; undefined unless asked for
};

bool needs_teacher(LogitTermKind kind);

/// `scale_by_t2`'s factor.
double value_factor(const LogitTerm& term);

/// Rows [begin, begin + count) of the counted rows of `x` [N, ...].
at::Tensor take_rows(const DivergenceProblem& problem, const at::Tensor& x, std::int64_t begin,
                     std::int64_t count);

/// What forms the sums on some device.
using DivergenceBody = DivergenceSums (*)(const DivergenceProblem& problem);

/// By the body for the problem's device, types and machine. Nothing is recorded for backward; the
/// problem has rows and a workspace.
DivergenceSums form_sums(const DivergenceProblem& problem);

/// linear_divergence by that body.
LinearDivergenceResult linear_divergence_by(DivergenceBody body, const LinearDivergenceInput& input,
                                            std::span<const LogitTerm> terms);

/// Any CPU, any of the types: matrix products through at::mm.
DivergenceSums linear_divergence_dense_cpu(const DivergenceProblem& problem);

/// bf16 on a CPU with the instructions for it.
bool can_use_brgemm(const DivergenceProblem& problem);
DivergenceSums linear_divergence_brgemm_cpu(const DivergenceProblem& problem);

/// NVIDIA's GPUs; throws in a build without CUDA.
DivergenceSums linear_divergence_cuda(const DivergenceProblem& problem);

}  // namespace distill::ops
