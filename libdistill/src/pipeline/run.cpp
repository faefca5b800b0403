#include <distill/pipeline/run.h>

#include <optional>
#include <utility>

#include <distill/core/memory.h>
#include <distill/core/paths.h>
#include <distill/dist/communicator.h>
#include <distill/io/checkpoint.h>
#include <distill/metrics/sink.h>
#include <distill/models/fingerprint.h>
#include <distill/models/memory.h>
#include <distill/pipeline/manifest.h>
#include <distill/recipe/fit_student.h>
#include <distill/recipe/forgetting.h>
#include <distill/recipe/read.h>
#include <distill/recipe/wiring.h>
#include <distill/recipe/write.h>
#include <distill/train/trainer.h>

#include "pipeline/attempts.h"
#include "pipeline/check_recipe.h"
#include "pipeline/final_model.h"
#include "pipeline/forgetting_monitor.h"
#include "pipeline/gates.h"
#include "pipeline/kept_teacher.h"
#include "pipeline/memory.h"
#include "pipeline/repeatable.h"
#include "pipeline/run_evaluations.h"
#include "pipeline/run_events.h"
#include "pipeline/run_facts.h"
#include "pipeline/run_files.h"
#include "pipeline/tokenizing_progress.h"
#include "pipeline/tries.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr const char* kGoOn = "; run the same command again to go on";

/// One run from its folder to its report. The steps below are in the order they happen.
class Run {
 public:
  /// `reactions`: how often it was begun again because of `forgetting`.
  Run(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log, RunFolder& folder,
      const Attempts& attempts, std::int64_t reactions)
      : recipe_(recipe),
        options_(options),
        log_(log),
        folder_(folder),
        reactions_(reactions),
        ranks_(dist::make_single()) {
    report_.attempt = attempts.number();
    report_.settings = attempts.settings();
    report_.earlier_attempts = earlier_attempt_costs(folder.path());
  }

  Report execute() {
    prepare();
    remove_stopped_report(folder_);
    train::Trainer trainer = make_trainer();
    const std::int64_t restored = trainer.restore(remembering_.get());
    if (restored == 0) fit_student();
    count_batches_to_come(restored);
    open_sinks(restored);
    for (auto& sink : sinks_) trainer.add_sink(*sink);
    evaluations_.emplace(RunEvaluations::Parts{.recipe = recipe_,
                                               .stop = options_.stop,
                                               .log = log_,
                                               .folder = folder_,
                                               .ranks = *ranks_,
                                               .data = data_,
                                               .models = models_,
                                               .sinks = sinks_,
                                               .report = report_});
    evaluate_before(restored);
    begin_monitor(trainer);
    train(trainer, restored);
    evaluate_after();
    judge_gates();
    finish();
    return report_;
  }

 private:
  void prepare() {
    plan_ = recipe::plan_models(recipe_);
    require_memory(estimate_memory(recipe_, plan_, 0), plan_.device, options_.available_memory,
                   log_);
    if (!plan_.device.is_cpu()) repeatable_.emplace();
    log_.info("reading and tokenizing the data");
    const auto check = [this] { stop_here_if_asked(); };
    {
      TokenizingProgress progress(options_, log_);
      data_ = recipe::load_data(recipe_, plan_, log_, progress.hooks(check));
    }
    if (data_.teacher_tokens_a_token > 1) {  // only now it is known how much the teacher reads
      require_memory(estimate_memory(recipe_, plan_, 0, data_.teacher_tokens_a_token), plan_.device,
                     options_.available_memory, log_);
    }
    steps_ = recipe::total_steps(recipe_, data_.train->num_rows());
    stop_here_if_asked();
    load_models();
    stop_here_if_asked();
    // After all that can refuse the recipe: with the manifest the folder belongs to it.
    write_or_check_manifest(folder_.manifest(), make_manifest(recipe_, plan_, data_, steps_, check),
                            log_);
    // Of what was loaded: the folder may be another by the end.
    if (!plan_.adapters.empty()) base_fingerprint_ = models::fingerprint(plan_.student.folder);
    if (models_.teacher) log_.info("teacher: ", models_.teacher->describe());
    if (data_.across_tokenizers && data_.eval) {
      log_.info(
          "the teacher has its own tokenizer: evaluations say nothing of it "
          "(docs/cross_tokenizer.md)");
    }
    describe_run({recipe_, plan_, data_, models_, steps_}, report_, log_);
    const bool replays = reactions_ > 0 && data_.with_replay;
    batches_ = std::make_unique<data::BatchStream>(replays ? data_.with_replay : data_.train,
                                                   batch_options());
    checkpoints_ = std::make_unique<io::CheckpointStore>(checkpoint_folder(folder_, reactions_));
    if (recipe_.forgetting && recipe_.forgetting->react) {
      remembering_ = std::make_unique<io::CheckpointStore>(folder_.remembering());
    }
  }

