#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <distill/io/logit_cache.h>
#include <distill/teachers/teacher.h>
#include <distill/types/segment_key.h>

namespace distill::teachers {

/// What of a teacher's answers is kept.
struct CaptureOptions {
  io::SignalForm form = io::SignalForm::kTopK;
  std::int64_t size = 32;       ///< as io::LogitCacheSpec
  std::int64_t vocabulary = 0;  ///< ids of the tokenizer, over which the softmax goes
  double temperature = 1.0;
  std::uint64_t seed = 0;  ///< of the samples, together with a segment's key
};

struct CapturedSegment {
  types::SegmentKey key;
  std::int64_t positions = 0;
  std::vector<std::byte> payload;
};

/// Asks the teacher and puts its answers at the positions that count into the form in which a cache
/// keeps them. The same for a segment in whatever batch it is, as far as the teacher's numbers are.
///
/// Samples: an id of probability P is kept with probability min(1, P draws) and stands for
/// max(P, 1 / draws), so that every sum over ids keeps its expected value. What is kept of the ids
/// below 1 / draws is decided by one random number for a position (systematic sampling: Madow 1949,
/// "On the Theory of Systematic Sampling, II"), which makes the weights sum to 1 within 1 / draws.
/// Learning from few sampled logits is due to Anshumann et al. 2025, "Sparse Logit Sampling:
/// Accelerating Knowledge Distillation in LLMs", who draw with replacement; thresholds of this kind
/// to Duffield, Lund, Thorup 2007, "Priority Sampling for Estimation of Arbitrary Subset Sums".
/// docs/teachers.md says what was measured.
///
/// Throws TeacherError for a teacher that gives no whole distribution, one over fewer ids than
/// `vocabulary`, or numbers that are not finite.
std::vector<CapturedSegment> capture(Teacher& teacher, const types::Batch& batch,
                                     const CaptureOptions& options);

}  // namespace distill::teachers
