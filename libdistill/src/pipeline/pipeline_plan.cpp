#include <distill/pipeline/pipeline_plan.h>

#include <algorithm>
#include <functional>
#include <set>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/memory.h>
#include <distill/core/paths.h>
#include <distill/generation/generate_data.h>
#include <distill/recipe/cache.h>
#include <distill/recipe/path_names.h>

#include "pipeline/chain_folder.h"
#include "pipeline/chain_state.h"
#include "pipeline/gates.h"
#include "pipeline/generate_stage.h"
#include "pipeline/memory.h"
#include "pipeline/problem_lines.h"
#include "pipeline/stage_costs.h"
#include "pipeline/stage_inputs.h"
#include "pipeline/stand_ins.h"
#include "pipeline/tokenizing_progress.h"
#include "pipeline/tries.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using core::concat;
using recipe::StageKind;
using Progress = StageState::Progress;

std::string state_text(const StageState& state) {
  switch (state.progress) {
    case Progress::kNew:
      return "new";
    case Progress::kBegun:
      return "goes on";
    case Progress::kDone:
      return state.stopped_by.empty() ? "done" : "done, but " + state.stopped_by;
    case Progress::kRetry:
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
        stand_ins_(options.scratch_folder, recipe.output),
        problems_(recipe.problems) {}

  PipelinePlan run(const std::vector<std::string>& redo) {
    try {
      look(redo);
    } catch (const Error& error) {
      if (recipe_.problems.empty()) throw;
      // These are told whatever else happens; that somebody asks for a stop meanwhile is no
      // problem.
      if (dynamic_cast<const Interrupted*>(&error) == nullptr) problems_.push_back(error.what());
    }
    sort_by_line(problems_);
    if (!problems_.empty()) throw ConfigError(core::join(problems_, "\n"));
    return std::move(plan_);
  }

 private:
  void look(const std::vector<std::string>& redo) {
    const bool restarts = options_.policy == StartPolicy::kRestart;
    const bool is_ours = check_folder(restarts);
    check_outputs();
    FileHashes hashes([this] { stop_if_asked(); });
    const bool goes_on = is_ours && !restarts;
    const auto states = look_at_stages(
        recipe_, goes_on ? read_chain_manifest(manifest_path()) : ChainManifest{},
        goes_on ? stored_pipeline(recipe_.output) : std::string(), redo, hashes, problems_);
    for (std::size_t i = 0; i < recipe_.stages.size(); ++i) {
      plan_stage(i, restarts ? StageState{} : states[i]);
    }
    look_for_unread();
    for_each_memory(plan_, [this](const StagePlan& stage, const MemoryEstimate& memory,
                                  const std::string& name) {
      const auto trouble = memory_trouble(memory, stage.device, options_.available_memory);
      if (!trouble.text.empty()) plan_.warnings.push_back(concat(name, ": ", trouble.text));
    });
    plan_.free_space = core::free_space(recipe_.output);
  }

  void stop_if_asked() const {
    if (options_.stop == nullptr || !options_.stop->requested()) return;
    fail<Interrupted>("stopped by signal ", options_.stop->reason());
  }

  fs::path manifest_path() const { return fs::path(recipe_.output) / "manifest.json"; }

  /// False, and a problem, for a folder of something else; a restart moves another pipeline away.
  bool check_folder(bool restarts) {
    const std::string where = recipe_.source.where("output") + ": ";
    try {
      require_pipeline_or_nothing(recipe_.output);
    } catch (const InputError& error) {
      problems_.push_back(where + error.what());
      return false;
    }
    const std::string other = restarts ? "" : read_chain_manifest(manifest_path()).name;
    if (other.empty() || other == recipe_.name) return true;
    problems_.push_back(concat(where, core::shown(recipe_.output),
                               " is the folder of the pipeline `", core::printable(other),
                               "`, and this one is `", recipe_.name,
                               "`; choose another `output`, or --restart to move the other away"));
    return false;
  }

  /// What a stage writes or a restart moves must be nothing that somebody reads.
  void check_outputs() {
    for (const recipe::Stage& stage : recipe_.stages) {
      if (!stage.is_good) continue;
      for (const StageInput& input : external_inputs(stage, recipe_.output)) {
        if (!is_own(input)) continue;
        problems_.push_back(concat(stage.source.where(input.key), ": ", own_path(input)));
      }
    }
  }

  /// By its name, or by way of a link.
  bool is_own(const StageInput& input) const {
    if (recipe::is_within(input.path, recipe_.output)) return true;
    std::error_code error;
    const fs::path path = fs::weakly_canonical(input.path, error);
    const fs::path folder = error ? fs::path() : fs::weakly_canonical(recipe_.output, error);
    return !error && recipe::is_within(path, folder);
  }

  std::string own_path(const StageInput& input) const {
    return concat(core::shown(input.path), " lies in the pipeline's own folder ", recipe_.output,
                  ", which it writes to; keep what is read elsewhere, or name a stage's result as "
                  "`${stages.NAME.output}`");
  }

  void plan_stage(std::size_t index, const StageState& state) {
    const recipe::Stage& stage = recipe_.stages[index];
    StagePlan& planned = plan_.stages.emplace_back();
    planned.name = stage.name;
    planned.kind = stage.kind;
    planned.state = state_text(state);
    planned.is_done = state.progress == Progress::kDone;
    if (!stage.is_good) {
      broken_.insert(index);
      return;
    }
    const std::string teacher = teacher_of(stage);
    const std::string student = student_of(stage);
    planned.models =
        teacher.empty() || student.empty() ? teacher + student : concat(teacher, " -> ", student);
    if (planned.is_done) return;
    const auto is_broken = [this](std::size_t needed) { return broken_.contains(needed); };
    if (std::ranges::any_of(stage.needs, is_broken) || !is_all_there(stage)) {
      broken_.insert(index);
      if (!reads_cache(stage)) check_gates(stage);
      return;
    }
    const recipe::Stage own = stand_ins_.with_stand_ins(stage);
    told_before_gates_ = problems_.size();
    check_gates(own);
    attempt(index, [&] { check_secret(stage, options_); });
    attempt(index, [&] {
      if (stage.kind == StageKind::kGenerate) {
        check_generator(std::get<recipe::GenerateRecipe>(own.recipe));
      }
    });
    if (!attempt(index, [&] { plan_kind(own, stage, planned); })) broken_.insert(index);
  }

  /// False when something is wrong, which does not keep the rest from being looked at.
  bool attempt(std::size_t index, const std::function<void()>& part) {
    try {
      part();
      return true;
    } catch (const InputError& error) {
      for (const auto& line : lines_of(stand_ins_.real_names(error.what()))) {
        // Gates of this stage may have asked for the same file, and know a better place.
        const auto since = problems_.begin() + static_cast<std::ptrdiff_t>(told_before_gates_);
        const bool told = std::any_of(since, problems_.end(), [&](const std::string& known) {
          return known.ends_with(": " + line);
        });
        if (!told) problems_.push_back(located(recipe_.stages[index].source, line));
      }
      return false;
    }
  }

  /// Or the problem is known, and would only be told again in other words.
  bool is_all_there(const recipe::Stage& stage) const {
    try {
      for (const StageInput& input : external_inputs(stage, recipe_.output)) {
        if (is_own(input)) return false;
        input.files();
      }
    } catch (const InputError&) {
      return false;
    }
    return true;
  }

  static bool has_gates(const recipe::Stage& stage) {
    return stage.kind == StageKind::kTrain || stage.kind == StageKind::kEvaluate;
  }

  static bool reads_cache(const recipe::Stage& stage) {
    return has_gates(stage) && recipe::cache_teacher(stage.run()) != nullptr;
  }

  /// What will be measured hangs on no model, but on what a teacher's cache and evaluation sets
  /// are.
  void check_gates(const recipe::Stage& stage) {
    if (!has_gates(stage)) return;
    try {
      tell(gate_problems(stage.run()));
    } catch (const InputError&) {
      // Of such a file, which is told of where it is looked for or planned.
    }
  }

  void plan_kind(const recipe::Stage& own, const recipe::Stage& stage, StagePlan& planned) {
    switch (stage.kind) {
      case StageKind::kTrain:
        planned.plan = plan_run(own.run());
        if (stage.result() == recipe::StageResult::kModel) {
          stand_ins_.add_model(stage, planned.plan->models);
        }
        add_run_costs(own.run(), planned);
        plan_tries(stage, planned);
        break;
      case StageKind::kEvaluate:
        planned.plan = plan_run(own.run());
        add_evaluation_costs(own.run(), planned);
        break;
      case StageKind::kCache:
        plan_capture(own, stage, planned);
        break;
      case StageKind::kGenerate:
        plan_generate(std::get<recipe::GenerateRecipe>(own.recipe), stage, planned);
        break;
      case StageKind::kMerge:
        add_merge_costs(std::get<recipe::MergeRecipe>(own.recipe), planned);
        stand_ins_.add_merged(stage);
        break;
    }
    use_real_names(planned);
  }

  /// Tokens of rows that stand in for others go where those are: nobody asks for them again.
  recipe::Recipe with_own_cache(recipe::Recipe own) const {
    const bool keeps =
        own.data.cache != "off" && (own.data.cache != "auto" || !options_.cache_folder.empty());
    if (keeps && stand_ins_.has_rows(own)) own.data.cache = stand_ins_.token_folder(own);
    return own;
  }

  RowFactor factor() const {
    return [this](const std::string& path) { return stand_ins_.rows_for_each(path); };
  }

  Plan plan_run(const recipe::Recipe& own) {
    TokenizingProgress progress(options_, log_);
    return make_plan(with_own_cache(own), quiet_log(), progress.hooks([this] { stop_if_asked(); }),
                     factor());
  }

  void tell(const std::vector<std::string>& problems) {
    problems_.insert(problems_.end(), problems.begin(), problems.end());
  }

  void plan_tries(const recipe::Stage& stage, StagePlan& planned) {
    const auto problems = try_problems(stage.run(), stage.source, [&](const Try& one) {
      const recipe::Stage tried = with_settings(stage, one.set);
      for (const StageInput& input : external_inputs(tried, recipe_.output)) {
        require_input(input);
      }
      const recipe::Stage own = stand_ins_.with_stand_ins(tried);
      try {
        planned.tries.push_back({one.where, memory_of(own.run(), one, *planned.plan)});
        if (gate_problems(stand_ins_.with_stand_ins(stage).run()).empty()) require_gates(own.run());
      } catch (const InputError& error) {
        fail<ConfigError>(stand_ins_.real_names(error.what()));
      }
    });
    tell(problems);
  }

  void require_input(const StageInput& input) const {
    if (is_own(input)) fail<ConfigError>(input.key, ": ", own_path(input));
    try {
      input.files();
    } catch (const InputError& error) {
      fail<ConfigError>(input.key, ": ", error.what());
    }
  }

  MemoryEstimate memory_of(const recipe::Recipe& own, const Try& one, const Plan& first) {
    if (!one.reads_same_data()) return plan_run(own).memory;
    const recipe::PlannedModels models = recipe::plan_models(own);
    recipe::total_steps(own, first.train_rows);
    MemoryEstimate memory = estimate_memory(own, models, 0);
    memory.library = first.memory.library;
    return memory;
  }

  void plan_generate(const recipe::GenerateRecipe& own, const recipe::Stage& stage,
                     StagePlan& planned) {
    const std::int64_t prompts =
        generation::count_prompts(own.generate.prompts, [this] { stop_if_asked(); });
    add_generate_costs(own, prompts, planned);
    stand_ins_.add_rows(stage, prompts, options_.stop, quiet_log());
  }

  void plan_capture(const recipe::Stage& own, const recipe::Stage& stage, StagePlan& planned) {
    const recipe::PlannedModels models = recipe::plan_capture(own.run());
    TokenizingProgress progress(options_, log_);
    const recipe::DataParts data = recipe::load_data(with_own_cache(own.run()), models, quiet_log(),
                                                     progress.hooks([this] { stop_if_asked(); }));
    add_capture_costs(own.run(), models, data, factor(), planned);
    stand_ins_.add_cache(stage, models, data, [this] { stop_if_asked(); });
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
  std::size_t told_before_gates_ = 0;  ///< problems, when the gates of a stage were looked at
  std::set<std::size_t> broken_;       ///< stages that could not be planned
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
