#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <distill/metrics/sink.h>

namespace distill::metrics::detail {

/// What the console shows of one step.
struct ConsoleStep {
  std::string label = "distilling";
  std::int64_t step = 0;
  std::int64_t total_steps = 0;
  std::optional<double> loss;
  std::optional<double> lr;
  std::optional<double> grad_norm;
  std::optional<double> tokens_per_second;
  std::optional<double> eta_seconds;
  std::optional<double> whole_eta_seconds;  ///< of all runs of which this is one
};

/// `step 20/200  loss 2.031  lr 9.1e-04  grad 1.2  412 tok/s  ETA 3 min 20 s (all: 1 h 4 min)`
std::string plain_line(const ConsoleStep& step);

/// `distilling  42 % [###.....]  step 84/200  loss 1.43  412 tok/s  ETA 2 min 3 s` in at most
/// `width` columns. The bar shrinks and goes first, then speed, step, the time of all runs, loss
/// and ETA, in this order; a bar comes back where that leaves room for one.
std::string progress_line(const ConsoleStep& step, std::int64_t width);

/// `evaluation  step 100  perplexity 12.31`; control characters in texts are made visible.
std::string event_line(const std::string& event, const Values& values);

}  // namespace distill::metrics::detail
