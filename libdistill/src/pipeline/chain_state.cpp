#include "pipeline/chain_state.h"

#include <algorithm>
#include <map>
#include <set>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/pipeline/measures.h>
#include <distill/recipe/write.h>

#include "pipeline/attempts.h"
#include "pipeline/gates.h"
#include "pipeline/stage_inputs.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using core::concat;
using Progress = StageState::Progress;

class Look {
 public:
  Look(const recipe::PipelineRecipe& recipe, const ChainManifest& manifest,
       const std::string& stored, const std::vector<std::string>& redo, FileHashes& hashes,
       std::vector<std::string>& problems)
      : recipe_(recipe), manifest_(manifest), redo_(redo), hashes_(hashes), problems_(problems) {
    if (!stored.empty() && recipe.problems.empty()) {
      differences_ = recipe::stage_differences(stored, recipe.output + "/recipe.yaml", recipe);
    }
  }

  std::vector<StageState> run() {
    check_redo();
    for (const recipe::Stage& stage : recipe_.stages) {
      StageState state;
      const auto is_known = [this](std::size_t needed) { return known_[needed]; };
      known_.push_back(stage.is_good && std::ranges::all_of(stage.needs, is_known));
      if (known_.back()) {
        state.settings = settings_of(stage);
        compare(stage, state);
      } else if (stage.is_good) {
        look_at_unknown(stage);
      }
      states_.push_back(std::move(state));
    }
    return std::move(states_);
  }

 private:
  void check_redo() {
    std::vector<std::string> names;
    for (const auto& stage : recipe_.stages) names.push_back(stage.name);
    for (const auto& name : redo_) {
      if (std::ranges::find(names, name) != names.end()) continue;
      problems_.push_back(concat("--redo ", core::printable(name), ": there is no such stage",
                                 core::did_you_mean(name, names), "; there are ",
                                 core::join(names)));
    }
  }

  std::string settings_of(const recipe::Stage& stage) const {
    std::vector<std::string> read;
    for (const std::size_t needed : stage.needs) read.push_back(states_[needed].settings);
    return settings_hash(stage, read);
  }

  void compare(const recipe::Stage& stage, StageState& state) {
    const StageRecord* record = manifest_.find(stage.name);
    const auto again = [&](std::string why) {
      look_for_inputs(stage);
      state.progress = Progress::kAgain;
      state.why = std::move(why);
    };
    if (record == nullptr) {
      // Of a time that the manifest tells of no more: its stage was not in the recipe for a while,
      // or what it learned from has been begun anew.
      if (core::path_exists(stage.folder)) return again("what it was made from may be another now");
      return look_for_inputs(stage);
    }
    for (const std::size_t needed : stage.needs) {
      const Progress before = states_[needed].progress;
      if (before != Progress::kAgain && before != Progress::kRetry) continue;
      return again(concat("`", recipe_.stages[needed].name, "` before it is done again"));
    }
    const bool redo = std::ranges::find(redo_, stage.name) != redo_.end();
    const bool same_settings = record->settings == state.settings;
    // One that the same command has begun already goes on.
    if (redo && (record->done || !same_settings || !changed_inputs(stage, *record).empty())) {
      return again("asked for by --redo");
    }
    if (!same_settings) {
      const auto found = differences_.find(stage.name);
      return again(found == differences_.end() ? "its recipe has changed"
                                               : core::join(found->second));
    }
    for (auto& problem : changed_inputs(stage, *record)) problems_.push_back(std::move(problem));
    if (!record->done) {
      state.progress = Progress::kBegun;
      return;
    }
    for (const FileRecord& file : record->outputs) {
      if (!core::path_exists(file.path)) return again(file.path + " is not there any more");
      if (hashes_.is_same(file)) continue;
      problems_.push_back(concat(stage.source.where(""), ": ", file.path,
                                 " is another than the stage wrote; bring it back, or add --redo ",
                                 stage.name, " to do it and what follows again"));
    }
    state.progress = Progress::kDone;
    judge_again(stage, state);
  }

  /// Whether it is to be done again hangs on a stage that is not good.
  void look_at_unknown(const recipe::Stage& stage) {
    const StageRecord* record = manifest_.find(stage.name);
    if (record == nullptr || !record->done) look_for_inputs(stage);
  }

