#include <distill/nn/recomputed.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace distill::nn {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Lets the graph own a piece.
struct HeldPiece : torch::CustomClassHolder {
  explicit HeldPiece(Piece held) : piece(std::move(held)) {}
  Piece piece;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static variable_list forward(AutogradContext* ctx, const c10::intrusive_ptr<HeldPiece>& held,
                               at::TensorList inputs, at::TensorList parameters) {
    variable_list saved(inputs.begin(), inputs.end());
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["piece"] = c10::IValue::make_capsule(held);
    ctx->saved_data["num_inputs"] = static_cast<std::int64_t>(inputs.size());
    return held->piece(inputs.vec());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "recomputed: a second derivative was asked for (create_graph), there is only a "
                "first");
    const auto held =
        c10::static_intrusive_pointer_cast<HeldPiece>(ctx->saved_data["piece"].toCapsule());
    const auto num_inputs = static_cast<std::size_t>(ctx->saved_data["num_inputs"].toInt());
    const variable_list saved = ctx->get_saved_variables();
    const at::AutoGradMode with_graph(true);
    variable_list inputs, wanted;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < saved.size(); ++i) {
      const bool wants = saved[i].requires_grad();
      const bool is_input = i < num_inputs;
      const at::Tensor leaf = is_input ? saved[i].detach().set_requires_grad(wants) : saved[i];
      if (is_input) inputs.push_back(leaf);
      if (!wants) continue;
      wanted.push_back(leaf);
      places.push_back(i);
    }
    variable_list outputs, output_grads;
    const variable_list formed = held->piece(inputs);
    for (std::size_t i = 0; i < formed.size(); ++i) {
      if (!grads[i].defined() || !formed[i].requires_grad()) continue;
      outputs.push_back(formed[i]);
      output_grads.push_back(grads[i]);
    }
    variable_list result(saved.size() + 1);  // the piece itself has none
    if (outputs.empty()) return result;
    const variable_list found =
        torch::autograd::grad(outputs, wanted, output_grads, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < places.size(); ++i) result[places[i] + 1] = found[i];
    return result;
  }
};

bool wants_gradient(const std::vector<at::Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const at::Tensor& t) { return t.defined() && t.requires_grad(); });
}

}  // namespace

std::vector<at::Tensor> recomputed(const Piece& piece, const std::vector<at::Tensor>& inputs,
                                   const std::vector<at::Tensor>& parameters) {
  if (!at::GradMode::is_enabled() || !(wants_gradient(inputs) || wants_gradient(parameters))) {
    return piece(inputs);
  }
  return Recomputed::apply(c10::make_intrusive<HeldPiece>(piece), at::TensorList(inputs),
                           at::TensorList(parameters));
}

}  // namespace distill::nn
