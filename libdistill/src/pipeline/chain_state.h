#pragma once

#include <set>
#include <string>
#include <vector>

#include <distill/pipeline/report.h>
#include <distill/recipe/pipeline_recipe.h>

#include "pipeline/chain_manifest.h"
#include "pipeline/file_hashes.h"

namespace distill::pipeline {

/// How far a stage is.
struct StageState {
  enum class Progress {
    kNew,
    kBegun,  ///< it goes on
    kDone,   ///< nothing is left to do
    kRetry,  ///< it was done, and a gate that is new wants another try of it
    kAgain   ///< what is there goes aside
  };
  Progress progress = Progress::kNew;
  std::string why;       ///< for people, with kAgain and kRetry
  std::string settings;  ///< as StageRecord::settings
  /// With kDone and kRetry: the gates of the recipe, held against what the stage measured.
  std::vector<GateResult> gates = {};
  /// With kDone: the gate that does not let the pipeline go on, for people; empty: none.
  std::string stopped_by = {};
};

/// Hash of a stage's recipe and of the settings of the stages that it reads.
std::string settings_hash(const recipe::Stage& stage, const std::vector<std::string>& read);

/// Compares a pipeline with what was done of it. Gates of what is done are judged again, from its
/// report: they may be others now. `stored`: the resolved recipe of that time, or
/// empty; `redo`: names of stages to do again whatever is there. Input that is missing, or that has
/// changed under a stage since it was begun, is a line in `problems`, as is a name in `redo` that
/// means no stage. Stages that are not good count as new, as do those behind them.
std::vector<StageState> look_at_stages(const recipe::PipelineRecipe& recipe,
                                       const ChainManifest& manifest, const std::string& stored,
                                       const std::vector<std::string>& redo, FileHashes& hashes,
                                       std::vector<std::string>& problems);

}  // namespace distill::pipeline
