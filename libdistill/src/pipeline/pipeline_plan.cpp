#include <distill/pipeline/pipeline_plan.h>

#include <algorithm>
#include <set>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/memory.h>
#include <distill/core/paths.h>
#include <distill/recipe/cache.h>

#include "pipeline/chain_folder.h"
#include "pipeline/chain_state.h"
#include "pipeline/gates.h"
#include "pipeline/memory.h"
#include "pipeline/stage_costs.h"
#include "pipeline/stage_inputs.h"
#include "pipeline/stand_ins.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using core::concat;
using recipe::StageKind;
using Progress = StageState::Progress;

/// A message of wiring, which may begin with a dotted path, with its place in the file.
std::string located(const recipe::SourceMap& source, const std::string& line) {
  const auto colon = line.find(": ");
  if (colon != std::string::npos) {
    const std::string key = line.substr(0, colon);
    const bool is_key =
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") == std::string::npos &&
        source.places.contains(key.substr(0, key.find('.')));
    if (is_key) return source.where(key) + line.substr(colon);
  }
  return concat(source.where(""), ": ", line);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string state_text(const StageState& state) {
  switch (state.progress) {
    case Progress::kNew:
      return "new";
    case Progress::kBegun:
      return "goes on";
    case Progress::kDone:
      return "done";
    case Progress::kAgain:
      break;
  }
  return "again: " + state.why;
}

class Planner {
 public:
  Planner(const recipe::PipelineRecipe& recipe, const RunOptions& options, core::Logger& log)
      : recipe_(recipe),
        options_(options),
        log_(log),
        stand_ins_(options.scratch_folder, recipe.output) {}

  PipelinePlan run(const std::vector<std::string>& redo) {
    check_outputs();
    FileHashes hashes([this] { stop_if_asked(); });
    const ChainManifest manifest = read_chain_manifest(fs::path(recipe_.output) / "manifest.json");
    const bool restarts = options_.policy == StartPolicy::kRestart;
    const auto states = look_at_stages(recipe_, restarts ? ChainManifest{} : manifest,
                                       stored_pipeline(recipe_.output), redo, hashes, problems_);
    for (std::size_t i = 0; i < recipe_.stages.size(); ++i) plan_stage(i, states[i]);
    look_for_unread();
    plan_.free_space = core::free_space(recipe_.output);
    if (!problems_.empty()) throw ConfigError(core::join(problems_, "\n"));
    return std::move(plan_);
  }

 private:
  void stop_if_asked() const {
    if (options_.stop == nullptr || !options_.stop->requested()) return;
    fail<Interrupted>("stopped by signal ", options_.stop->reason());
  }

  /// What a stage writes or a restart moves must be nothing that somebody reads.
  void check_outputs() {
    for (const recipe::Stage& stage : recipe_.stages) {
      for (const StageInput& input : external_inputs(stage, recipe_.output)) {
        if (!is_within(input.path, recipe_.output)) continue;
        problems_.push_back(concat(stage.source.where(input.key), ": ", core::shown(input.path),
                                   " lies in the pipeline's own folder ", recipe_.output,
                                   ", which it writes to; keep what is read elsewhere, or name a "
                                   "stage's result as `${stages.NAME.output}`"));
      }
    }
  }

  void plan_stage(std::size_t index, const StageState& state) {
    const recipe::Stage& stage = recipe_.stages[index];
    StagePlan& planned = plan_.stages.emplace_back();
    planned.name = stage.name;
    planned.kind = stage.kind;
    planned.state = state_text(state);
    planned.is_done = state.progress == Progress::kDone;
    const std::string teacher = teacher_of(stage);
    const std::string student = student_of(stage);
    planned.models =
        teacher.empty() || student.empty() ? teacher + student : concat(teacher, " -> ", student);
    if (planned.is_done) return;
    const auto is_broken = [this](std::size_t needed) { return broken_.contains(needed); };
    if (std::ranges::any_of(stage.needs, is_broken) || !is_all_there(stage)) {
      broken_.insert(index);
      return;
    }
    try {
      plan_kind(stand_ins_.with_stand_ins(stage), stage, planned);
    } catch (const Interrupted&) {
      throw;
    } catch (const InputError& error) {
      broken_.insert(index);
      for (const auto& line : lines_of(stand_ins_.real_names(error.what()))) {
        problems_.push_back(located(stage.source, line));
      }
    }
  }

  /// Or the problem is known, and would only be told again in other words.
  bool is_all_there(const recipe::Stage& stage) const {
    try {
      for (const StageInput& input : external_inputs(stage, recipe_.output)) {
        if (is_within(input.path, recipe_.output)) return false;
        input.files();
      }
    } catch (const InputError&) {
      return false;
    }
    return true;
  }

  void plan_kind(const recipe::Stage& own, const recipe::Stage& stage, StagePlan& planned) {
    switch (stage.kind) {
      case StageKind::kTrain:
        plan_run(own.run(), planned);
        if (stage.result() == recipe::StageResult::kModel) {
          stand_ins_.add_model(stage, planned.plan->models);
        }
        add_run_costs(own.run(), planned);
        break;
      case StageKind::kEvaluate:
        plan_run(own.run(), planned);
        add_evaluation_costs(own.run(), planned);
        break;
      case StageKind::kCache:
        plan_capture(own, stage, planned);
        break;
      case StageKind::kGenerate:
        add_generate_costs(std::get<recipe::GenerateRecipe>(own.recipe), planned);
        stand_ins_.add_rows(stage, quiet_log());
        break;
      case StageKind::kMerge:
        add_merge_costs(std::get<recipe::MergeRecipe>(own.recipe), planned);
        stand_ins_.add_merged(stage);
        break;
    }
    use_real_names(planned);
  }

  void plan_run(const recipe::Recipe& own, StagePlan& planned) {
    TokenizingProgress progress(options_, log_);
    planned.plan = make_plan(own, quiet_log(), progress.hooks([this] { stop_if_asked(); }));
    for (const auto& line : gate_problems(own)) problems_.push_back(line);
  }

  void plan_capture(const recipe::Stage& own, const recipe::Stage& stage, StagePlan& planned) {
    const recipe::PlannedModels models = recipe::plan_capture(own.run());
    TokenizingProgress progress(options_, log_);
    const recipe::DataParts data = recipe::load_data(own.run(), models, quiet_log(),
                                                     progress.hooks([this] { stop_if_asked(); }));
    add_capture_costs(own.run(), models, data, planned);
    stand_ins_.add_cache(stage, models, data);
  }

  void use_real_names(StagePlan& planned) const {
    if (!planned.plan) return;
    const auto real = [this](recipe::ModelFacts& facts) {
      facts.folder = stand_ins_.real_names(facts.folder.string());
    };
    recipe::PlannedModels& models = planned.plan->models;
    real(models.student);
    if (models.teacher) real(*models.teacher);
    for (auto& teacher : models.several) real(teacher);
    if (models.cache) models.cache->folder = stand_ins_.real_names(models.cache->folder.string());
    for (auto& check : planned.plan->preflight.checks)
      check.what = stand_ins_.real_names(check.what);
    for (auto* report : {&planned.plan->train_data,
                         planned.plan->eval_data ? &*planned.plan->eval_data : nullptr}) {
      if (report == nullptr) continue;
      for (auto& file : report->files) file.path = stand_ins_.real_names(file.path);
    }
  }

  /// Work for nobody is likely a slip.
  void look_for_unread() {
    std::set<std::size_t> read;
    for (const auto& stage : recipe_.stages) read.insert(stage.needs.begin(), stage.needs.end());
    for (std::size_t i = 0; i < recipe_.stages.size(); ++i) {
      const recipe::Stage& stage = recipe_.stages[i];
      if (read.contains(i) || stage.result() == recipe::StageResult::kNothing) continue;
      if (&stage == recipe_.final_stage()) continue;
      plan_.warnings.push_back(concat(stage.source.where(""), ": no stage reads the result of `",
                                      stage.name, "`, and it is not the last model"));
    }
  }

  /// What is worth saying is said when the stage runs.
  core::Logger& quiet_log() { return *quiet_; }

  const recipe::PipelineRecipe& recipe_;
  const RunOptions& options_;
  core::Logger& log_;
  StandIns stand_ins_;
  std::unique_ptr<core::Logger> quiet_ = core::make_null_logger();
  PipelinePlan plan_;
  std::vector<std::string> problems_;
  std::set<std::size_t> broken_;  ///< stages that could not be planned
};

}  // namespace

std::uint64_t PipelinePlan::disk() const {
  std::uint64_t sum = 0;
  for (const StagePlan& stage : stages) sum += stage.is_done ? 0 : stage.disk.total();
  return sum;
}

PipelinePlan plan_pipeline(const recipe::PipelineRecipe& recipe,
                           const std::vector<std::string>& redo, const RunOptions& options,
                           core::Logger& log) {
  return Planner(recipe, options, log).run(redo);
}

}  // namespace distill::pipeline
