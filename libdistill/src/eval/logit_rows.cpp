#include "eval/logit_rows.h"

#include <algorithm>

#include <ATen/ops/index_select.h>

#include <distill/core/error.h>
#include <distill/models/logits.h>

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

std::int64_t rows_at_a_time(std::int64_t vocab_size) {
  constexpr std::int64_t kMaxValues = std::int64_t{8} << 20;
  constexpr std::int64_t kMaxRows = 256;
  return std::clamp<std::int64_t>(kMaxValues / std::max<std::int64_t>(vocab_size, 1), 1, kMaxRows);
}

at::Tensor real_ids(const at::Tensor& logits, std::int64_t vocabulary) {
  if (vocabulary == 0 || vocabulary >= logits.size(1)) return logits;
  return logits.narrow(1, 0, vocabulary);
}

void check_ids(std::int64_t largest, std::int64_t vocab_size, const char* whose) {
  if (largest < vocab_size) return;
  fail<InputError>("the data holds token id ", largest, ", the ", whose, " has ", vocab_size,
                   " ids; tokenize with the tokenizer of the model");
}

}  // namespace distill::eval
