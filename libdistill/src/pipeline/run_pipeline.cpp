#include <distill/pipeline/run_pipeline.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/memory.h>
#include <distill/core/paths.h>
#include <distill/models/memory.h>
#include <distill/pipeline/pipeline_plan.h>
#include <distill/pipeline/report_html.h>
#include <distill/recipe/write.h>

#include "pipeline/attempts.h"
#include "pipeline/chain_folder.h"
#include "pipeline/chain_manifest.h"
#include "pipeline/chain_state.h"
#include "pipeline/code_version.h"
#include "pipeline/error_message.h"
#include "pipeline/folders.h"
#include "pipeline/gates.h"
#include "pipeline/memory.h"
#include "pipeline/run_stage.h"
#include "pipeline/stage_costs.h"
#include "pipeline/stage_inputs.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using core::concat;
using Progress = StageState::Progress;

/// A stage that will not fit is found before the first one has run for a day.
void require_resources(const PipelinePlan& plan, const RunOptions& options, core::Logger& log) {
  std::vector<std::string> problems;
  for_each_memory(
      plan, [&](const StagePlan& stage, const MemoryEstimate& memory, const std::string& name) {
        const auto trouble = memory_trouble(memory, stage.device, options.available_memory);
        if (trouble.certain) problems.push_back(concat(name, ": ", trouble.text));
      });
  if (!problems.empty()) throw InputError(core::join(problems, "\n"));
  for (const auto& warning : plan.warnings) log.warning(warning);
  if (plan.free_space && plan.disk() > *plan.free_space) {
    log.warning("all stages together will leave about ", core::human_bytes(plan.disk()),
                " on the disk, ", core::human_bytes(*plan.free_space),
                " are free; with a smaller `checkpoint.keep` it is less");
  }
}

class Chain {
 public:
  Chain(const recipe::PipelineRecipe& recipe, const PipelinePlan& plan, const RunOptions& options,
        core::Logger& log)
      : recipe_(recipe),
        plan_(plan),
        options_(options),
        log_(log),
        folder_(recipe.output, options.policy, log),
        hashes_([this] { stop_if_asked(); }),
        manifest_(read_chain_manifest(folder_.manifest())) {
    for (const StageRecord& record : manifest_.stages) {
      hashes_.remember(record.inputs);
      hashes_.remember(record.outputs);
    }
  }

  PipelineResult run(const std::vector<std::string>& redo) {
    std::vector<std::string> problems;
    const auto states = look_at_stages(recipe_, manifest_, stored_pipeline(folder_.path()), redo,
                                       hashes_, problems);
    if (!problems.empty()) throw ConfigError(core::join(problems, "\n"));
    renew_records();
    for (const auto& stage : recipe_.stages) folder_.remove_leftovers(stage.folder);
    folder_.store_recipe(recipe::write_recipe(recipe_));
    result_.name = recipe_.name;
    result_.folder = folder_.path();
    folder_.remove_stopped_report();
    try {
      for (std::size_t i = 0; i < recipe_.stages.size(); ++i) do_stage(i, states[i]);
    } catch (const Interrupted&) {  // to be gone on with
      throw;
    } catch (const std::exception& error) {
      report_stop(error_message(error));
      throw;
    }
    finish();
    return std::move(result_);
  }

 private:
  void stop_if_asked() const {
    if (options_.stop == nullptr || !options_.stop->requested()) return;
    fail<Interrupted>(folder_.path().string(), ": stopped by signal ", options_.stop->reason(),
                      "; run the same command again to go on");
  }

  /// Files that look changed and are not need not be read again the next time.
  void renew_records() {
    bool any = false;
    for (StageRecord& record : manifest_.stages) {
      for (auto* files : {&record.inputs, &record.outputs}) {
        for (FileRecord& file : *files) any = hashes_.renew(file) || any;
      }
    }
    if (any) write_chain_manifest(folder_.manifest(), manifest_, recipe_);
  }

  std::string label(std::size_t index) const {
    return concat("stage ", index + 1, "/", recipe_.stages.size(), " ", recipe_.stages[index].name);
  }

  void do_stage(std::size_t index, const StageState& state) {
    const recipe::Stage& stage = recipe_.stages[index];
    StageOutcome& outcome = result_.stages.emplace_back();
    outcome.name = stage.name;
    outcome.kind = stage.kind;
    if (state.progress == Progress::kDone) return skip(index, state, outcome);
    stop_if_asked();
    announce(index, state);
    if (state.progress == Progress::kAgain && core::path_exists(stage.folder)) {
      move_aside(stage.folder, log_);
    }
    if (state.progress != Progress::kBegun) begin(stage, state);
    models::release_freed_memory();  // of the stage before: the next one plans with what is free
    core::forget_peak_memory();
    const auto start = std::chrono::steady_clock::now();
    const auto time = [&] {
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      outcome.seconds =
          outcome.report && outcome.report->seconds > 0 ? outcome.report->seconds : elapsed.count();
    };
    try {
      outcome.report = run_stage(stage, options_for(index), log_);
    } catch (const RunStopped& why) {
      outcome.report = why.report();
      time();
      throw;
    }
    time();
    end(index, state, outcome);
  }