  void judge_again(const recipe::Stage& stage, StageState& state) {
    const auto* run = std::get_if<recipe::Recipe>(&stage.recipe);
    if (run == nullptr || run->gates.empty()) return;
    const fs::path report_file = stage.folder / "report.json";
    if (!core::path_exists(report_file)) {  // it is made again from what else is there
      state.progress = Progress::kBegun;
      return;
    }
    const Report report = read_report(report_file);
    std::vector<std::string> names;
    for (const auto& [name, value] : measures(report)) names.push_back(name);
    const auto problems = gate_problems(*run, names);
    if (!problems.empty()) {
      problems_.insert(problems_.end(), problems.begin(), problems.end());
      return;
    }
    state.gates = judge(*run, report);
    const GateResult* failed = deciding_gate(state.gates);
    if (failed == nullptr) return;
    const bool retries = failed->on_failure == recipe::OnFailure::kRetry;
    if (retries && has_try_left(stage.folder, *run, *failed)) {
      state.progress = Progress::kRetry;
      state.why = gate_line(*failed);
    } else {
      state.stopped_by = gate_line(*failed);
    }
  }

  void look_for_inputs(const recipe::Stage& stage) {
    for (auto& line : missing_inputs(stage, recipe_.output)) problems_.push_back(std::move(line));
  }

  /// A line for each.
  std::vector<std::string> changed_inputs(const recipe::Stage& stage, const StageRecord& record) {
    std::vector<std::string> problems;
    std::map<std::string, const FileRecord*> before;
    for (const FileRecord& file : record.inputs) before[file.path] = &file;
    std::set<std::string> gone;
    for (const FileRecord& file : record.inputs) gone.insert(file.path);
    bool all_found = true;
    const recipe::Stage as_done = with_settings(stage, record.set);
    for (const StageInput& input : external_inputs(as_done, recipe_.output)) {
      std::vector<fs::path> files;
      try {
        files = input.files();
      } catch (const InputError& error) {
        all_found = false;
        // What is done needs it no more.
        if (record.done) continue;
        problems.push_back(concat(stage.source.where(input.key), ": ", error.what()));
        continue;
      }
      for (const fs::path& file : files) {
        gone.erase(file.string());
        const auto known = before.find(file.string());
        if (known != before.end() && hashes_.is_same(*known->second)) continue;
        problems.push_back(concat(stage.source.where(input.key), ": ", core::shown(file),
                                  known == before.end() ? " is new" : " has changed",
                                  " since the stage `", stage.name,
                                  "` was begun; bring it back, or add --redo ", stage.name,
                                  " to do it and what follows again"));
      }
    }
    if (!all_found) return problems;  // the files of what is missing as a whole are among them
    for (const std::string& file : gone) {
      problems.push_back(concat(stage.source.where(""), ": ", core::shown(file),
                                ", which the stage `", stage.name,
                                "` read, is not there any more; bring it back, or add --redo ",
                                stage.name, " to do it and what follows again"));
    }
    return problems;
  }

  const recipe::PipelineRecipe& recipe_;
  const ChainManifest& manifest_;
  const std::vector<std::string>& redo_;
  FileHashes& hashes_;
  std::vector<std::string>& problems_;
  std::map<std::string, std::vector<std::string>> differences_;
  std::vector<StageState> states_;
  std::vector<bool> known_;  ///< stages that are good, and all that they need
};

}  // namespace

std::string settings_hash(const recipe::Stage& stage, const std::vector<std::string>& read) {
  core::Hasher hasher;
  hasher.add(recipe::stage_identity(stage));
  for (const std::string& settings : read) hasher.add(settings);
  return hasher.hex();
}

std::vector<StageState> look_at_stages(const recipe::PipelineRecipe& recipe,
                                       const ChainManifest& manifest, const std::string& stored,
                                       const std::vector<std::string>& redo, FileHashes& hashes,
                                       std::vector<std::string>& problems) {
  return Look(recipe, manifest, stored, redo, hashes, problems).run();
}

}  // namespace distill::pipeline
