#include <distill/ops/embedding.h>

#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/embedding_body.h"
#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Positions [begin, end) of `order` hold the same id.
struct Group {
  std::int64_t begin;
  std::int64_t end;
};

std::vector<Group> equal_ids(const at::Tensor& sorted) {
  const auto* ids = sorted.const_data_ptr<std::int64_t>();
  std::vector<Group> groups;
  for (std::int64_t i = 0; i < sorted.size(0); ++i) {
    if (groups.empty() || ids[i] != ids[i - 1]) groups.push_back({i, i});
    groups.back().end = i + 1;
  }
  return groups;
}

template <class T, class Sum>
void add_rows(const at::Tensor& grad, const at::Tensor& ids, const at::Tensor& out) {
  const auto [sorted, order] = at::sort(ids, /*stable=*/true, 0, false);
  const std::vector<Group> groups = equal_ids(sorted);
  const std::int64_t width = grad.size(1);
  const auto* from = grad.const_data_ptr<T>();
  auto* to = out.data_ptr<T>();
  const auto* id = sorted.template const_data_ptr<std::int64_t>();
  const auto* place = order.template const_data_ptr<std::int64_t>();
  at::parallel_for(0, std::ssize(groups), rows_per_task(width), [&](auto begin, auto end) {
    std::vector<Sum> sum(static_cast<std::size_t>(width));
    for (std::int64_t g = begin; g < end; ++g) {
      const Group& group = groups[static_cast<std::size_t>(g)];
      std::fill(sum.begin(), sum.end(), Sum(0));
      for (std::int64_t i = group.begin; i < group.end; ++i) {
        const T* row = from + place[i] * width;
        for (std::int64_t c = 0; c < width; ++c) sum[c] += static_cast<Sum>(row[c]);
      }
      T* row = to + id[group.begin] * width;
      for (std::int64_t c = 0; c < width; ++c) row[c] = static_cast<T>(sum[c]);
    }
  });
}

template <class T>
void start_rows(const at::Tensor& grad, const at::Tensor& ids, const at::Tensor& out,
                const DeviceQueue& queue) {
  const auto [sorted, order] = at::sort(ids, /*stable=*/true, 0, false);
  const cuda::EmbeddingGradArgs<T> args{read<T>(grad),
                                        read<std::int64_t>(sorted),
                                        read<std::int64_t>(order),
                                        write<T>(out),
                                        grad.size(0),
                                        grad.size(1)};
  const auto start = queue.kernels.embedding.template of<T>().backward;
  check_started(start(args, queue.stream), "embedding", grad.device());
}

}  // namespace

at::Tensor embedding_backward(const at::Tensor& grad, const at::Tensor& ids, std::int64_t num_rows,
                              const MaybeQueue& queue) {
  const at::Tensor out = at::zeros({num_rows, grad.size(1)}, grad.options());
  if (queue) {
    with_kernel_type(grad.scalar_type(), [&]<class T>() { start_rows<T>(grad, ids, out, *queue); });
    return out;
  }
  switch (grad.scalar_type()) {
    case at::kDouble:
      add_rows<double, double>(grad, ids, out);
      break;
    case at::kFloat:
      add_rows<float, float>(grad, ids, out);
      break;
    default:
      add_rows<at::BFloat16, float>(grad, ids, out);
  }
  return out;
}

namespace {

struct Embedding : torch::autograd::Function<Embedding> {
  static Variable forward(AutogradContext* context, const Variable& weight, const Variable& ids) {
    context->save_for_backward({ids});
    context->saved_data["rows"] = weight.size(0);
    return at::index_select(weight, 0, ids);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    refuse_second_derivative("embedding");
    const at::Tensor ids = context->get_saved_variables()[0].contiguous();
    const DeviceScope scope(ids, "embedding");
    return {embedding_backward(grads[0].contiguous(), ids, context->saved_data["rows"].toInt(),
                               scope.queue()),
            Variable()};
  }
};

/// An id out of range would end all work on a GPU, not only this call.
void check_ids_on_device(const at::Tensor& ids, std::int64_t num_rows) {
  if (ids.is_cpu() || ids.numel() == 0) return;
  const auto [low, high] = at::aminmax(ids);
  const at::Tensor both = at::stack({low, high}).cpu();
  const auto* range = both.const_data_ptr<std::int64_t>();
  TORCH_CHECK(range[0] >= 0 && range[1] < num_rows, "embedding: `ids` holds ",
              range[0] < 0 ? range[0] : range[1], ", expected 0 to ", num_rows - 1);
}

}  // namespace

at::Tensor embedding(const at::Tensor& weight, const at::Tensor& ids) {
  check_float(weight, "embedding", "weight");
  TORCH_CHECK(weight.dim() == 2, "embedding: `weight` is ", weight.sizes(), ", expected [V, H]");
  TORCH_CHECK(ids.defined() && ids.dim() == 1 && ids.scalar_type() == at::kLong &&
                  ids.device() == weight.device(),
              "embedding: `ids` must be an int64 tensor [N] on ", weight.device());
  check_ids_on_device(ids, weight.size(0));
  if (needs_graph({weight})) return Embedding::apply(weight, ids);
  return at::index_select(weight, 0, ids);
}

}  // namespace distill::ops
