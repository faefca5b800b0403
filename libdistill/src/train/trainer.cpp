#include <distill/train/trainer.h>

#include <array>
#include <chrono>
#include <cmath>
#include <exception>

#include <distill/core/error.h>
#include <distill/eval/evaluate.h>
#include <distill/io/safetensors.h>

#include "train/gradient_accumulator.h"
#include "train/gradient_step.h"
#include "train/trainer_state.h"

namespace distill::train {

namespace {

// Part of the checkpoint format, do not change.
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStateFile = "state.json";

/// Without the sign that some processors give to NaN.
std::string shown(double value) {
  return std::isnan(value) ? "nan" : core::concat(value);
}

void require(bool holds, const std::string& what) {
  if (!holds) fail<ConfigError>(what);
}

void check(const TrainerOptions& options, const TrainerParts& parts) {
  using core::concat;
  require(options.steps >= 0, concat("`steps` must not be negative, it is ", options.steps));
  require(options.micro_batch_size >= 1,
          concat("`micro_batch_size` must be at least 1, it is ", options.micro_batch_size));
  require(
      options.max_skipped_in_a_row >= 1,
      concat("`max_skipped_in_a_row` must be at least 1, it is ", options.max_skipped_in_a_row));
  require(options.gradient_clip >= 0 && std::isfinite(options.gradient_clip),
          concat("`gradient_clip` must not be negative, it is ", options.gradient_clip));
  const std::int64_t ranks = parts.ranks.size();
  const bool divides = options.batch_size >= 1 &&
                       options.batch_size % options.micro_batch_size == 0 &&
                       options.batch_size / options.micro_batch_size % ranks == 0;
  require(divides, concat("`batch_size` must be a multiple of `micro_batch_size` times the number "
                          "of ranks, it is ",
                          options.batch_size, " with ", options.micro_batch_size, " rows on ",
                          ranks, ranks == 1 ? " rank" : " ranks"));
  require(parts.teacher != nullptr || !parts.loss.needs_teacher(),
          concat("loss `", parts.loss.name(), "` compares with a teacher, and there is none"));
  require(!parts.trainable.empty(), "there is no parameter to train");
  for (const auto& parameter : parts.trainable) {
    require(parameter.tensor.requires_grad(),
            concat("parameter `", parameter.name, "` is to be trained but wants no gradient"));
  }
}

}  // namespace

struct Trainer::Impl {
  Impl(const TrainerOptions& options_in, TrainerParts parts_in)
      : options(options_in),
        parts(std::move(parts_in)),
        accumulator(parts.trainable,
                    num_micro_batches(options, parts.ranks) == 1 && parts.ranks.size() == 1),
        gradient_step(parts, options, accumulator) {
    state.data_position = parts.batches.position();
  }

  std::int64_t restore(const io::CheckpointStore* other);
  TrainResult run();

  bool stop_requested() {
    return parts.ranks.any(parts.stop != nullptr && parts.stop->requested());
  }
  /// False when it was given up because of a stop.
  bool train_step();
  void skip(const StepSums& sums, double norm);
  bool after_step();
  void save_checkpoint();
  void write_checkpoint(io::CheckpointStore& store, std::int64_t keep, const TrainerState& written);
  TrainResult stop();
  TrainResult result(int stopped_by) const;
  void log_step(const StepSums& sums, double norm, double seconds);
  void log_event(const std::string& event, const metrics::Values& values);
  double lr_factor() const { return schedule_factor(options.schedule, state.step, options.steps); }

