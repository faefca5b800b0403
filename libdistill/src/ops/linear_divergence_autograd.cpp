#include "ops/linear_divergence_autograd.h"

#include <ATen/ops/mul.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/engine.h>

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Ties a gradient to the inputs it came from, so that differentiating it again is refused and
/// does not pass for zero.
struct RefuseSecondDerivative : torch::autograd::Function<RefuseSecondDerivative> {
  static Variable forward(AutogradContext*, const Variable& gradient, const Variable&,
                          const Variable&) {
    return gradient.detach();
  }
  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false,
                "linear_divergence can be differentiated only once: its gradients are formed in "
                "the forward pass and have no derivative of their own");
  }
};

using SavedData = decltype(AutogradContext::saved_data);

struct FormedGradients : torch::autograd::Function<FormedGradients> {
  static Variable forward(AutogradContext* context, const Variable& hidden, const Variable& head,
                          double total, const DivergenceProblem& problem,
                          const DivergenceSums& sums) {
    auto& saved = context->saved_data;
    saved["hidden"] = hidden;
    saved["head"] = head;
    saved["needs_hidden"] = problem.needs_hidden_grad;
    saved["needs_head"] = problem.needs_head_grad;
    saved["rows"] = problem.rows;
    saved["hidden_grad"] = sums.hidden_grad;
    saved["head_grad"] = sums.head_grad;
    saved["handed_on"] = false;
    const auto type = head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return at::scalar_tensor(total, head.options().dtype(type));
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    auto& saved = context->saved_data;
    const Variable hidden = saved["hidden"].toTensor();
    const Variable head = saved["head"].toTensor();
    Variable hidden_grad;
    Variable head_grad;
    {
      const at::NoGradGuard guard;
      const at::Tensor factor = incoming[0].detach();
      if (saved["needs_hidden"].toBool()) {
        hidden_grad = expand_rows(hidden, saved["rows"].toTensor(),
                                  at::mul(saved["hidden_grad"].toTensor(), factor));
      }
      if (saved["needs_head"].toBool()) {
        TORCH_CHECK(
            !saved["handed_on"].toBool(),
            "linear_divergence: an earlier backward pass has taken the gradient of the head; "
            "give retain_graph to it when the graph is used again");
        head_grad = scaled(saved, factor);
        if (!head_grad.defined()) head_grad = at::zeros(head.sizes(), head.options());
      }
    }
    if (at::GradMode::is_enabled()) {
      for (Variable* gradient : {&hidden_grad, &head_grad}) {
        if (gradient->defined()) *gradient = RefuseSecondDerivative::apply(*gradient, hidden, head);
      }
    }
    return {hidden_grad, head_grad, Variable(), Variable(), Variable()};
  }

 private:
  /// The formed gradient of the head times `factor`; undefined stands for zeros. A head is large:
  /// it is handed on as it is unless the graph is used again.
  static at::Tensor scaled(SavedData& saved, const at::Tensor& factor) {
    const at::Tensor formed = saved["head_grad"].toTensor();
    if (!formed.defined()) return formed;
    if (torch::autograd::get_current_graph_task_keep_graph()) return at::mul(formed, factor);
    saved["head_grad"] = at::Tensor();
    saved["handed_on"] = true;
    return factor.item<double>() == 1.0 ? formed : formed.mul_(factor);
  }

  /// Rows that did not count get zeros.
  static at::Tensor expand_rows(const at::Tensor& hidden, const at::Tensor& rows,
                                const at::Tensor& formed) {
    const at::Tensor typed = formed.to(hidden.scalar_type());
    if (!rows.defined()) return typed;
    return at::zeros(hidden.sizes(), typed.options()).index_copy_(0, rows, typed);
  }
};

}  // namespace

at::Tensor with_gradients(double total, const LinearDivergenceInput& input,
                          const DivergenceProblem& problem, const DivergenceSums& sums) {
  return FormedGradients::apply(input.student_hidden, input.student_head, total, problem, sums);
}

}  // namespace distill::ops
