#include <distill/ops/adamw.h>

#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include "ops/adamw_body.h"
#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

/// Elements for one task, and for one partial sum of sum_of_squares: a constant, so that the order
/// of additions does not depend on the number of threads.
constexpr std::int64_t kBlock = std::int64_t{1} << 15;

void check_state(const at::Tensor& tensor, const at::Tensor& master, at::ScalarType type,
                 const char* name) {
  check_float(tensor, "adamw_step_", name);
  check_same_device(tensor, master, "adamw_step_", name);
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

/// As it is stored, of fp32 or bf16.
template <class Body>
void with_stored_type(const at::Tensor& x, Body body) {
  if (x.scalar_type() == at::kBFloat16) {
    body.template operator()<cpu::Bf16>();
  } else {
    body.template operator()<float>();
  }
}

template <class G>
constexpr bool is_bf16 = sizeof(G) == sizeof(cpu::Bf16);

template <class G>
const cuda::AdamWKernels<G>& kernels_of(const DeviceQueue& queue) {
  if constexpr (is_bf16<G>) return queue.kernels.adamw.bf16;
  if constexpr (!is_bf16<G>) return queue.kernels.adamw.f32;
}

template <class T>
double squares_on_cpu(const at::Tensor& x) {
  const std::int64_t n = x.numel();
  std::vector<double> partials(static_cast<std::size_t>((n + kBlock - 1) / kBlock));
  const T* data = read<T>(x);
  at::parallel_for(0, std::ssize(partials), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t count = std::min(kBlock, n - i * kBlock);
      double& partial = partials[static_cast<std::size_t>(i)];
      if constexpr (is_bf16<T>) {
        partial = cpu::kernels().sum_of_squares_bf16(data + i * kBlock, count);
      } else {
        partial = cpu::kernels().sum_of_squares_f32(data + i * kBlock, count);
      }
    }
  });
  double total = 0;
  for (const double partial : partials) total += partial;
  return total;
}

/// Every stretch of every tensor has a place of its own; the host waits once.
double squares_on_device(std::span<const at::Tensor> tensors, const DeviceQueue& queue) {
  std::int64_t count = 0;
  for (const at::Tensor& x : tensors) count += cuda::num_stretches(x.numel());
  const at::Tensor parts = at::empty({count}, tensors.front().options().dtype(at::kDouble));
  auto* place = write<double>(parts);
  for (const at::Tensor& x : tensors) {
    with_stored_type(x, [&]<class T>() {
      const auto start = kernels_of<T>(queue).squares;
      check_started(start(read<T>(x), x.numel(), place, queue.stream), "sum_of_squares",
                    x.device());
    });
    place += cuda::num_stretches(x.numel());
  }
  return parts.sum().item<double>();
}

/// Tells autograd that a saved copy of the tensor is out of date.
void mark_changed(const at::Tensor& tensor) {
  if (tensor.defined() && !tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

}  // namespace

void adamw_update(const AdamWTensors& tensors, const AdamWStep& options, const MaybeQueue& queue) {
  const std::int64_t count = tensors.master.numel();
  with_stored_type(tensors.gradient, [&]<class G>() {
    cpu::AdamWArgs<G> args = fold<G>(options);
    args.master = write<float>(tensors.master);
    args.compute = write<cpu::Bf16>(tensors.compute);
    args.gradient = read<G>(tensors.gradient);
    args.exp_avg = write<float>(tensors.exp_avg);
    args.exp_avg_sq = write<float>(tensors.exp_avg_sq);
    if (queue) {
      const auto start = kernels_of<G>(*queue).step;
      return check_started(start(args, count, queue->stream), "adamw_step_",
                           tensors.master.device());
    }
    at::parallel_for(0, count, kBlock, [&](std::int64_t begin, std::int64_t end) {
      if constexpr (is_bf16<G>) {
        cpu::kernels().adamw_bf16(args, {begin, end});
      } else {
        cpu::kernels().adamw_f32(args, {begin, end});
      }
    });
  });
}

double total_of_squares(std::span<const at::Tensor> tensors, const MaybeQueue& queue) {
  if (queue) return squares_on_device(tensors, *queue);
  double total = 0;
  for (const at::Tensor& x : tensors) {
    with_stored_type(x, [&]<class T>() { total += squares_on_cpu<T>(x); });
  }
  return total;
}

void adamw_step_(const at::Tensor& master, const at::Tensor& compute, const at::Tensor& gradient,
                 const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                 const AdamWStep& options) {
  TORCH_CHECK(master.defined(), "adamw_step_: `master` is undefined, expected a tensor");
  check_state(master, master, at::kFloat, "master");
  check_state(exp_avg, master, at::kFloat, "exp_avg");
  check_state(exp_avg_sq, master, at::kFloat, "exp_avg_sq");
  if (compute.defined()) check_state(compute, master, at::kBFloat16, "compute");
  check_float(gradient, "adamw_step_", "gradient");
  check_options(options);
  const at::Tensor grad = gradient.contiguous();
  const at::ScalarType type = grad.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
  check_state(grad, master, type, "gradient");

  const DeviceScope scope(master, "adamw_step_");
  adamw_update({master, compute, grad, exp_avg, exp_avg_sq}, options, scope.queue());
  for (const at::Tensor* changed : {&master, &compute, &exp_avg, &exp_avg_sq}) {
    mark_changed(*changed);
  }
}

double sum_of_squares(std::span<const at::Tensor> tensors) {
  std::vector<at::Tensor> dense;
  for (const at::Tensor& x : tensors) {
    check_float(x, "sum_of_squares", "x");
    TORCH_CHECK(x.scalar_type() != at::kDouble,
                "sum_of_squares: `x` is Double, expected Float or BFloat16");
    check_same_device(x, tensors.front(), "sum_of_squares", "x");
    dense.push_back(x.contiguous());
  }
  if (dense.empty()) return 0.0;
  const DeviceScope scope(dense.front(), "sum_of_squares");
  return total_of_squares(dense, scope.queue());
}

double sum_of_squares(const at::Tensor& x) {
  return sum_of_squares(std::span(&x, 1));
}

}  // namespace distill::ops
