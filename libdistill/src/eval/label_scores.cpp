#include "eval/label_scores.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>

#include "eval/logit_rows.h"

namespace distill::eval {

std::vector<double> label_scores(const types::ModelOutput& output,
                                 const std::vector<AskedLabel>& asked, std::int64_t vocabulary) {
  const LogitRows all(output);
  const std::int64_t step = rows_at_a_time(all.vocab_size());
  std::vector<double> scores;
  scores.reserve(asked.size());
  for (std::int64_t begin = 0; begin < std::ssize(asked); begin += step) {
    const std::int64_t end = std::min(begin + step, std::ssize(asked));
    std::vector<std::int64_t> rows, labels;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      rows.push_back(asked[i].row);
      labels.push_back(asked[i].label);
    }
    const at::Tensor logits = real_ids(all.select(at::tensor(rows, at::kLong)), vocabulary);
    const at::Tensor own =
        at::gather(logits, 1, at::tensor(labels, at::kLong).to(logits.device()).unsqueeze(1));
    const at::Tensor found =
        own.squeeze(1).to(at::kDouble) - at::logsumexp(logits, {1}).to(at::kDouble);
    const at::Tensor on_host = found.cpu().contiguous();
    const auto* values = on_host.const_data_ptr<double>();
    scores.insert(scores.end(), values, values + on_host.numel());
  }
  return scores;
}

}  // namespace distill::eval
