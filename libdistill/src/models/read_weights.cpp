#include "models/read_weights.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <span>
#include <tuple>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <distill/core/error.h>

#include "models/finite.h"
#include "models/fp8_weights.h"
#include "models/quantization_tally.h"

namespace distill::models {

namespace {

/// Bytes of a file that are read before their pages are given back. Enough work for all threads.
constexpr std::uint64_t kBatchBytes = std::uint64_t{64} << 20;
/// Elements that are converted and then looked at while they are still in the cache.
constexpr std::int64_t kPieceElements = std::int64_t{1} << 16;

c10::ScalarType wanted_dtype(const MatchedWeight& match, const LoadOptions& options) {
  return match.slot->buffer ? c10::ScalarType::Float : options.dtype;
}

std::uint64_t stored_bytes(const MatchedWeight& match) {
  return match.source.entry->end - match.source.entry->begin;
}

[[noreturn]] void fail_not_finite(const MatchedWeight& match, const at::Tensor& stored,
                                  c10::ScalarType dtype) {
  const auto& [file, entry] = match.source;
  const bool converted = !match.scale && all_finite(stored);
  fail<FormatError>(file->path().string(), ": `", entry->name, "` holds NaN or Inf",
                    converted ? " after conversion to " : "", converted ? c10::toString(dtype) : "",
                    "; the weights are damaged or of a failed run");
}

/// One weight, cut into pieces that threads take by themselves.
class Job {
 public:
  Job(const MatchedWeight& match, const EmptyModel& model, const LoadOptions& options)
      : match_(&match), stored_(match.source.file->tensor(*match.source.entry)) {
    if (match.scale) {
      block_ = *model.fp8_block;
      scale_ = match.scale->file->tensor(*match.scale->entry).to(at::kFloat);
    }
    weight_ = stays_mapped(match, options)
                  ? stored_
                  : at::empty(stored_.sizes(), wanted_dtype(match, options));
  }

  std::int64_t num_pieces() const {
    if (match_->scale) return scale_.size(0);
    return (weight_.numel() + kPieceElements - 1) / kPieceElements;
  }

  /// Forms one piece; false when it holds NaN or Inf and `check_finite`.
  bool form(std::int64_t piece, bool check_finite) const {
    if (match_->scale) {
      const at::Tensor strip = dequantise_strip(stored_, scale_, block_, piece, weight_);
      return !check_finite || all_finite(strip);
    }
    const std::int64_t begin = piece * kPieceElements;
    const std::int64_t count = std::min(kPieceElements, weight_.numel() - begin);
    const at::Tensor part = weight_.view(-1).narrow(0, begin, count);
    if (!weight_.is_same(stored_)) part.copy_(stored_.view(-1).narrow(0, begin, count));
    return !check_finite || all_finite(part);
  }

  void finish(at::Device device) const {
    *match_->slot->tensor = weight_.to(device);
    if (!match_->slot->tensor->is_same(stored_)) match_->source.file->forget(*match_->source.entry);
  }

  void finish(at::Device device, ops::WeightFormat format, QuantizationTally& tally) const {
    const ops::QuantizedMatrix matrix = ops::quantize(weight_, format);
    tally.add(match_->slot->name(), weight_, matrix);
    *match_->slot->quantized = matrix.to(device);
    match_->source.file->forget(*match_->source.entry);
  }

  const MatchedWeight& match() const { return *match_; }

  [[noreturn]] void fail_not_finite() const {
    models::fail_not_finite(*match_, stored_, weight_.scalar_type());
  }

 private:
  const MatchedWeight* match_;
  at::Tensor stored_;
  at::Tensor scale_;   ///< fp32, of each block; undefined unless stored in 8 bits
  at::Tensor weight_;  ///< `stored_` itself where nothing is to be done
  Fp8Block block_;
};

/// All pieces of all jobs, spread over the threads.
void run(const std::vector<Job>& jobs, bool check_finite) {
  std::vector<std::int64_t> ends;  // of each job's pieces, counted through
  std::int64_t pieces = 0;
  for (const Job& job : jobs) ends.push_back(pieces += job.num_pieces());
  std::atomic<std::size_t> first_bad = jobs.size();
  const bool inference = c10::InferenceMode::is_enabled();
  at::parallel_for(0, pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    // Threads do not know of the caller's mode, and its tensors may be written in that one only.
    const c10::InferenceMode mode(inference);
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const auto job = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), piece) -
                                                ends.begin());
      const std::int64_t before = job == 0 ? 0 : ends[job - 1];
      if (jobs[job].form(piece - before, check_finite)) continue;
      std::size_t seen = first_bad;
      while (job < seen && !first_bad.compare_exchange_weak(seen, job)) {
      }
    }
  });
  if (first_bad < jobs.size()) jobs[first_bad].fail_not_finite();
}

}  // namespace

bool stays_mapped(const MatchedWeight& match, const LoadOptions& options) {
  return (!options.writable || !options.device.is_cpu()) && !match.scale &&
         match.source.entry->dtype == wanted_dtype(match, options) &&
         match.source.file->is_aligned(*match.source.entry);
}

bool becomes_quantized(const MatchedWeight& match, const LoadOptions& options) {
  return options.quantize && match.slot->quantized != nullptr;
}

std::uint64_t bytes_to_allocate(const std::vector<MatchedWeight>& matches,
                                const LoadOptions& options) {
  std::uint64_t bytes = 0;
  for (const MatchedWeight& match : matches) {
    const auto& shape = match.slot->shape;
    if (becomes_quantized(match, options)) {
      bytes += ops::quantized_bytes(*options.quantize, shape[0], shape[1]);
      continue;
    }
    if (options.device.is_cpu() && stays_mapped(match, options)) continue;  // a GPU maps nothing
    // The file holds as many elements, so the product fits.
    const std::uint64_t elements =
        stored_bytes(match) / c10::elementSize(match.source.entry->dtype);
    bytes += elements * c10::elementSize(wanted_dtype(match, options));
  }
  return bytes;
}

void read_weights(const EmptyModel& model, std::vector<MatchedWeight> matches,
                  const LoadOptions& options) {
  const auto place = [](const MatchedWeight& match) {
    return std::tuple(match.source.file->path(), match.source.entry->begin);
  };
  std::sort(matches.begin(), matches.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  std::optional<QuantizationTally> tally;
  if (options.quantize) tally.emplace(*options.quantize);
  for (std::size_t next = 0; next < matches.size();) {
    std::vector<Job> jobs;
    for (std::uint64_t bytes = 0; next < matches.size() && bytes < kBatchBytes; ++next) {
      jobs.emplace_back(matches[next], model, options);
      bytes += stored_bytes(matches[next]);
    }
    run(jobs, options.check_finite || options.quantize.has_value());  // codes know no NaN
    for (const Job& job : jobs) {
      if (becomes_quantized(job.match(), options)) {
        job.finish(options.device, *options.quantize, *tally);
      } else {
        job.finish(options.device);
      }
    }
  }
  if (tally && model.quantization != nullptr) *model.quantization = tally->result();
}

}  // namespace distill::models