  /// A teacher may be asked something for the first time, and be waited for.
  void load_models() {
    try {
      models_ = recipe::load_models(recipe_, plan_, log_, options_.available_memory,
                                    {.stop = options_.stop, .secret = options_.secret});
      if (!models_.teacher) return;
      keep_or_check_teacher(folder_.teacher(), core::path_exists(folder_.manifest()),
                            *models_.teacher, log_);
    } catch (const Interrupted&) {
      stop_here_if_asked();
      throw;
    }
  }

  /// What a teacher is told of is what it will be asked for: not what lies behind the last step.
  data::BatchStream::Options batch_options() {
    auto batches = recipe::batch_options(recipe_, ranks_->rank(), ranks_->size());
    if (!models_.teacher || !models_.loss->needs_teacher()) return batches;
    batches.prepared = [this](const types::Batch& batch) {
      if (batches_to_come_-- > 0) models_.teacher->announce(batch);
    };
    return batches;
  }

  /// The start of one that begins: what goes on has its weights in a checkpoint.
  void fit_student() {
    recipe::fit_student(recipe_, plan_, data_, models_, log_, options_.available_memory,
                        [this] { stop_here_if_asked(); });
  }

  void count_batches_to_come(std::int64_t restored) {
    const std::int64_t rows = recipe_.train.batch_size / ranks_->size();
    batches_to_come_ = (steps_ - restored) * (rows / recipe_.train.micro_batch_size);
  }

  train::Trainer make_trainer() {
    train::TrainerParts parts{.student = *models_.student,
                              .trainable = models_.trainable,
                              .teacher = models_.teacher.get(),
                              .loss = *models_.loss,
                              .optimizer = *models_.optimizer,
                              .batches = *batches_,
                              .ranks = *ranks_,
                              .checkpoints = checkpoints_.get(),
                              .sinks = {},
                              .stop = options_.stop,
                              .log = log_,
                              .after_step = [this](std::int64_t step) { after_step(step); }};
    return train::Trainer(recipe::trainer_options(recipe_, steps_), std::move(parts));
  }

  void open_sinks(std::int64_t restored) {
    sinks_.push_back(open_run_files(folder_, restored));
    if (options_.quiet) return;
    metrics::ConsoleOptions console;
    console.terminal = options_.terminal;
    console.width = options_.width;
    console.total_steps = steps_;
    console.first_step = restored;
    if (!options_.label.empty()) {
      console.label = options_.label;
      console.line_head = options_.label + "  ";
    }
    console.whole_eta = options_.whole_eta;
    sinks_.push_back(metrics::make_console_sink(console));
  }

  void evaluate_before(std::int64_t restored) {
    try {
      evaluations_->before(restored);
    } catch (const eval::Stopped&) {
      stop_here_if_asked();
      throw;
    }
  }

