#include "pipeline/evaluate_run.h"

#include <memory>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/memory.h>
#include <distill/dist/communicator.h>
#include <distill/recipe/wiring.h>
#include <distill/recipe/write.h>

#include "pipeline/gates.h"
#include "pipeline/run_evaluations.h"
#include "pipeline/run_facts.h"
#include "pipeline/run_files.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace {

class EvaluateRun {
 public:
  EvaluateRun(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log)
      : recipe_(recipe),
        options_(options),
        log_(log),
        plan_(recipe::plan_models(recipe)),
        folder_(recipe.output, recipe::write_recipe(recipe), StartPolicy::kAuto, log) {}

  Report execute() {
    load();
    sinks_.push_back(open_run_files(folder_, 0));
    measure();
    report_.gates = judge(recipe_, report_);
    report_.peak_memory_bytes = core::peak_memory();
    report_.device = plan_.device.str();
    for (const GateResult& gate : report_.gates) {
      log_.write(gate.holds ? core::LogLevel::kInfo : core::LogLevel::kWarning, gate_line(gate));
    }
    write_reports(report_, folder_, log_);
    if (const GateResult* failed = deciding_gate(report_.gates)) {
      report_.stopped = gate_line(*failed);
      throw RunStopped(core::concat(folder_.path().string(), ": ", report_.stopped,
                                    "; change the recipe, or loosen the gate, and run the same "
                                    "command again"),
                       report_);
    }
    return report_;
  }

 private:
  void stop_if_asked() const {
    if (options_.stop == nullptr || !options_.stop->requested()) return;
    fail<Interrupted>(folder_.path().string(), ": stopped by signal ", options_.stop->reason(),
                      " while evaluating; run the same command again");
  }

  void load() {
    {
      TokenizingProgress progress(options_, log_);
      data_ = recipe::load_data(recipe_, plan_, log_, progress.hooks([this] { stop_if_asked(); }));
    }
    models_ = recipe::load_to_measure(recipe_, plan_, log_, options_.available_memory,
                                      {.stop = options_.stop, .secret = options_.secret});
    describe_run({recipe_, plan_, data_, models_, 0}, report_, *quiet_);
  }

  void measure() {
    const auto ranks = dist::make_single();
    RunEvaluations evaluations({.recipe = recipe_,
                                .stop = options_.stop,
                                .log = log_,
                                .folder = folder_,
                                .ranks = *ranks,
                                .data = data_,
                                .models = models_,
                                .sinks = sinks_,
                                .report = report_});
    try {
      evaluations.after(0);
    } catch (const eval::Stopped&) {
      stop_if_asked();
      throw;
    }
  }

  const recipe::Recipe& recipe_;
  const RunOptions& options_;
  core::Logger& log_;
  recipe::PlannedModels plan_;
  RunFolder folder_;
  std::unique_ptr<core::Logger> quiet_ = core::make_null_logger();
  recipe::DataParts data_;
  recipe::ModelParts models_;
  std::vector<std::unique_ptr<metrics::Sink>> sinks_;
  Report report_;
};

}  // namespace

Report evaluate_recipe(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log) {
  return EvaluateRun(recipe, options, log).execute();
}

}  // namespace distill::pipeline
