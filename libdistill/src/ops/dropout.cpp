#include <distill/ops/dropout.h>

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/dropout_body.h"
#include "ops/kernel_call.h"

namespace distill::ops {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

std::uint32_t threshold_of(const Dropout& options) {
  constexpr double kMost = 4294967295.0;
  return static_cast<std::uint32_t>(std::min(std::ldexp(options.p, 32), kMost));
}

void run_kernel(const at::Tensor& x, const Dropout& options, at::Tensor& out, bool add) {
  with_kernel_type(x.scalar_type(), [&]<class T>() {
    const cpu::DropoutArgs<T> args{
        .x = read<T>(x),
        .out = write<T>(out),
        .seed = options.seed,
        .threshold = threshold_of(options),
        .scale = static_cast<cpu::Accumulator<T>>(1.0 / (1.0 - options.p)),
        .add = add};
    const auto kernel = cpu::typed_kernels<T>().dropout;
    at::parallel_for(0, x.numel(), 16384, [&](std::int64_t begin, std::int64_t end) {
      kernel(args, {begin, end});
    });
  });
}

/// The kernel's factors by LibTorch's own operators, for devices without a kernel: 32-bit numbers
/// in 64 bits.
at::Tensor factors(const at::Tensor& x, const Dropout& options) {
  constexpr std::int64_t kMask = 0xffffffff;
  const auto low = static_cast<std::int64_t>(options.seed & kMask);
  const auto high = static_cast<std::int64_t>(options.seed >> 32);
  const at::Tensor place = at::arange(x.numel(), x.options().dtype(at::kLong));
  at::Tensor h = (place & kMask) ^ low;
  const at::Tensor upper = place.bitwise_right_shift(32) ^ high;
  for (int round = 0; round < 2; ++round) {
    h = h ^ h.bitwise_right_shift(16);
    h = (h * 0x85ebca6bLL) & kMask;
    h = h ^ h.bitwise_right_shift(13);
    h = (h * 0xc2b2ae35LL) & kMask;
    h = h ^ h.bitwise_right_shift(16);
    h = (h + upper) & kMask;
  }
  const at::Tensor stays = h >= static_cast<std::int64_t>(threshold_of(options));
  return (stays.to(accumulator_type(x.scalar_type())) * (1.0 / (1.0 - options.p))).view(x.sizes());
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static Variable forward(AutogradContext* ctx, const Variable& x, double p, std::int64_t seed) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["seed"] = seed;
    return dropped(x, {p, static_cast<std::uint64_t>(seed)});
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Dropout options{ctx->saved_data["p"].toDouble(),
                          static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt())};
    return {dropout(grads[0], options), Variable(), Variable()};
  }
};

}  // namespace

at::Tensor dropped(const at::Tensor& x, const Dropout& options) {
  if (!x.is_cpu()) return (x * factors(x, options)).to(x.scalar_type());
  const at::Tensor dense = x.contiguous();
  at::Tensor out = at::empty_like(dense);
  run_kernel(dense, options, out, false);
  return out;
}

void add_dropped(const at::Tensor& x, const Dropout& options, at::Tensor& sum) {
  TORCH_CHECK(x.is_contiguous() && sum.is_contiguous() && x.sizes() == sum.sizes(),
              "add_dropped: expected dense tensors of one shape");
  if (!x.is_cpu()) {
    sum.add_(dropped(x, options));
    return;
  }
  run_kernel(x, options, sum, true);
}

at::Tensor dropout(const at::Tensor& x, const Dropout& options) {
  check_float(x, "dropout", "x");
  TORCH_CHECK(options.p >= 0 && options.p < 1, "dropout: p is ", options.p,
              ", expected at least 0 and below 1");
  if (options.p == 0) return x;
  if (!needs_graph({x})) return dropped(x, options);
  return DropoutFunction::apply(x, options.p, static_cast<std::int64_t>(options.seed));
}

}  // namespace distill::ops
