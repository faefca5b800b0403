#include <distill/ops/adamw.h>

#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

/// Elements for one task, and for one partial sum of sum_of_squares: a constant, so that the order
/// of additions does not depend on the number of threads.
constexpr std::int64_t kBlock = std::int64_t{1} << 15;

void check_state(const at::Tensor& tensor, const at::Tensor& master, at::ScalarType type,
                 const char* name) {
  check_float_on_cpu(tensor, "adamw_step_", name);
  TORCH_CHECK(tensor.scalar_type() == type, "adamw_step_: `", name, "` is ", tensor.scalar_type(),
              ", expected ", type);
  TORCH_CHECK(tensor.sizes() == master.sizes(), "adamw_step_: `", name, "` is ", tensor.sizes(),
              ", expected ", master.sizes(), " as `master`");
  TORCH_CHECK(tensor.is_contiguous(), "adamw_step_: `", name, "` is not contiguous");
}

void check_options(const AdamWStep& options) {
  TORCH_CHECK(options.step >= 1, "adamw_step_: `step` is ", options.step, ", expected 1 or more");
  TORCH_CHECK(options.beta1 >= 0 && options.beta1 < 1, "adamw_step_: `beta1` is ", options.beta1,
              ", expected a number in [0, 1)");
  TORCH_CHECK(options.beta2 >= 0 && options.beta2 < 1, "adamw_step_: `beta2` is ", options.beta2,
              ", expected a number in [0, 1)");
}

template <class G>
cpu::AdamWArgs<G> fold(const AdamWStep& o) {
  const double steps = static_cast<double>(o.step);
  const double correction1 = 1.0 - std::pow(o.beta1, steps);
  const double correction2 = 1.0 - std::pow(o.beta2, steps);
  cpu::AdamWArgs<G> args;
  args.gradient_scale = static_cast<float>(o.gradient_scale);
  args.beta1 = static_cast<float>(o.beta1);
  args.one_minus_beta1 = static_cast<float>(1.0 - o.beta1);
  args.beta2 = static_cast<float>(o.beta2);
  args.one_minus_beta2 = static_cast<float>(1.0 - o.beta2);
  args.decay = static_cast<float>(1.0 - o.lr * o.weight_decay);
  args.step_size = static_cast<float>(o.lr / correction1);
  args.rsqrt_correction = static_cast<float>(1.0 / std::sqrt(correction2));
  args.eps = static_cast<float>(o.eps);
  return args;
}

/// Tells autograd that a saved copy of the tensor is out of date.
void mark_changed(const at::Tensor& tensor) {
  if (tensor.defined() && !tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

}  // namespace

void adamw_step_(const at::Tensor& master, const at::Tensor& compute, const at::Tensor& gradient,
                 const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                 const AdamWStep& options) {
  TORCH_CHECK(master.defined(), "adamw_step_: `master` is undefined, expected a tensor");
  check_state(master, master, at::kFloat, "master");
  check_state(exp_avg, master, at::kFloat, "exp_avg");
  check_state(exp_avg_sq, master, at::kFloat, "exp_avg_sq");
  if (compute.defined()) check_state(compute, master, at::kBFloat16, "compute");
  check_float_on_cpu(gradient, "adamw_step_", "gradient");
  check_options(options);
  const at::Tensor grad = gradient.contiguous();
  const at::ScalarType type = grad.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
  check_state(grad, master, type, "gradient");

  const auto run = [&]<class G>(void (*kernel)(const cpu::AdamWArgs<G>&, cpu::Range)) {
    cpu::AdamWArgs<G> args = fold<G>(options);
    args.master = write<float>(master);
    args.compute = write<cpu::Bf16>(compute);
    args.gradient = read<G>(grad);
    args.exp_avg = write<float>(exp_avg);
    args.exp_avg_sq = write<float>(exp_avg_sq);
    at::parallel_for(0, master.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
      kernel(args, {begin, end});
    });
  };
  if (type == at::kBFloat16) {
    run(cpu::kernels().adamw_bf16);
  } else {
    run(cpu::kernels().adamw_f32);
  }
  for (const at::Tensor* changed : {&master, &compute, &exp_avg, &exp_avg_sq}) {
    mark_changed(*changed);
  }
}

double sum_of_squares(const at::Tensor& x) {
  check_float_on_cpu(x, "sum_of_squares", "x");
  TORCH_CHECK(x.scalar_type() != at::kDouble,
              "sum_of_squares: `x` is Double, expected Float or BFloat16");
  const at::Tensor dense = x.contiguous();
  const std::int64_t n = dense.numel();
  std::vector<double> partials(static_cast<std::size_t>((n + kBlock - 1) / kBlock));
  const auto run = [&]<class T>(double (*kernel)(const T*, std::int64_t)) {
    const T* data = read<T>(dense);
    at::parallel_for(0, std::ssize(partials), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        partials[static_cast<std::size_t>(i)] =
            kernel(data + i * kBlock, std::min(kBlock, n - i * kBlock));
      }
    });
  };
  if (dense.scalar_type() == at::kBFloat16) {
    run(cpu::kernels().sum_of_squares_bf16);
  } else {
    run(cpu::kernels().sum_of_squares_f32);
  }
  double total = 0;
  for (const double partial : partials) total += partial;
  return total;
}

}  // namespace distill::ops
