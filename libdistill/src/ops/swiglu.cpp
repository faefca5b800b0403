#include <distill/ops/swiglu.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_call.h"
#include "ops/swiglu_body.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// [rows, I] with dense rows: a view where the strides allow it (halves of a fused projection).
at::Tensor as_rows(const at::Tensor& t) {
  const std::int64_t width = t.size(-1);
  const at::Tensor rows = t.reshape({width == 0 ? 0 : t.numel() / width, width});
  return rows.stride(1) == 1 || width <= 1 ? rows : rows.contiguous();
}

template <class T>
cpu::SwigluArgs<T> input_args(const at::Tensor& gate, const at::Tensor& up) {
  return {.gate = read<T>(gate),
          .up = read<T>(up),
          .grad = nullptr,
          .gate_stride = gate.stride(0),
          .up_stride = up.stride(0),
          .width = gate.size(1),
          .out = nullptr,
          .grad_gate = nullptr,
          .grad_up = nullptr};
}

}  // namespace

at::Tensor swiglu_forward(const at::Tensor& gate, const at::Tensor& up, at::IntArrayRef shape,
                          const MaybeQueue& queue) {
  at::Tensor out = at::empty(shape, gate.options());
  with_kernel_type(gate.scalar_type(), [&]<class T>() {
    cpu::SwigluArgs<T> args = input_args<T>(gate, up);
    args.out = write<T>(out);
    if (queue) {
      const auto start = queue->kernels.swiglu.template of<T>().forward;
      return check_started(start(args, gate.size(0), queue->stream), "swiglu", gate.device());
    }
    const auto kernel = cpu::typed_kernels<T>().swiglu;
    at::parallel_for(0, gate.size(0), rows_per_task(gate.size(1)),
                     [&](std::int64_t begin, std::int64_t end) {
                       kernel(args, {begin, end});
                     });
  });
  return out;
}

SwigluGradients swiglu_backward(const at::Tensor& gate, const at::Tensor& up,
                                const at::Tensor& grad, SwigluWanted wanted,
                                const MaybeQueue& queue) {
  SwigluGradients out;
  if (wanted.gate) out.gate = at::empty(grad.sizes(), grad.options());
  if (wanted.up) out.up = at::empty(grad.sizes(), grad.options());
  with_kernel_type(gate.scalar_type(), [&]<class T>() {
    cpu::SwigluArgs<T> args = input_args<T>(gate, up);
    args.grad = read<T>(grad);
    args.grad_gate = write<T>(out.gate);
    args.grad_up = write<T>(out.up);
    if (queue) {
      const auto start = queue->kernels.swiglu.template of<T>().backward;
      return check_started(start(args, gate.size(0), queue->stream), "swiglu", gate.device());
    }
    const auto kernel = cpu::typed_kernels<T>().swiglu_grad;
    at::parallel_for(0, gate.size(0), rows_per_task(gate.size(1)),
                     [&](std::int64_t begin, std::int64_t end) {
                       kernel(args, {begin, end});
                     });
  });
  return out;
}

namespace {

/// gate and up as from as_rows, where they lie.
at::Tensor run_forward(const at::Tensor& gate, const at::Tensor& up, at::IntArrayRef shape) {
  const DeviceScope scope(gate, "swiglu");
  return swiglu_forward(gate, up, shape, scope.queue());
}

struct Swiglu : torch::autograd::Function<Swiglu> {
  static Variable forward(AutogradContext* ctx, const Variable& gate, const Variable& up) {
    const at::Tensor gate_rows = as_rows(gate);
    const at::Tensor up_rows = as_rows(up);
    ctx->save_for_backward({gate_rows, up_rows});
    return run_forward(gate_rows, up_rows, gate.sizes());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("swiglu");
    const variable_list saved = ctx->get_saved_variables();
    const DeviceScope scope(saved[0], "swiglu");
    const SwigluGradients out =
        swiglu_backward(saved[0], saved[1], grads[0].contiguous(),
                        {ctx->needs_input_grad(0), ctx->needs_input_grad(1)}, scope.queue());
    return {out.gate, out.up};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  check_float(gate, "swiglu", "gate");
  check_same_type(up, gate, "swiglu", "up");
  TORCH_CHECK(gate.dim() >= 1, "swiglu: `gate` is a scalar, expected [..., I]");
  TORCH_CHECK(up.sizes() == gate.sizes(), "swiglu: `up` is ", up.sizes(), ", expected ",
              gate.sizes(), " as `gate`");
  if (needs_graph({gate, up})) return Swiglu::apply(gate, up);
  return run_forward(as_rows(gate), as_rows(up), gate.sizes());
}

}  // namespace distill::ops
