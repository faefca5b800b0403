#include "teachers/segment_nll.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros.h>

#include <distill/models/logits.h>

namespace distill::teachers {

std::vector<double> segment_nll(const types::ModelOutput& output, const types::Batch& batch) {
  constexpr std::int64_t kRows = 128;  // of logits formed at a time
  const at::Tensor targets = at::nonzero(batch.loss_mask).squeeze(1);
  at::Tensor nll = at::zeros({batch.labels.size(0)}, batch.labels.options().dtype(at::kDouble));
  for (std::int64_t first = 0; first < targets.size(0); first += kRows) {
    const at::Tensor rows = targets.narrow(0, first, std::min(kRows, targets.size(0) - first));
    at::Tensor logits = models::logits(output, output.hidden.index_select(0, rows));
    if (batch.vocabulary > 0) {
      logits = logits.narrow(1, 0, std::min(batch.vocabulary, logits.size(1)));
    }
    const at::Tensor labels = batch.labels.index_select(0, rows).unsqueeze(1);
    const at::Tensor own = at::logsumexp(logits, {1}) - logits.gather(1, labels).squeeze(1);
    nll.index_copy_(0, rows, own.to(at::kDouble));
  }
  const at::Tensor sums = nll.cumsum(0).cpu(), counts = batch.loss_mask.cumsum(0).cpu();
  const auto up_to = [](const at::Tensor& running, std::int64_t end) {
    return end == 0 ? 0.0 : running[end - 1].item<double>();
  };
  std::vector<double> means;
  const auto& segments = batch.input.segments;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
    const double count = up_to(counts, segments[s + 1]) - up_to(counts, segments[s]);
    const double sum = up_to(sums, segments[s + 1]) - up_to(sums, segments[s]);
    means.push_back(count > 0 ? sum / count : 0.0);
  }
  return means;
}

}  // namespace distill::teachers
