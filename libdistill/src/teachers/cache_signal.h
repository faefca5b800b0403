#pragma once

#include <vector>

#include <distill/io/logit_cache.h>
#include <distill/types/batch.h>
#include <distill/types/segment_key.h>
#include <distill/types/teacher_signal.h>

namespace distill::teachers {

/// The signal of a whole batch from its segments, on the CPU; of hidden states without their head.
/// Positions that do not count hold zeros. Throws TeacherError for a segment that is not there,
/// FormatError for one that is damaged or holds another number of positions than the batch asks
/// for.
types::TeacherSignal read_signal(const io::LogitCache& cache, const types::Batch& batch,
                                 const std::vector<types::SegmentKey>& keys);

}  // namespace distill::teachers
