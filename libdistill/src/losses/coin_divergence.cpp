#include "losses/coin_divergence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>

namespace distill::losses {
namespace {

/// One model's coin, from the log-probability of heads.
struct Coin {
  explicit Coin(const at::Tensor& log_heads)
      : log_p(log_heads), p(at::exp(log_heads)), q(-at::expm1(log_heads)), log_q(q.log()) {}
  at::Tensor log_p, p, q, log_q;  // q = 1 - p, without cancellation
};

at::Tensor kl(const Coin& a, const Coin& b) {
  return a.p * (a.log_p - b.log_p) + a.q * (a.log_q - b.log_q);
}

/// In [-1e4, -1e-7], with the slope of the argument everywhere.
at::Tensor kept_inside(const at::Tensor& log_probs) {
  constexpr double kLeast = -1e4;
  constexpr double kMost = -1e-7;
  return log_probs + (at::clamp(log_probs, kLeast, kMost) - log_probs).detach();
}

}  // namespace

at::Tensor coin_divergence(AlmDivergence divergence, const at::Tensor& teacher,
                           const at::Tensor& student, double temperature) {
  const Coin t(at::clamp(teacher.detach(), -1e4, -1e-7) / temperature);
  const Coin s(kept_inside(student) / temperature);
  switch (divergence) {
    case AlmDivergence::kReverseKl:
      return kl(s, t);
    case AlmDivergence::kTvd:
      return (s.p - t.p).abs();
    case AlmDivergence::kKl:
      break;
  }
  return kl(t, s);
}

}  // namespace distill::losses
