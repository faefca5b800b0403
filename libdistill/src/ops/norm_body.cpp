#include "ops/norm_body.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

std::int64_t row_count(const at::Tensor& x, std::int64_t width) {
  return width == 0 ? 0 : x.numel() / width;
}

/// Rows that share one partial gradient of the weight: not a matter of threads, so that the order
/// of additions does not depend on their number.
cuda::RowParts parts_of(std::int64_t rows, std::int64_t width, bool on_device) {
  if (!on_device) return {rows, 32};
  // Enough parts to fill a GPU with blocks (wide rows) or warps (narrow ones), not more: each is
  // written and read again.
  const std::int64_t most_parts = width > 1024 ? 512 : 2048;
  return {rows, std::max<std::int64_t>(4, (rows + most_parts - 1) / most_parts)};
}

/// Adds the partial sums in order.
template <class A>
void sum_partials(const at::Tensor& partials, const at::Tensor& total) {
  const std::int64_t width = total.numel();
  const A* from = read<A>(partials);
  A* to = write<A>(total);
  for (std::int64_t part = 0; part < partials.size(0); ++part) {
    for (std::int64_t i = 0; i < width; ++i) to[i] += from[part * width + i];
  }
}

template <class T>
void run_parts(const cpu::RmsNormGradArgs<T>& args, const cuda::RowParts& parts) {
  const auto kernel = cpu::typed_kernels<T>().rms_norm_grad;
  at::parallel_for(0, parts.count(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      cpu::RmsNormGradArgs<T> mine = args;
      if (args.grad_weight != nullptr) mine.grad_weight = args.grad_weight + part * args.width;
      kernel(mine,
             {part * parts.rows_per_part, std::min(parts.rows, (part + 1) * parts.rows_per_part)});
    }
  });
}

}  // namespace

NormOutput norm_forward(const NormInput& in, const MaybeQueue& queue, const char* op) {
  const std::int64_t width = in.weight.numel();
  const std::int64_t rows = row_count(in.x, width);
  NormOutput out;
  out.normed = at::empty_like(in.x);
  if (in.residual.defined()) out.sum = at::empty_like(in.x);
  if (in.keep_rstd) {
    out.rstd = at::empty({rows}, in.x.options().dtype(accumulator_type(in.x.scalar_type())));
  }
  with_kernel_type(in.x.scalar_type(), [&]<class T>() {
    using A = cpu::Accumulator<T>;
    const cpu::RmsNormArgs<T> args{.x = read<T>(in.x),
                                   .residual = read<T>(in.residual),
                                   .weight = read<T>(in.weight),
                                   .normed = write<T>(out.normed),
                                   .sum = write<T>(out.sum),
                                   .rstd = write<A>(out.rstd),
                                   .width = width,
                                   .eps = static_cast<A>(in.eps)};
    if (queue) {
      const auto start = queue->kernels.norm.template of<T>().forward;
      return check_started(start(args, rows, queue->stream), op, in.x.device());
    }
    const auto kernel = cpu::typed_kernels<T>().rms_norm;
    at::parallel_for(0, rows, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      kernel(args, {begin, end});
    });
  });
  return out;
}

NormGradients norm_backward(const NormGradInput& in, const MaybeQueue& queue, const char* op) {
  const std::int64_t width = in.weight.numel();
  const cuda::RowParts parts = parts_of(row_count(in.x, width), width, queue.has_value());
  const auto sums = in.x.options().dtype(accumulator_type(in.x.scalar_type()));
  NormGradients out;
  at::Tensor partials;
  if (in.wants_x) out.x = at::empty_like(in.x);
  if (in.wants_weight) partials = at::zeros({parts.count(), width}, sums);
  with_kernel_type(in.x.scalar_type(), [&]<class T>() {
    using A = cpu::Accumulator<T>;
    const cpu::RmsNormGradArgs<T> args{.x = read<T>(in.x),
                                       .weight = read<T>(in.weight),
                                       .rstd = read<A>(in.rstd),
                                       .grad_normed = read<T>(in.grad_normed),
                                       .grad_sum = read<T>(in.grad_sum),
                                       .grad_x = write<T>(out.x),
                                       .grad_weight = write<A>(partials),
                                       .width = width};
    if (queue) {
      const auto start = queue->kernels.norm.template of<T>().backward;
      check_started(start(args, parts, queue->stream), op, in.x.device());
      if (in.wants_weight) out.weight = partials.sum(0).to(in.weight.scalar_type());
      return;
    }
    run_parts(args, parts);
    if (in.wants_weight) {
      const at::Tensor total = at::zeros({width}, sums);
      sum_partials<A>(partials, total);
      out.weight = total.to(in.weight.scalar_type());
    }
  });
  return out;
}

}  // namespace distill::ops
