#pragma once

#include <vector>

#include <distill/data/dataset.h>
#include <distill/types/batch.h>

namespace distill::data {

/// Rows side by side as one packed batch on the CPU: shifted labels, mask, positions that restart
/// in every segment, segments. This is the only place where labels are shifted.
/// Rows that carry what another teacher reads give the batch's `teacher_tokens`.
/// Throws InputError for a row whose fields do not fit together.
types::Batch make_batch(const std::vector<Row>& rows);

}  // namespace distill::data
