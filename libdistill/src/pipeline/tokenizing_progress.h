#pragma once

#include <functional>

#include <distill/core/log.h>
#include <distill/core/progress.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// A bar of a run that is shown as its options ask for.
core::ProgressOptions bar_options(const std::string& label, const RunOptions& options,
                                  core::Logger& log);

/// Shows how far the reading of data has come, as a run's options ask for.
class TokenizingProgress {
 public:
  TokenizingProgress(const RunOptions& options, core::Logger& log);
  /// For load_data; this must outlive them.
  recipe::DataHooks hooks(std::function<void()> between_rows);

 private:
  std::string cache_folder_;
  core::ProgressBar bar_;
};

}  // namespace distill::pipeline