  /// Looks for the first time after a step: it knows the student before training then.
  void begin_monitor(train::Trainer& trainer) {
    if (!recipe_.forgetting) return;
    monitor_.emplace(ForgettingMonitor::Parts{.recipe = recipe_,
                                              .folder = folder_,
                                              .log = log_,
                                              .evaluations = *evaluations_,
                                              .sinks = sinks_,
                                              .trainer = trainer,
                                              .remembering = remembering_.get()});
  }

  void after_step(std::int64_t step) {
    evaluations_->in_between(step, steps_);
    if (monitor_) monitor_->after_step(step, step == steps_);
  }

  /// What there is to say of it, and what it cost to ask somebody else.
  void log_teacher(std::int64_t step) {
    if (!models_.teacher) return;
    for (const auto& line : models_.teacher->summary()) log_.info(line);
    const auto counts = models_.teacher->counts();
    if (!counts) return;
    for (auto& sink : sinks_) sink->event("teacher", to_values(*counts, step));
  }

  void train(train::Trainer& trainer, std::int64_t restored) {
    if (restored > 0) log_.info("going on from step ", restored, " of ", steps_);
    train::TrainResult result;
    try {
      result = trainer.run();
    } catch (const InputError&) {
      throw;
    } catch (const WentBack&) {
      throw;
    } catch (const Forgotten& why) {
      throw RunStopped(why.what(), report_stop(trainer.so_far(), why));
    } catch (const std::exception&) {
      log_.warning(folder_.path().string(), ": training failed; the newest checkpoint in ",
                   folder_.checkpoints().string(), " is kept", kGoOn, " from there");
      throw;
    }
    log_teacher(result.steps);
    describe(result);
    if (result.stopped_by == 0) return;
    fail<Interrupted>(folder_.path().string(), ": stopped by signal ", result.stopped_by,
                      " after step ", result.steps, " of ", steps_,
                      result.steps > 0 ? ", which is saved" : "; there is nothing to save yet",
                      kGoOn);
  }

  void describe(const train::TrainResult& result) {
    report_.steps = result.steps;
    report_.skipped_steps = result.skipped_steps;
    report_.tokens = result.tokens;
    report_.seconds = result.seconds;
  }

  /// What there is to see of a run that the monitor has ended.
  Report report_stop(const train::TrainResult& result, const Forgotten& why) {
    describe(result);
    describe_process();
    return write_stopped_reports(report_, why.reason(), folder_, log_);
  }

  void evaluate_after() {
    try {
      evaluations_->after(steps_);
    } catch (const eval::Stopped&) {
      fail<Interrupted>(folder_.path().string(), ": stopped while evaluating after training; all ",
                        steps_, " steps are saved", kGoOn);
    }
  }

  /// Throws RunStopped, or RetryWanted, when the student is not what it should be.
  void judge_gates() {
    report_.gates = judge(recipe_, report_);
    const std::set<std::string> known = judged_gates(folder_.metrics());
    for (const GateResult& gate : report_.gates) {
      log_.write(gate.holds ? core::LogLevel::kInfo : core::LogLevel::kWarning, gate_line(gate));
      if (known.contains(gate.require)) continue;  // by a process that ended before its report
      for (auto& sink : sinks_) sink->event("gate", to_values(gate, steps_));
    }
    const GateResult* failed = deciding_gate(report_.gates);
    if (failed == nullptr) return;
    describe_process();
    const Report stopped = write_stopped_reports(report_, gate_line(*failed), folder_, log_);
    if (failed->on_failure == recipe::OnFailure::kRetry) throw RetryWanted{*failed, stopped};
    throw RunStopped(stopped_by_gate(folder_, *failed, report_.attempt, options_.is_stage),
                     stopped);
  }

  /// The report comes last: with it the run counts as finished.
  void finish() {
    save_final_model(*models_.student, plan_, base_fingerprint_, folder_.final_model(), log_);
    describe_process();
    write_reports(report_, folder_, log_);
  }

