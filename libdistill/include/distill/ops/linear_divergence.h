#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/ops/workspace.h>
#include <distill/types/teacher_signal.h>

/// The heart of the library: projects student and teacher hidden states through their heads, forms
/// every logit-based loss term in one pass, and never holds N x V logits. Gradients are formed in
/// the forward pass, so nothing is projected twice.
namespace distill::ops {

/// P is the teacher's softmax, S the student's. Formulas and papers stand at the losses of the same
/// names (distill/losses).
enum class LogitTermKind {
  kForwardKl,      ///< KL(P || S)
  kReverseKl,      ///< KL(S || P)
  kJsd,            ///< beta KL(P || M) + (1 - beta) KL(S || M), M = beta P + (1 - beta) S
  kSkewForwardKl,  ///< KL(P || beta P + (1 - beta) S)
  kSkewReverseKl,  ///< KL(S || beta S + (1 - beta) P)
  kSymmetricKl,    ///< forward_weight KL(P || S) + reverse_weight KL(S || P)
  kTvd,            ///< sum |P - S| / 2
  kAdaptiveKl,     ///< both KLs, weighted by where the models differ
  kCrossEntropy,   ///< -log S(label)
};
constexpr std::array<std::string_view, 9> choice_names(LogitTermKind) {
  return {"forward_kl",   "reverse_kl", "jsd",         "skew_forward_kl", "skew_reverse_kl",
          "symmetric_kl", "tvd",        "adaptive_kl", "cross_entropy"};
}
/// How errors name a kind.
std::string_view name_of(LogitTermKind kind);

/// One term of the weighted sum.
struct LogitTerm {
  LogitTermKind kind = LogitTermKind::kForwardKl;
  double weight = 1.0;
  double temperature = 1.0;  ///< divides both models' logits; > 0. cross_entropy ignores it
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
  double beta = 0.5;         ///< jsd, skew_*: in (0, 1)
  double forward_weight = 0.5, reverse_weight = 0.5;  ///< symmetric_kl: >= 0
  double label_smoothing = 0.0;  ///< cross_entropy: share of the target spread over all ids; [0, 1)
  double z_loss = 0.0;  ///< cross_entropy: weight of log^2 of the softmax's denominator; >= 0
};

struct LinearDivergenceInput {
  at::Tensor student_hidden;  ///< [N, Hs] fp32, bf16 or fp64
  at::Tensor student_head;    ///< [V, Hs] same dtype
  types::LogitTransform student_transform;
  types::TeacherSignal
      teacher;         ///< needed by terms that compare with a teacher; never gets a gradient
  at::Tensor labels;   ///< int64 [N] in [0, V); needed by cross_entropy
  at::Tensor valid;    ///< bool [N]; undefined: all rows. Other rows may hold anything, NaN too
  at::Tensor weights;  ///< fp32 or fp64 [N], >= 0: factors of the rows in every term; undefined: 1
  /// Ids of the tokenizer: heads are often padded behind them, and padding takes no part in any
  /// softmax. 0: all rows. Above a head's rows: those.
  std::int64_t vocabulary = 0;
  /// Bound on the memory held beside inputs and gradients. On top come some hundred bytes a row.
  std::int64_t workspace_bytes = std::int64_t{256} << 20;
  /// Where that memory stays between calls; null: it goes back to the system after each.
  Workspace* workspace = nullptr;
};

struct LinearDivergenceResult {
  at::Tensor total;  ///< fp32 (fp64 for fp64 inputs) scalar with graph: sum of weight * term
  std::vector<at::Tensor> term_sums;  ///< unweighted sum of each term over valid rows, no graph
  std::int64_t count = 0;             ///< valid rows
};

/// Differentiable once in student_hidden and student_head (no work is done for one that needs no
/// gradient); a second derivative is refused. Logits are fp32 whatever the input type, the head's
/// gradient is accumulated in fp32. All softmaxes are over the ids that are real: the first
/// `vocabulary`, and when a term has a teacher the first min(V, Vt) at most (for cross_entropy
/// too). With no valid row the result is 0 with a live graph.
///
/// All tensors are on one device, which the result's are on too: the CPU or, in a build with CUDA,
/// an NVIDIA GPU, which takes at most 16 terms.
///
/// A TopKLogProbs teacher is compared over K + 1 classes: its ids, and all others as one. The value
/// is then at most that of the dense teacher, and equal for K = V. At another temperature than the
/// signal's own the tail is taken to be spread evenly, which makes it too large for T > 1.
/// SampledLogProbs serve forward_kl only, whose value and gradient they give without bias.
/// Throws c10::Error naming the argument on bad shapes, dtypes or values.
LinearDivergenceResult linear_divergence(const LinearDivergenceInput& input,
                                         std::span<const LogitTerm> terms);

}  // namespace distill::ops
