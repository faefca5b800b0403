#include "eval/logit_rows.h"
#include <distill/models/logits.h>

#include <ATen/ops/index_select.h>

namespace distill::eval {

namespace {

at::ScalarType wide(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

std::int64_t LogitRows::num_rows() const {
  if (const auto* output = std::get_if<types::ModelOutput>(&source_)) return output->hidden.size(0);
  return std::get<types::DenseLogits>(source_).logits.size(0);
}

std::int64_t LogitRows::vocab_size() const {
  if (const auto* output = std::get_if<types::ModelOutput>(&source_)) return output->head.size(0);
  return std::get<types::DenseLogits>(source_).logits.size(1);
}

at::Tensor LogitRows::select(const at::Tensor& rows) const {
  if (const auto* output = std::get_if<types::ModelOutput>(&source_)) {
    return models::logits(*output,
                          at::index_select(output->hidden, 0, rows.to(output->hidden.device())));
  }
  const at::Tensor& logits = std::get<types::DenseLogits>(source_).logits;
  return at::index_select(logits, 0, rows.to(logits.device())).to(wide(logits.scalar_type()));
}

}  // namespace distill::eval
