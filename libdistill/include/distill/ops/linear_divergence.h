#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

/// The heart of the library: projects student and teacher hidden states through their heads, forms
/// every logit-based loss term in one pass, and never holds N x V logits. Gradients are formed in
/// the forward pass, so nothing is projected twice.
namespace distill::ops {

enum class LogitTermKind {
  kForwardKl,     ///< KL(teacher || student)
  kCrossEntropy,  ///< -log p_student(label)
};
constexpr std::array<std::string_view, 2> choice_names(LogitTermKind) {
  return {"forward_kl", "cross_entropy"};
}

/// One term of the weighted sum.
struct LogitTerm {
  LogitTermKind kind = LogitTermKind::kForwardKl;
  double weight = 1.0;
  double temperature = 1.0;  ///< divides both models' logits; > 0. cross_entropy ignores it
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
};

struct LinearDivergenceInput {
  at::Tensor student_hidden;  ///< [N, Hs] fp32, bf16 or fp64
  at::Tensor student_head;    ///< [V, Hs] same dtype
  types::LogitTransform student_transform;
  types::TeacherSignal
      teacher;        ///< needed by terms that compare with a teacher; never gets a gradient
  at::Tensor labels;  ///< int64 [N] in [0, V); needed by cross_entropy
  at::Tensor valid;   ///< bool [N]; undefined: all rows. Other rows may hold anything, NaN too
  /// Bound on the logits held at once, whatever N and V; never less than a few rows. The fp32 sum
  /// of a bf16 head's gradient, V x Hs, comes on top where it takes more than half of it.
  std::int64_t workspace_bytes = std::int64_t{256} << 20;
};

struct LinearDivergenceResult {
  at::Tensor total;  ///< fp32 (fp64 for fp64 inputs) scalar with graph: sum of weight * term
  std::vector<at::Tensor> term_sums;  ///< unweighted sum of each term over valid rows, no graph
  std::int64_t count = 0;             ///< valid rows
};

/// Differentiable once in student_hidden and student_head (no work is done for one that needs no
/// gradient); a second derivative is refused. Logits are fp32 whatever the input type, the head's
/// gradient is accumulated in fp32. Where student and teacher vocabularies differ in size, both
/// softmaxes (cross_entropy's too) are restricted to the first min(V, Vt) ids when a term has a
/// teacher. With no valid row the result is 0 with a live graph. Throws c10::Error naming the
/// argument on bad shapes, dtypes or values.
LinearDivergenceResult linear_divergence(const LinearDivergenceInput& input,
                                         std::span<const LogitTerm> terms);

}  // namespace distill::ops