  void skip(std::size_t index, const StageState& state, StageOutcome& outcome) {
    const recipe::Stage& stage = recipe_.stages[index];
    const StageRecord& record = *manifest_.find(stage.name);
    log_.info(label(index), ": done before and unchanged, skipped");
    if (record.version != code_version()) {
      log_.warning(label(index), ": was done by version ", core::printable(record.version),
                   " of libdistill, this is ", code_version());
    }
    outcome.was_done = true;
    outcome.seconds = record.seconds;
    const fs::path report = stage.folder / "report.json";
    if (core::path_exists(report)) outcome.report = read_report(report);
    for (const GateResult& gate : state.gates) {
      if (!gate.holds) log_.warning(label(index), ": ", gate_line(gate));
    }
    if (outcome.report && !state.gates.empty()) outcome.report->gates = state.gates;
    if (!state.stopped_by.empty()) {
      fail<Error>(
          stage.folder.string(), ": ", state.stopped_by,
          "; the stage is done and keeps its result; loosen the gate, or change the recipe, "
          "and run the same command again");
    }
  }

  void announce(std::size_t index, const StageState& state) {
    const StagePlan& planned = plan_.stages[index];
    std::string text = concat(label(index), ": ", recipe::name_of(planned.kind));
    if (!planned.models.empty()) text += ", " + planned.models;
    if (state.progress == Progress::kAgain) text += "; done again: " + state.why;
    if (state.progress == Progress::kRetry) text += "; another try: " + state.why;
    if (state.progress == Progress::kBegun) text += "; going on";
    if (const auto pace = seconds_an_operation()) {
      const double done =
          state.progress == Progress::kBegun ? share_done(recipe_.stages[index], planned.steps) : 0;
      const double own = planned.work * (1 - done);
      text += concat("; about ", core::human_seconds(own * *pace), ", all that is left ",
                     core::human_seconds((own + work_from(index + 1)) * *pace));
    }
    log_.info(text);
  }

  /// What is known of how fast this machine is, from stages that are done.
  std::optional<double> seconds_an_operation() const {
    double seconds = 0;
    double work = 0;
    for (const StageRecord& record : manifest_.stages) {
      if (!record.done || record.work <= 0) continue;
      seconds += record.seconds;
      work += record.work;
    }
    if (!(work > 0 && seconds > 0)) return std::nullopt;
    return seconds / work;
  }

  double work_from(std::size_t index) const {
    double work = 0;
    for (std::size_t i = index; i < plan_.stages.size(); ++i) work += plan_.stages[i].work;
    return work;
  }

  RunOptions options_for(std::size_t index) const {
    RunOptions options = options_;
    options.policy = StartPolicy::kAuto;
    options.is_stage = true;
    options.label = label(index);
    const StagePlan& planned = plan_.stages[index];
    // What has no steps is timed as a whole.
    const double a_step =
        planned.work / static_cast<double>(std::max<std::int64_t>(planned.steps, 1));
    const double later = work_from(index + 1);
    if (a_step > 0) {
      options.whole_eta = [a_step, later](double eta, double pace) -> std::optional<double> {
        return eta + later / a_step * pace;
      };
    }
    return options;
  }

  /// From here on its folder belongs to these settings.
  void begin(const recipe::Stage& stage, const StageState& state) {
    StageRecord record{.name = stage.name,
                       .kind = std::string(recipe::name_of(stage.kind)),
                       .settings = state.settings,
                       .version = code_version()};
    describe(stage, record);
    manifest_.at(stage.name) = std::move(record);
    forget_dependants(stage);
    write_chain_manifest(folder_.manifest(), manifest_, recipe_);
  }

  /// What a stage reads and makes its result of. A file that the record has keeps its hash, which
  /// is of when the stage began.
  void describe(const recipe::Stage& stage, StageRecord& record) {
    record.student = student_of(stage);
    record.teacher = teacher_of(stage);
    record.from.clear();
    for (const std::size_t needed : stage.needs) {
      const recipe::Stage& other = recipe_.stages[needed];
      if (reads_result(stage, other)) record.from.push_back(other.name);
    }
    std::vector<FileRecord> inputs;
    for (const StageInput& input : external_inputs(stage, recipe_.output)) {
      for (const fs::path& file : input.files()) {
        // Two parts of a recipe may name one model, or one file.
        if (std::ranges::find(inputs, file.string(), &FileRecord::path) != inputs.end()) continue;
        const auto known = std::ranges::find(record.inputs, file.string(), &FileRecord::path);
        inputs.push_back(known != record.inputs.end() ? *known : hashes_.record(file));
      }
    }
    record.inputs = std::move(inputs);
  }

