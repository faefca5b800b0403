#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include <distill/core/log.h>
#include <distill/core/progress.h>
#include <distill/core/stop_flag.h>
#include <distill/data/dataset.h>
#include <distill/dist/communicator.h>
#include <distill/io/logit_cache.h>
#include <distill/recipe/recipe.h>
#include <distill/teachers/teacher.h>

namespace distill::pipeline {

/// What is asked of a teacher, and where its answers go.
struct CaptureJob {
  std::filesystem::path folder;
  io::LogitCacheSpec spec;
  std::vector<std::shared_ptr<const data::Dataset>> data;
  std::uint64_t seed = 0;        ///< of the sampled form
  at::Device device = at::kCPU;  ///< where the teacher is
  /// Of one forward pass, about. Part of what decides the last bits of a teacher's numbers.
  std::int64_t tokens_at_once = 2048;
  bool restart = false;             ///< begin anew where something is already
  std::filesystem::path head = {};  ///< of hidden states: a file that is moved into the folder
  const core::StopFlag* stop = nullptr;
  core::ProgressOptions progress = {};
};

/// Captures every segment of the data once, whatever rows it is in: the ranks take turns, each
/// writes a file of its own. A stopped or killed capture goes on where it was, with any number of
/// ranks, and ends with the same signals. Collective. Throws Interrupted when stopped on any rank,
/// and as io::LogitCacheWriter and teachers::capture.
io::LogitCacheInfo capture_cache(const CaptureJob& job, teachers::Teacher& teacher,
                                 dist::Communicator& ranks, core::Logger& log);

struct CaptureOptions {
  bool restart = false;
  std::string token_cache = {};  ///< what `data.cache: auto` stands for; empty: off
  std::optional<std::uint64_t> available_memory = {};  ///< as in models::LoadOptions
  const core::StopFlag* stop = nullptr;
  core::ProgressOptions progress = {};
};

/// The same of a recipe: what its teacher (`kind: cache`, with `model`) says about `data.train` and
/// `data.eval`, on this process alone. Throws as recipe::plan_capture, recipe::load_data and
/// models::load_causal_lm too.
io::LogitCacheInfo capture_recipe(const recipe::Recipe& recipe, const CaptureOptions& options,
                                  core::Logger& log);

}  // namespace distill::pipeline
