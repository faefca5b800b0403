#include <distill/ops/attention.h>

#include <vector>

#include <torch/csrc/autograd/custom_function.h>

#include "ops/attention_brgemm.h"
#include "ops/attention_checks.h"
#include "ops/attention_sdpa.h"
#include "ops/kernel_call.h"
#include "ops/segments.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr const char* kOp = "packed_causal_attention";

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  check_queries(q, k, v, kOp);
  TORCH_CHECK(k.dim() == 3 && k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 &&
                  q.size(1) % k.size(1) == 0,
              kOp, ": `k` is ", k.sizes(), ", expected [", q.size(0), ", a divisor of ", q.size(1),
              ", ", q.size(2), "] for `q` ", q.sizes());
  TORCH_CHECK(v.dim() == 3 && v.size(0) == k.size(0) && v.size(1) == k.size(1), kOp, ": `v` is ",
              v.sizes(), ", expected [", k.size(0), ", ", k.size(1), ", Dv] for `k` ", k.sizes());
}

struct FusedAttention : torch::autograd::Function<FusedAttention> {
  static Variable forward(AutogradContext* ctx, const Variable& q, const Variable& k,
                          const Variable& v, std::span<const std::int64_t> segments,
                          const AttentionOptions& options) {
    const AttentionResult result = brgemm_attention({q, k, v, segments, options});
    ctx->save_for_backward({q, k, v, result.output, result.log_sums});
    ctx->saved_data["segments"] = std::vector<std::int64_t>(segments.begin(), segments.end());
    ctx->saved_data["scale"] = options.scale;
    ctx->saved_data["window"] = options.window;
    return result.output;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative(kOp);
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<std::int64_t> segments = ctx->saved_data["segments"].toIntVector();
    const AttentionOptions options{ctx->saved_data["scale"].toDouble(),
                                   ctx->saved_data["window"].toInt()};
    const AttentionGradients gradients = brgemm_attention_grad(
        {saved[0], saved[1], saved[2], segments, options}, {saved[3], saved[4]}, grads[0]);
    return {gradients.q, gradients.k, gradients.v, Variable(), Variable()};
  }
};

}  // namespace

at::Tensor packed_causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   std::span<const std::int64_t> segments,
                                   const AttentionOptions& options) {
  check(q, k, v);
  check_options(options, kOp);
  check_segments(segments, q.size(0), kOp);
  const AttentionProblem problem{q, k, v, segments, options};
  if (!brgemm_attention_fits(problem)) return sdpa_attention(problem);
  if (needs_graph({q, k, v})) return FusedAttention::apply(q, k, v, segments, options);
  return brgemm_attention(problem).output;
}

}  // namespace distill::ops