  /// A gate may have had the stage done with other settings than the recipe's first.
  void note_attempt(const recipe::Stage& stage, const Report& report, StageRecord& record) {
    record.attempt = report.attempt;
    record.set = report.settings;
    if (report.settings.empty()) return;
    const recipe::Stage as_done = with_settings(stage, report.settings);
    describe(as_done, record);
    std::vector<std::string> read;
    for (const auto& name : record.from) read.push_back(manifest_.at(name).settings);
    record.attempt_settings = settings_hash(as_done, read);
  }

  /// What learned from the result that was there is to be done again, however this ends.
  void forget_dependants(const recipe::Stage& stage) {
    std::set<std::string> stale = {stage.name};
    for (const recipe::Stage& later : recipe_.stages) {
      const bool depends = std::ranges::any_of(later.needs, [&](std::size_t needed) {
        return stale.contains(recipe_.stages[needed].name);
      });
      if (!depends) continue;
      stale.insert(later.name);
      std::erase_if(manifest_.stages,
                    [&](const StageRecord& record) { return record.name == later.name; });
    }
  }

  void end(std::size_t index, const StageState& state, const StageOutcome& outcome) {
    const recipe::Stage& stage = recipe_.stages[index];
    StageRecord& record = manifest_.at(stage.name);
    record.outputs.clear();
    for (const fs::path& file : result_files(stage)) {
      record.outputs.push_back(hashes_.record(file));
    }
    record.seconds = outcome.seconds;
    // Of training all parts are timed, of other work the last alone.
    const bool timed =
        state.progress != Progress::kBegun || (outcome.report && outcome.report->seconds > 0);
    record.work = timed ? plan_.stages[index].work : 0;
    if (outcome.report) note_attempt(stage, *outcome.report, record);
    record.done = true;
    if (stage.result() != recipe::StageResult::kNothing) {
      core::write_file_atomically(stage.folder / "lineage.json",
                                  lineage_json(manifest_, stage.name));
    }
    write_chain_manifest(folder_.manifest(), manifest_, recipe_);
  }

  /// Of the stage that failed in another attempt than its first: its report would have them.
  void add_earlier_attempts() {
    if (result_.stages.empty() || result_.stages.back().report) return;
    const recipe::Stage& stage = recipe_.stages[result_.stages.size() - 1];
    if (stage.kind != recipe::StageKind::kTrain) return;
    result_.stages.back().earlier_attempts = earlier_attempt_costs(stage.folder);
  }

  /// Never throws: why the stage did not end is what the user is to read.
  void report_stop(const std::string& why) {
    result_.stopped = why;
    try {
      add_earlier_attempts();
      const std::string report = to_json(result_);
      core::write_file_atomically(folder_.stopped_report(), report);
      const auto page = write_report_html({.run = folder_.path(), .report_json = report});
      log_.info("what was done up to there: ", page.string());
    } catch (const std::exception& error) {
      log_.warning("what was done up to there could not be written: ", error.what());
    }
  }

  void finish() {
    if (const recipe::Stage* last = recipe_.final_stage()) {
      folder_.link_final(last->output());
      result_.final_stage = last->name;
      result_.model = folder_.final_model();
      if (last->result() == recipe::StageResult::kAdapter) {
        result_.base = last->run().student.model.value_or("");
      }
    }
    const std::string report = to_json(result_);
    try {
      write_report_html({.run = folder_.path(), .report_json = report});
    } catch (const std::exception& error) {
      log_.warning("the pipeline is done, but its page could not be made: ", error.what());
    }
    core::write_file_atomically(folder_.report(), report);
  }

  const recipe::PipelineRecipe& recipe_;
  const PipelinePlan& plan_;
  const RunOptions& options_;
  core::Logger& log_;
  ChainFolder folder_;
  FileHashes hashes_;
  ChainManifest manifest_;
  PipelineResult result_;
};

}  // namespace

PipelineResult run_pipeline(const recipe::PipelineRecipe& recipe,
                            const std::vector<std::string>& redo, const RunOptions& options,
                            core::Logger& log) {
  const PipelinePlan plan = plan_pipeline(recipe, redo, options, log);
  require_resources(plan, options, log);
  return Chain(recipe, plan, options, log).run(redo);
}

}  // namespace distill::pipeline
