#include <distill/teachers/capture.h>

#include <algorithm>
#include <limits>
#include <span>

#include <ATen/TensorOperators.h>
#include <ATen/ops/all.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include <distill/io/signal_rows.h>
#include <distill/models/logits.h>

#include "teachers/sample_row.h"

// Suffixes: P positions, V ids, K the likeliest of them.
namespace distill::teachers {

namespace {

/// Bytes of fp32 logits that are formed at a time.
constexpr std::int64_t kMostBytes = std::int64_t{32} << 20;

/// The teacher's logits, a few rows at a time.
class RowSource {
 public:
  RowSource(Teacher& teacher, const types::Batch& batch, std::int64_t vocabulary)
      : vocabulary_(vocabulary) {
    types::TeacherSignal signal = teacher.signal(batch);
    std::int64_t ids = 0;
    if (auto* hidden = std::get_if<types::DenseHidden>(&signal)) {
      output_ = {hidden->hidden, hidden->head, hidden->transform};
      ids = output_.head.size(0);
    } else if (auto* logits = std::get_if<types::DenseLogits>(&signal)) {
      logits_ = logits->logits;
      ids = logits_.size(1);
    } else {
      fail<TeacherError>("teacher `", teacher.describe(), "` gives no whole distribution to keep");
    }
    if (ids < vocabulary) {
      fail<TeacherError>("teacher `", teacher.describe(), "` has ", ids, " ids, the tokenizer has ",
                         vocabulary);
    }
  }

  /// Hidden states of `positions` [P] as they are kept: bf16 on the CPU.
  at::Tensor hidden(const at::Tensor& positions) const {
    if (logits_.defined()) fail<TeacherError>("the teacher gives logits, no hidden states to keep");
    const at::Tensor rows =
        at::index_select(output_.hidden, 0, positions.to(output_.hidden.device()));
    check_finite(rows);
    return rows.to(at::kCPU, at::kBFloat16).contiguous();
  }

  /// log P of `positions` [P] over the tokenizer's ids at a temperature: fp32 [P, V] on the CPU.
  at::Tensor log_probs(const at::Tensor& positions, double temperature) const {
    const auto select = [&](const at::Tensor& x) {
      return at::index_select(x, 0, positions.to(x.device()));
    };
    at::Tensor logits_PV =
        logits_.defined() ? select(logits_) : models::logits(output_, select(output_.hidden));
    logits_PV = logits_PV.narrow(1, 0, vocabulary_).to(at::kFloat);
    check_finite(logits_PV);
    return at::log_softmax(logits_PV / temperature, 1);
  }

 private:
  static void check_finite(const at::Tensor& numbers) {
    if (at::all(at::isfinite(numbers)).item<bool>()) return;
    fail<TeacherError>("what the teacher says is not finite; check its weights");
  }

  std::int64_t vocabulary_;
  types::ModelOutput output_;
  at::Tensor logits_;
};

template <class T>
void append(std::vector<T>& out, const at::Tensor& values) {
  const at::Tensor flat = values.cpu().contiguous();
  out.insert(out.end(), flat.const_data_ptr<T>(), flat.const_data_ptr<T>() + flat.numel());
}

void add_top_k(const at::Tensor& log_probs_PV, std::int64_t k, io::TopKRows& rows) {
  const at::Tensor likeliest_PK = std::get<1>(at::topk(log_probs_PV, k, 1));
  const at::Tensor ids_PK = std::get<0>(at::sort(likeliest_PK, 1));
  append(rows.ids, ids_PK);
  append(rows.log_probs, at::gather(log_probs_PV, 1, ids_PK).to(at::kDouble));
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  // Summed, not 1 minus the others: a small rest keeps its digits.
  const at::Tensor others_PV = at::scatter(log_probs_PV, 1, ids_PK, kNone);
  append(rows.log_others, at::logsumexp(others_PV, {1}).to(at::kDouble));
}

void add_samples(const at::Tensor& log_probs_PV, const CaptureOptions& options,
                 core::RandomState& random, std::vector<io::SampledRow>& rows) {
  const at::Tensor on_host = log_probs_PV.cpu().contiguous();
  const auto vocabulary = static_cast<std::size_t>(on_host.size(1));
  const float* values = on_host.const_data_ptr<float>();
  for (std::int64_t p = 0; p < on_host.size(0); ++p, values += vocabulary) {
    rows.push_back(sample_row(std::span(values, vocabulary), options.size, random.uniform()));
  }
}

/// The positions of one segment, a few at a time.
std::vector<std::byte> encode(const RowSource& source, const at::Tensor& positions,
                              const types::SegmentKey& key, const CaptureOptions& options) {
  const std::int64_t count = positions.size(0);
  if (options.form == io::SignalForm::kHidden) {
    const at::Tensor rows = source.hidden(positions);
    const auto* bytes = static_cast<const std::byte*>(rows.const_data_ptr());
    return {bytes, bytes + rows.nbytes()};
  }
  const std::int64_t step = std::max<std::int64_t>(1, kMostBytes / (4 * options.vocabulary));
  core::RandomState random(options.seed + key.words[0], key.words[1]);
  io::TopKRows top;
  std::vector<io::SampledRow> samples;
  for (std::int64_t begin = 0; begin < count; begin += step) {
    const at::Tensor log_probs_PV = source.log_probs(
        positions.narrow(0, begin, std::min(step, count - begin)), options.temperature);
    if (options.form == io::SignalForm::kTopK) {
      add_top_k(log_probs_PV, options.size, top);
    } else {
      add_samples(log_probs_PV, options, random, samples);
    }
  }
  return options.form == io::SignalForm::kTopK ? io::encode_top_k(top, count)
                                               : io::encode_sampled(samples, options.size, random);
}

}  // namespace

std::vector<CapturedSegment> capture(Teacher& teacher, const types::Batch& batch,
                                     const CaptureOptions& options) {
  const c10::NoGradGuard no_graph;
  const std::vector<types::SegmentKey> keys = types::segment_keys(batch);
  const RowSource source(teacher, batch, options.vocabulary);
  const at::Tensor mask = batch.loss_mask.cpu();
  std::vector<CapturedSegment> captured;
  for (std::size_t s = 0; s < keys.size(); ++s) {
    const std::int64_t begin = batch.input.segments[s];
    const at::Tensor inside = mask.narrow(0, begin, batch.input.segments[s + 1] - begin);
    const at::Tensor positions = at::nonzero(inside).squeeze(1) + begin;
    captured.push_back({keys[s], positions.size(0), {}});
    if (positions.size(0) > 0) {
      captured.back().payload = encode(source, positions, keys[s], options);
    }
  }
  return captured;
}

}  // namespace distill::teachers
