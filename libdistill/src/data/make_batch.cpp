#include <distill/data/make_batch.h>

#include <algorithm>
#include <functional>

#include <ATen/ops/empty.h>

#include <distill/core/error.h>

#include "data/teacher_tokens.h"

namespace distill::data {

namespace {

void check(const Row& row) {
  const bool ends_fit = !row.segments.empty() && row.segments.front() == 0 &&
                        row.segments.back() == static_cast<std::int64_t>(row.ids.size());
  const bool rising =
      std::ranges::adjacent_find(row.segments, std::greater_equal{}) == row.segments.end();
  if (!row.labels.empty() && row.labels.size() + 1 != row.segments.size()) {
    fail<InputError>("a row of ", row.segments.size() - 1, " segments has ", row.labels.size(),
                     " labels, expected none or one a segment");
  }
  if (ends_fit && rising && row.is_target.size() == row.ids.size()) return;
  fail<InputError>("a row's segments must rise from 0 to its ", row.ids.size(),
                   " ids and its targets be as many, they are ", row.is_target.size());
}

/// Where the next row's values go.
struct Cursor {
  std::int64_t* ids;
  std::int64_t* positions;
  std::int64_t* labels;
  bool* mask;
};

/// Writes one row; returns its number of targets.
std::int64_t write_row(const Row& row, Cursor& out) {
  std::int64_t targets = 0;
  for (std::size_t s = 0; s + 1 < row.segments.size(); ++s) {
    const std::int64_t begin = row.segments[s];
    const std::int64_t end = row.segments[s + 1];
    for (std::int64_t t = begin; t < end; ++t) {
      const auto next = static_cast<std::size_t>(t) + 1;
      const bool counts = t + 1 < end && row.is_target[next];
      *out.ids++ = row.ids[static_cast<std::size_t>(t)];
      *out.positions++ = t - begin;
      *out.labels++ = counts ? row.ids[next] : 0;
      *out.mask++ = counts;
      targets += counts ? 1 : 0;
    }
  }
  return targets;
}

}  // namespace

types::Batch make_batch(const std::vector<Row>& rows) {
  types::Batch batch;
  batch.num_sequences = static_cast<std::int64_t>(rows.size());
  std::int64_t num_tokens = 0;
  batch.input.segments.push_back(0);
  for (const Row& row : rows) {
    check(row);
    for (std::size_t s = 1; s < row.segments.size(); ++s) {
      batch.input.segments.push_back(num_tokens + row.segments[s]);
    }
    num_tokens += static_cast<std::int64_t>(row.ids.size());
  }
  batch.input.input_ids = at::empty({num_tokens}, at::kLong);
  batch.input.position_ids = at::empty({num_tokens}, at::kLong);
  batch.labels = at::empty({num_tokens}, at::kLong);
  batch.loss_mask = at::empty({num_tokens}, at::kBool);
  Cursor out{batch.input.input_ids.data_ptr<std::int64_t>(),
             batch.input.position_ids.data_ptr<std::int64_t>(),
             batch.labels.data_ptr<std::int64_t>(), batch.loss_mask.data_ptr<bool>()};
  for (const Row& row : rows) {
    batch.num_targets += write_row(row, out);
    batch.segment_labels.insert(batch.segment_labels.end(), row.labels.begin(), row.labels.end());
  }
  batch.teacher_tokens = teacher_tokens(rows, num_tokens);
  return batch;
}

}  // namespace distill::data
