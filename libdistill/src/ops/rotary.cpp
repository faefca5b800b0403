#include <distill/ops/rotary.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_call.h"
#include "ops/rotary_body.h"

namespace distill::ops {
at::Tensor rotary_turn(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin,
                       int direction, const MaybeQueue& queue) {
  // Heads may lie anywhere (a slice of a fused projection), elements of a head may not.
  const at::Tensor x = input.stride(2) == 1 || input.size(2) == 0 ? input : input.contiguous();
  const std::int64_t rows = x.size(0);
  at::Tensor out = at::empty(x.sizes(), x.options());
  with_kernel_type(x.scalar_type(), [&]<class T>() {
    using A = cpu::Accumulator<T>;
    const cpu::RotaryArgs<T> args{.x = read<T>(x),
                                  .row_stride = x.stride(0),
                                  .head_stride = x.stride(1),
                                  .cos = read<A>(cos),
                                  .sin = read<A>(sin),
                                  .out = write<T>(out),
                                  .heads = x.size(1),
                                  .half = x.size(2) / 2,
                                  .direction = static_cast<A>(direction)};
    if (queue) {
      const auto start = queue->kernels.rotary.template of<T>().turn;
      return check_started(start(args, rows, queue->stream), "rotary", x.device());
    }
    const auto kernel = cpu::typed_kernels<T>().rotary;
    at::parallel_for(0, rows, rows_per_task(x.size(1) * x.size(2)),
                     [&](std::int64_t begin, std::int64_t end) {
                       kernel(args, {begin, end});
                     });
  });
  return out;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Where the tensors lie.
at::Tensor turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  const DeviceScope scope(x, "rotary");
  return rotary_turn(x, cos, sin, direction, scope.queue());
}

struct Rotary : torch::autograd::Function<Rotary> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& cos,
                          const Variable& sin) {
    ctx->save_for_backward({cos, sin});
    return turn(x, cos, sin, 1);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rotary");
    const variable_list saved = ctx->get_saved_variables();
    return {turn(grads[0], saved[0], saved[1], -1), Variable(), Variable()};
  }
};

/// The table as the kernels read it; checked.
at::Tensor table(const at::Tensor& t, const at::Tensor& x, const char* name) {
  check_float(t, "rotary", name);
  check_same_device(t, x, "rotary", name);
  TORCH_CHECK(t.scalar_type() == at::kFloat || t.scalar_type() == accumulator_type(x.scalar_type()),
              "rotary: `", name, "` is ", t.scalar_type(), ", expected Float");
  TORCH_CHECK(t.dim() == 2 && t.size(0) == x.size(0) && t.size(1) * 2 == x.size(2), "rotary: `",
              name, "` is ", t.sizes(), ", expected [", x.size(0), ", ", x.size(2) / 2,
              "] for `x` ", x.sizes());
  TORCH_CHECK(!t.requires_grad(), "rotary: `", name, "` requires a gradient, which is not formed");
  return t.to(accumulator_type(x.scalar_type())).contiguous();
}

}  // namespace

at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  check_float(x, "rotary", "x");
  TORCH_CHECK(x.dim() == 3 && x.size(2) % 2 == 0, "rotary: `x` is ", x.sizes(),
              ", expected [N, heads, D] with an even D");
  const at::Tensor cos_table = table(cos, x, "cos");
  const at::Tensor sin_table = table(sin, x, "sin");
  if (needs_graph({x})) return Rotary::apply(x, cos_table, sin_table);
  return turn(x, cos_table, sin_table, 1);
}

}  // namespace distill::ops
