#include "teachers/cache_signal.h"

#include <algorithm>
#include <span>

#include <ATen/ops/zeros.h>
#include <c10/util/BFloat16.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/io/signal_rows.h>

namespace distill::teachers {

namespace {

using Segment = io::LogitCache::Segment;

/// A segment's part of the batch: the rows that count, in order.
struct Part {
  std::vector<std::int64_t> rows;
  Segment segment;
};

std::vector<Part> read_parts(const io::LogitCache& cache, const types::Batch& batch,
                             const std::vector<types::SegmentKey>& keys) {
  const at::Tensor mask = batch.loss_mask.cpu().contiguous();
  const bool* counts = mask.const_data_ptr<bool>();
  std::vector<Part> parts;
  for (std::size_t s = 0; s < keys.size(); ++s) {
    Part part;
    for (std::int64_t row = batch.input.segments[s]; row < batch.input.segments[s + 1]; ++row) {
      if (counts[row]) part.rows.push_back(row);
    }
    if (part.rows.empty()) continue;
    auto segment = cache.read(keys[s].words);
    if (!segment) {
      fail<TeacherError>(core::shown(cache.info().folder), ": a segment of ",
                         batch.input.segments[s + 1] - batch.input.segments[s],
                         " tokens is not in the cache; it was captured from other data, run "
                         "`distill cache` with this recipe");
    }
    if (segment->positions != std::ssize(part.rows)) {
      fail<FormatError>(segment->where, " holds ", segment->positions, " positions, expected ",
                        part.rows.size());
    }
    part.segment = std::move(*segment);
    parts.push_back(std::move(part));
  }
  return parts;
}

/// A table of `columns` numbers for each position of the batch.
struct Table {
  Table(std::int64_t num_rows, std::int64_t columns, at::ScalarType type)
      : tensor(at::zeros({num_rows, columns}, type)), width(columns) {}
  template <class T>
  std::span<T> row(std::int64_t index) {
    return {tensor.data_ptr<T>() + index * width, static_cast<std::size_t>(width)};
  }
  at::Tensor tensor;
  std::int64_t width;
};

types::TopKLogProbs top_k_signal(const io::LogitCacheSpec& spec, std::int64_t num_rows,
                                 const std::vector<Part>& parts) {
  // All is decoded first: no table is made on the word of a file.
  std::vector<io::TopKRows> decoded;
  for (const Part& part : parts) {
    decoded.push_back(io::decode_top_k(part.segment.payload, part.segment.positions, spec.size,
                                       spec.vocabulary, part.segment.where));
  }
  const std::int64_t width = parts.empty() ? 1 : spec.size;
  Table ids(num_rows, width, at::kLong);
  Table log_probs(num_rows, width, at::kDouble);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::size_t p = 0; p < parts[i].rows.size(); ++p) {
      const auto begin = static_cast<std::ptrdiff_t>(p) * width;
      const std::int64_t row = parts[i].rows[p];
      std::copy_n(decoded[i].ids.begin() + begin, width, ids.row<std::int64_t>(row).begin());
      std::copy_n(decoded[i].log_probs.begin() + begin, width, log_probs.row<double>(row).begin());
    }
  }
  return {ids.tensor, log_probs.tensor, spec.vocabulary, spec.temperature};
}

/// Writes the ids of one position, and between them others of weight 0 that fill the row: ids must
/// ascend.
void fill_row(const io::SampledRows& from, std::size_t position, std::span<std::int64_t> ids,
              std::span<double> weights, std::span<double> log_probs) {
  auto next = static_cast<std::size_t>(from.begins[position]);
  const auto end = static_cast<std::size_t>(from.begins[position + 1]);
  std::size_t others = ids.size() - (end - next);
  std::int64_t unused = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool is_taken = next < end && from.ids[next] == unused;
    if (is_taken || others == 0) {
      ids[i] = from.ids[next];
      weights[i] = from.weights[next];
      log_probs[i] = from.log_probs[next];
      unused = ids[i] + 1;
      ++next;
    } else {
      ids[i] = unused++;
      --others;
    }
  }
}

types::SampledLogProbs sampled_signal(const io::LogitCacheSpec& spec, std::int64_t num_rows,
                                      const std::vector<Part>& parts) {
  std::vector<io::SampledRows> decoded;
  std::int64_t width = 1;
  for (const Part& part : parts) {
    decoded.push_back(io::decode_sampled(part.segment.payload, part.segment.positions, spec.size,
                                         spec.vocabulary, part.segment.where));
    const auto& begins = decoded.back().begins;
    for (std::size_t p = 0; p < part.rows.size(); ++p) {
      width = std::max(width, begins[p + 1] - begins[p]);
    }
  }
  Table ids(num_rows, width, at::kLong);
  Table weights(num_rows, width, at::kDouble);
  Table log_probs(num_rows, width, at::kDouble);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::size_t p = 0; p < parts[i].rows.size(); ++p) {
      const std::int64_t row = parts[i].rows[p];
      fill_row(decoded[i], p, ids.row<std::int64_t>(row), weights.row<double>(row),
               log_probs.row<double>(row));
    }
  }
  return {ids.tensor, weights.tensor, log_probs.tensor, spec.vocabulary, spec.temperature};
}

types::DenseHidden hidden_signal(const io::LogitCacheSpec& spec, std::int64_t num_rows,
                                 const std::vector<Part>& parts) {
  Table hidden(num_rows, spec.size, at::kBFloat16);
  const std::size_t row_bytes = static_cast<std::size_t>(spec.size) * sizeof(c10::BFloat16);
  for (const Part& part : parts) {
    if (part.segment.payload.size() != part.rows.size() * row_bytes) {
      fail<FormatError>(part.segment.where, " has ", part.segment.payload.size(),
                        " bytes, expected ", part.rows.size() * row_bytes);
    }
    for (std::size_t p = 0; p < part.rows.size(); ++p) {
      const auto row = std::as_writable_bytes(hidden.row<c10::BFloat16>(part.rows[p]));
      std::copy_n(part.segment.payload.begin() + static_cast<std::ptrdiff_t>(p * row_bytes),
                  row_bytes, row.begin());
    }
  }
  return {hidden.tensor, {}, {}};
}

}  // namespace

types::TeacherSignal read_signal(const io::LogitCache& cache, const types::Batch& batch,
                                 const std::vector<types::SegmentKey>& keys) {
  const io::LogitCacheSpec& spec = cache.info().spec;
  const std::int64_t num_rows = batch.input.input_ids.size(0);
  const std::vector<Part> parts = read_parts(cache, batch, keys);
  if (spec.form == io::SignalForm::kTopK) return top_k_signal(spec, num_rows, parts);
  if (spec.form == io::SignalForm::kHidden) return hidden_signal(spec, num_rows, parts);
  return sampled_signal(spec, num_rows, parts);
}

}  // namespace distill::teachers
