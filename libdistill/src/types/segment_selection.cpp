#include <distill/types/segment_selection.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sum.h>

namespace distill::types {

SegmentSelection select_segments(const Batch& batch, const std::vector<std::int64_t>& segments) {
  SegmentSelection selection;
  Batch& own = selection.batch;
  std::vector<at::Tensor> rows;
  own.input.segments.push_back(0);
  for (const std::int64_t segment : segments) {
    const auto s = static_cast<std::size_t>(segment);
    const std::int64_t begin = batch.input.segments[s], end = batch.input.segments[s + 1];
    rows.push_back(at::arange(begin, end, batch.input.input_ids.options()));
    own.input.segments.push_back(own.input.segments.back() + end - begin);
    if (!batch.segment_labels.empty()) own.segment_labels.push_back(batch.segment_labels[s]);
  }
  selection.rows = at::cat(rows);
  const auto chosen = [&](const at::Tensor& all) { return all.index_select(0, selection.rows); };
  own.input.input_ids = chosen(batch.input.input_ids);
  own.input.position_ids = chosen(batch.input.position_ids);
  own.labels = chosen(batch.labels);
  own.loss_mask = chosen(batch.loss_mask);
  own.num_targets = own.loss_mask.sum().item<std::int64_t>();
  own.num_sequences = static_cast<std::int64_t>(segments.size());
  own.vocabulary = batch.vocabulary;
  return selection;
}

}  // namespace distill::types