  TrainerOptions options;
  TrainerParts parts;
  GradientAccumulator accumulator;
  GradientStep gradient_step;
  TrainerState state;
  std::int64_t saved_step = 0;  ///< of the last checkpoint written or restored
  bool restored = false;
};

std::int64_t Trainer::Impl::restore(const io::CheckpointStore* other) {
  if (parts.checkpoints == nullptr) return 0;
  auto found = parts.checkpoints->newest(parts.log);
  // Of one step that of the run itself: what was to be done after it is done.
  const auto aside = other != nullptr ? other->newest(parts.log) : std::nullopt;
  if (aside && (!found || aside->step > found->step)) found = aside;
  std::int64_t sum = found ? found->step : 0;
  const std::int64_t expected = sum * parts.ranks.size();
  parts.ranks.all_reduce_sum(std::span(&sum, 1));
  if (sum != expected) {
    fail<DistributedError>("rank ", parts.ranks.rank(),
                           ": the ranks do not see the same newest checkpoint");
  }
  if (!found) return 0;
  const TrainerState read = read_state(found->folder / kStateFile);
  if (read.step != found->step) {
    fail<FormatError>((found->folder / kStateFile).string(), ": `step` is ", read.step,
                      ", the folder is of step ", found->step);
  }
  parts.optimizer.restore(io::SafetensorsFile::open(found->folder / kOptimizerFile),
                          read.optimizer_steps);
  parts.batches.seek(read.data_position);
  state = read;
  saved_step = read.step;
  restored = true;
  return state.step;
}

TrainResult Trainer::Impl::run() {
  if (restored) log_event("resume", {{"step", state.step}, {"tokens", state.tokens}});
  if (state.after_step_pending && !after_step()) return stop();
  while (state.step < options.steps) {
    if (stop_requested() || !train_step() || !after_step()) return stop();
    if (options.checkpoint.every > 0 && state.step % options.checkpoint.every == 0) {
      save_checkpoint();
    }
  }
  save_checkpoint();
  return result(0);
}

bool Trainer::Impl::train_step() {
  const auto begin = std::chrono::steady_clock::now();
  const StepSums sums = gradient_step.run(state.step, [this] { return stop_requested(); });
  if (sums.abandoned) {
    accumulator.clear();
    parts.batches.seek(state.data_position);
    return false;
  }
  const double norm = sums.targets > 0 ? accumulator.norm() : 0.0;
  const bool finite = !parts.ranks.any(!std::isfinite(sums.loss) || !std::isfinite(norm));
  if (finite && sums.targets > 0) {
    const bool clips = options.gradient_clip > 0 && norm > options.gradient_clip;
    parts.optimizer.step(accumulator.gradients(), clips ? options.gradient_clip / norm : 1.0,
                         lr_factor());
  }
  accumulator.clear();

  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  state.tokens += sums.tokens;
  state.seconds += elapsed.count();
  state.data_position = parts.batches.position();
  state.optimizer_steps = parts.optimizer.steps();
  if (finite) {
    state.skipped_in_a_row = 0;
    log_step(sums, norm, elapsed.count());
    ++state.step;
  } else {
    ++state.step;
    skip(sums, norm);
  }
  return true;
}

void Trainer::Impl::skip(const StepSums& sums, double norm) {
  ++state.skipped;
  ++state.skipped_in_a_row;
  log_event("skipped_step", {{"step", state.step},
                             {"loss", sums.loss},
                             {"grad_norm", norm},
                             {"in_a_row", state.skipped_in_a_row}});
  if (state.skipped_in_a_row < options.max_skipped_in_a_row) return;
  const std::string saved = saved_step > 0
                                ? core::concat("the last checkpoint is step ", saved_step)
                                : "there is no checkpoint yet";
  fail<Error>("step ", state.step, ": loss or gradient was not finite ", state.skipped_in_a_row,
              " times in a row (now loss ", shown(sums.loss), ", gradient norm ", shown(norm),
              "); those steps changed no weight and ", saved,
              "; check student, teacher and data for non-finite values, or lower the rate");
}

bool Trainer::Impl::after_step() {
  state.after_step_pending = false;
  if (!parts.after_step) return true;
  try {
    parts.after_step(state.step);
  } catch (const eval::Stopped&) {
    state.after_step_pending = true;
  }
  return !state.after_step_pending;
}

void Trainer::Impl::save_checkpoint() {
  if (parts.checkpoints == nullptr || saved_step == state.step) return;
  write_checkpoint(*parts.checkpoints, options.checkpoint.keep, state);
  saved_step = state.step;
}

void Trainer::Impl::write_checkpoint(io::CheckpointStore& store, std::int64_t keep,
                                     const TrainerState& written) {
  std::exception_ptr error;
  if (parts.ranks.is_main()) {
    try {
      store.save(state.step, keep, [&](const std::filesystem::path& folder) {
        io::write_safetensors(folder / kOptimizerFile, parts.optimizer.state(), {});
        write_state(folder / kStateFile, written);
      });
    } catch (...) {
      error = std::current_exception();
    }
  }
  // The others must hear of it, or they would wait for this rank in the next step.
  const bool failed = parts.ranks.any(error != nullptr);
  if (error) std::rethrow_exception(error);
  if (failed) {
    fail<DistributedError>("rank 0 could not write the checkpoint of step ", state.step);
  }
}

TrainResult Trainer::Impl::stop() {
  save_checkpoint();
  // Ranks that were not asked themselves report what the others were asked with.
  std::array<std::int64_t, 2> reasons = {0, 0};
  if (parts.stop != nullptr && parts.stop->requested()) reasons = {parts.stop->reason(), 1};
  parts.ranks.all_reduce_sum(reasons);
  const auto reason = static_cast<int>(reasons[1] > 0 ? reasons[0] / reasons[1] : 1);
  log_event("stopped", {{"step", state.step}, {"reason", std::int64_t{reason}}});
  return result(reason);
}

TrainResult Trainer::Impl::result(int stopped_by) const {
  return {state.step, state.tokens, state.seconds, state.skipped, stopped_by};
}

void Trainer::Impl::log_step(const StepSums& sums, double norm, double seconds) {
  if (!parts.ranks.is_main()) return;
  metrics::Values values = {
      {"step", state.step + 1}, {"tokens", state.tokens}, {"loss", sums.loss}};
  for (const auto& [name, mean] : sums.parts) values.emplace_back(name, mean);
  values.emplace_back("lr", parts.optimizer.peak_lr() * lr_factor());
  values.emplace_back("grad_norm", norm);
  values.emplace_back("tokens_per_second",
                      seconds > 0 ? static_cast<double>(sums.tokens) / seconds : 0.0);
  values.emplace_back("seconds", state.seconds);
  values.emplace_back("data_seconds", sums.data_seconds);
  if (parts.loss.needs_teacher()) values.emplace_back("teacher_seconds", sums.teacher_seconds);
  for (metrics::Sink* sink : parts.sinks) sink->step(values);
}

void Trainer::Impl::log_event(const std::string& event, const metrics::Values& values) {
  if (!parts.ranks.is_main()) return;
  for (metrics::Sink* sink : parts.sinks) sink->event(event, values);
}

Trainer::Trainer(const TrainerOptions& options, TrainerParts parts) {
  check(options, parts);
  impl_ = std::make_unique<Impl>(options, std::move(parts));
}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
std::int64_t Trainer::restore(const io::CheckpointStore* other) {
  return impl_->restore(other);
}
void Trainer::save_aside(io::CheckpointStore& other) {
  TrainerState written = impl_->state;
  written.after_step_pending = true;
  impl_->write_checkpoint(other, /*keep=*/1, written);
}
void Trainer::add_sink(metrics::Sink& sink) {
  impl_->parts.sinks.push_back(&sink);
}
TrainResult Trainer::run() {
  return impl_->run();
}
TrainResult Trainer::so_far() const {
  return impl_->result(0);
}

}  // namespace distill::train
