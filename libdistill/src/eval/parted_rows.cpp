#include "eval/parted_rows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/nonzero.h>

#include <distill/core/error.h>

namespace distill::eval {

namespace {

LogitRows whole_rows(const types::TeacherSignal& signal) {
  if (const auto* hidden = std::get_if<types::DenseHidden>(&signal)) {
    return LogitRows(types::ModelOutput{hidden->hidden, hidden->head, hidden->transform});
  }
  if (const auto* logits = std::get_if<types::DenseLogits>(&signal)) return LogitRows(*logits);
  fail<TeacherError>("one of several teachers gives no full distribution to evaluate against");
}

at::Tensor places_of(const at::Tensor& rows, std::int64_t num_rows) {
  at::Tensor places = at::full({num_rows}, -1, at::kLong);
  const at::Tensor at_rows = rows.cpu();
  places.index_copy_(0, at_rows, at::arange(at_rows.size(0), at::kLong));
  return places;
}

}  // namespace

PartedRows::PartedRows(const types::PartedSignal& signal, std::int64_t num_rows,
                       std::int64_t vocabulary)
    : num_rows_(num_rows), vocabulary_(vocabulary) {
  std::int64_t covered = 0;
  for (const auto& part : signal.parts) {
    LogitRows rows = whole_rows(part.signal);
    const bool all = !part.rows.defined();
    if (rows.num_rows() != (all ? num_rows : part.rows.size(0))) {
      fail<TeacherError>("one of several teachers answered for ", rows.num_rows(), " positions of ",
                         all ? num_rows : part.rows.size(0));
    }
    covered += all ? 0 : part.rows.size(0);
    parts_.push_back(
        {all ? at::Tensor() : places_of(part.rows, num_rows), part.weight, std::move(rows)});
  }
  const bool shared_out = !parts_.empty() && parts_.front().places.defined();
  if (parts_.empty() || (shared_out && covered != num_rows)) {
    fail<TeacherError>("several teachers answered for ", covered, " positions of ", num_rows);
  }
}

std::int64_t PartedRows::vocab_size() const {
  const auto size = [](const Part& part) { return part.rows.vocab_size(); };
  const std::int64_t smallest = size(std::ranges::min(parts_, {}, size));
  return vocabulary_ > 0 ? std::min(vocabulary_, smallest) : smallest;
}

at::Tensor PartedRows::select(const at::Tensor& rows) const {
  const std::int64_t width = vocab_size();
  at::Tensor result;
  for (const Part& part : parts_) {
    const bool all = !part.places.defined();
    const at::Tensor places = all ? rows : part.places.index_select(0, rows.cpu());
    const at::Tensor own = all ? at::Tensor() : at::nonzero(places >= 0).squeeze(1);
    if (!all && own.size(0) == 0) continue;
    const at::Tensor logits =
        part.rows.select(all ? places : places.index_select(0, own)).narrow(1, 0, width);
    if (all) {
      const at::Tensor log_probs = at::log_softmax(logits, 1) + std::log(part.weight);
      result = result.defined() ? at::logaddexp(result, log_probs) : log_probs;
      continue;
    }
    if (!result.defined()) result = at::full({rows.size(0), width}, 0.0, logits.options());
    result.index_copy_(0, own.to(result.device()), logits);
  }
  return result;
}

}  // namespace distill::eval
