#include "losses/layer_loss.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

namespace distill::losses {
namespace {

/// Keeps first values apart from what else the run's seed decides. Part of what a seed means, do
/// not change.
constexpr std::uint64_t kProjectionStream = std::uint64_t{1} << 40;

struct Layers {
  const char* field;
  std::int64_t count;
  const std::string& model;
};

void require_layer(std::string_view kind, std::size_t pair, std::int64_t layer,
                   const Layers& layers) {
  if (layer >= 0 && layer < layers.count) return;
  fail<ConfigError>(kind, ": `layers.", pair, ".", layers.field, "` is ", layer, ", but ",
                    layers.model, " has the layers 0 to ", layers.count - 1);
}

}  // namespace

std::vector<LayerPair> resolve_pairs(std::string_view kind, const std::vector<LayerPair>& given,
                                     const LossContext& context) {
  if (!context.teacher) {
    fail<ConfigError>(kind, ": compares inner layers, and ", context.teacher_name,
                      " shows none; use a teacher of kind `local`");
  }
  if (given.empty()) {
    return evenly_spaced_pairs(context.student.num_layers, context.teacher->num_layers);
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    require_layer(kind, i, given[i].student,
                  {"student", context.student.num_layers, context.student_name});
    require_layer(kind, i, given[i].teacher,
                  {"teacher", context.teacher->num_layers, context.teacher_name});
  }
  return given;
}

void check_widths(std::string_view kind, const LossContext& context) {
  if (context.student.hidden_size == context.teacher->hidden_size) return;
  fail<ConfigError>(kind, ": the hidden states of ", context.student_name, " are ",
                    context.student.hidden_size, " wide, those of ", context.teacher_name, " ",
                    context.teacher->hidden_size, "; set `project: true` to learn a map between");
}

at::Tensor make_projection(const LossContext& context) {
  const std::int64_t in = context.student.hidden_size, out = context.teacher->hidden_size;
  at::Tensor weight = at::empty({out, in}, at::kFloat);
  core::RandomState random(context.seed, kProjectionStream + context.stream);
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  auto* values = weight.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    values[i] = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
  }
  return weight.to(context.device).set_requires_grad(true);
}

void require_prepared(std::string_view kind, const std::vector<LayerPair>& pairs) {
  if (pairs.empty()) fail<Error>("loss `", kind, "` was called before it was prepared");
}

void fail_without_layer(std::int64_t layer, std::string_view kind, const char* whose) {
  fail<Error>("loss `", kind, "` needs layer ", layer, " of the ", whose,
              ", and its input does not hold it");
}

at::Tensor valid_rows(const at::Tensor& x, const at::Tensor& mask) {
  return mask.defined() ? at::index_select(x, 0, at::nonzero(mask).squeeze(1)) : x;
}

types::LossValue layer_value(const at::Tensor& sum, double weight, std::string_view kind,
                             std::int64_t count) {
  return {sum * weight, count, {{std::string(kind), sum.detach()}}};
}

}  // namespace distill::losses