  /// What is known at the end, however it came.
  void describe_process() {
    if (monitor_) report_.forgetting = monitor_->report();
    report_.peak_memory_bytes = core::peak_memory();
    report_.device = plan_.device.str();
  }

  void stop_here_if_asked() {
    if (options_.stop == nullptr || !options_.stop->requested()) return;
    fail<Interrupted>(folder_.path().string(), ": stopped by signal ", options_.stop->reason(),
                      " before training; nothing new is saved", kGoOn);
  }

  const recipe::Recipe& recipe_;
  const RunOptions& options_;
  core::Logger& log_;
  RunFolder& folder_;
  std::int64_t reactions_;
  std::unique_ptr<dist::Communicator> ranks_;
  recipe::PlannedModels plan_;
  std::optional<RepeatableScope> repeatable_;
  recipe::DataParts data_;
  recipe::ModelParts models_;
  std::string base_fingerprint_;  ///< of the student's folder, where adapters are trained
  std::int64_t steps_ = 0;
  /// Those that training will ask for; of the thread that prepares them, once it runs.
  std::int64_t batches_to_come_ = 0;
  std::unique_ptr<data::BatchStream> batches_;
  std::unique_ptr<io::CheckpointStore> checkpoints_;
  std::unique_ptr<io::CheckpointStore> remembering_;  ///< of `forgetting`; null without reactions
  std::vector<std::unique_ptr<metrics::Sink>> sinks_;
  Report report_;
  std::optional<RunEvaluations> evaluations_;  ///< from when the sinks are open
  std::optional<ForgettingMonitor> monitor_;
};

/// Begins again with other data and weights, as often as the monitor has it go back.
Report run_with_reactions(const recipe::Recipe& recipe, const RunOptions& options,
                          core::Logger& log, RunFolder& folder, const Attempts& attempts) {
  while (true) {
    const std::int64_t reactions =
        recipe.forgetting ? read_forgetting(folder.forgetting()).num_reactions() : 0;
    const recipe::Recipe changed = recipe::after_reactions(recipe, reactions);
    try {
      return Run(changed, options, log, folder, attempts, reactions).execute();
    } catch (const WentBack& why) {
      log.warning(why.what());
    }
  }
}

}  // namespace

RunResult run_recipe(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log) {
  // What is wrong with it is found before a run folder is made.
  if (!options.is_stage) {
    check_recipe(recipe, options.policy);
    require_tries(recipe, options, log);
  } else {
    recipe::plan_models(recipe);
  }
  const auto rewrite = [&recipe](const std::string& text) {
    const std::string source = (fs::path(recipe.output) / "recipe.yaml").string();
    return recipe::write_recipe_as_now(recipe::read_recipe(text, source, {}, recipe.registries()),
                                       recipe);
  };
  RunFolder folder(recipe.output, recipe::write_recipe(recipe), options.policy, log, rewrite);
  RunResult result;
  result.folder = folder.path();
  result.model = folder.final_model();
  if (recipe.student.lora) result.base = *recipe.student.model;
  std::optional<GateResult> wanted;
  if (folder.state() == RunFolder::State::kFinished) {
    result.report = read_report(folder.report());
    wanted = judge_finished(recipe, folder, options.is_stage, result.report, log);
    result.was_finished = !wanted;
    if (result.was_finished) return result;
  }
  Attempts attempts(folder, options.is_stage);
  if (wanted) attempts.begin_next(recipe, *wanted, result.report, log);
  while (true) {
    models::release_freed_memory();  // of the attempt before: this one begins with what is free
    const recipe::Recipe now = attempts.apply(recipe);
    try {
      result.report = run_with_reactions(now, options, log, folder, attempts);
      return result;
    } catch (const RetryWanted& retry) {
      attempts.begin_next(recipe, retry.gate, retry.report, log);
    }
  }
}

}  // namespace distill::pipeline
