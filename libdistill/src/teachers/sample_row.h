#pragma once

#include <cstdint>
#include <span>

#include <distill/io/signal_rows.h>

namespace distill::teachers {

/// A sample of one distribution: all ids of probability 1 / draws and more, and of each other one
/// with probability P draws. `log_probs` [V]; `start` in [0, 1) decides which ones: uniform, it
/// makes each id as likely as that.
io::SampledRow sample_row(std::span<const float> log_probs, std::int64_t draws, double start);

}  // namespace distill::teachers
