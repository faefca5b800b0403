// Registers the operators with LibTorch's dispatcher: torch.ops.distill.* in Python. Built into
// libdistill.so only; in a static library nobody would pull it in.

#include <algorithm>
#include <array>

#include <torch/library.h>

#include <distill/core/strings.h>
#include <distill/ops/linear_divergence.h>

namespace distill::ops {
namespace {

LogitTermKind kind_named(const std::string& name) {
  constexpr auto kNames = choice_names(LogitTermKind{});
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<LogitTermKind>(found - kNames.begin());
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  TORCH_CHECK(false, "distill::linear_divergence: `kind` is \"", name, "\"",
              core::did_you_mean(name, known), ", expected one of ", core::join(known));
}

at::Tensor linear_divergence_op(const at::Tensor& student_hidden, const at::Tensor& student_head,
                                const at::Tensor& teacher_hidden, const at::Tensor& teacher_head,
                                const std::string& kind, double temperature,
                                const std::optional<at::Tensor>& valid, double beta) {
  LogitTerm term{kind_named(kind), 1.0, temperature, true};
  TORCH_CHECK(term.kind != LogitTermKind::kCrossEntropy,
              "distill::linear_divergence: cross_entropy compares with labels, not with a teacher; "
              "use torch.nn.functional.cross_entropy, or the C++ interface for fused sums");
  term.beta = beta;
  if (term.kind == LogitTermKind::kSymmetricKl) {
    term.forward_weight = beta;
    term.reverse_weight = 1.0 - beta;
  }
  LinearDivergenceInput input;
  input.student_hidden = student_hidden;
  input.student_head = student_head;
  input.teacher = types::DenseHidden{teacher_hidden, teacher_head, {}};
  if (valid) input.valid = *valid;
  static Workspace kept;  // as long as the process, like LibTorch's own workspaces
  input.workspace = &kept;
  return linear_divergence(input, std::span(&term, 1)).total;
}

}  // namespace
}  // namespace distill::ops

TORCH_LIBRARY(distill, library) {
  library.def(
      "linear_divergence(Tensor student_hidden, Tensor student_head, Tensor teacher_hidden, "
      "Tensor teacher_head, str kind, float temperature=3.0, Tensor? valid=None, float beta=0.5) "
      "-> Tensor",
      &distill::ops::linear_divergence_op);
}
