#pragma once

#include <vector>

#include <distill/types/batch.h>
#include <distill/types/model_output.h>

namespace distill::teachers {

/// Mean negative log-likelihood of each segment's targets, nats a token; 0 for a segment without.
std::vector<double> segment_nll(const types::ModelOutput& output, const types::Batch& batch);

}  // namespace distill::teachers
