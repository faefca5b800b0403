#include <distill/eval/row_perplexity.h>

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include <distill/core/error.h>
#include <distill/eval/evaluate.h>

#include "eval/dataset_batch.h"
#include "eval/figures.h"
#include "eval/label_scores.h"
#include "eval/logit_rows.h"

namespace distill::eval {

namespace {

constexpr std::int64_t kRowsPerBatch = 4;

/// Adds the values of the batch's rows, which begin at `first`.
void add_batch(models::CausalLm& model, const data::Dataset& dataset, std::int64_t first,
               std::int64_t end, std::vector<RowValues>& rows) {
  const types::Batch batch = batch_of(dataset, first, end, model.device());
  const at::Tensor ids = batch.input.input_ids.cpu();
  check_ids(ids.max().item<std::int64_t>(), model.shape().vocab_size, "model");
  const at::Tensor labels = batch.labels.cpu();
  const at::Tensor mask = batch.loss_mask.cpu();
  std::vector<AskedLabel> asked;
  std::vector<std::size_t> row_of;
  std::int64_t position = 0;
  for (std::int64_t row = first; row < end; ++row) {
    const auto tokens = std::ssize(dataset.row(row).ids);
    for (std::int64_t i = 0; i < tokens; ++i, ++position) {
      if (!mask.const_data_ptr<bool>()[position]) continue;
      asked.push_back({position, labels.const_data_ptr<std::int64_t>()[position]});
      row_of.push_back(static_cast<std::size_t>(row));
    }
  }
  if (asked.empty()) return;
  const auto scores = label_scores(model.forward(batch.input), asked, batch.vocabulary);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    rows[row_of[i]][PerplexityValues::kNll] -= scores[i];
    rows[row_of[i]][PerplexityValues::kTokens] += 1;
  }
}

}  // namespace

SetResult measure_perplexity(models::CausalLm& model, const data::Dataset& dataset,
                             dist::Communicator& ranks, const ScoreOptions& options) {
  if (dataset.num_targets() == 0) fail<InputError>("the evaluation data holds no token to predict");
  const at::NoGradGuard no_grad;
  const std::int64_t total = dataset.num_rows();
  SetResult result{.kind = SetKind::kPerplexity};
  result.rows.resize(static_cast<std::size_t>(total));
  const std::int64_t all = kRowsPerBatch * ranks.size();
  for (std::int64_t round = 0; round < total; round += all) {
    if (options.stop != nullptr && ranks.any(options.stop->requested())) {
      fail<Stopped>("the evaluation was stopped after ", round, " of ", total, " rows");
    }
    const std::int64_t begin = round + kRowsPerBatch * ranks.rank();
    const std::int64_t end = std::min(begin + kRowsPerBatch, total);
    if (begin < end) add_batch(model, dataset, begin, end, result.rows);
    if (options.on_progress) options.on_progress(std::min(round + all, total), total);
  }
  std::vector<double> values;
  for (const RowValues& row : result.rows) values.insert(values.end(), row.begin(), row.end());
  ranks.all_reduce_sum(std::span<double>(values));
  auto next = values.begin();
  for (RowValues& row : result.rows) {
    for (double& value : row) value = *next++;
  }
  return result;
}

}  // namespace distill::eval
