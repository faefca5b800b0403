#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/data/batch_source.h>
#include <distill/dist/communicator.h>
#include <distill/io/checkpoint.h>
#include <distill/losses/loss.h>
#include <distill/metrics/sink.h>
#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>
#include <distill/train/optimizer.h>
#include <distill/train/options.h>

namespace distill::train {

struct TrainerOptions {
  std::uint64_t seed = 0;  ///< of what is drawn while training: dropout
  std::int64_t steps = 0;
  std::int64_t batch_size = 8;        ///< rows per optimizer step over all ranks
  std::int64_t micro_batch_size = 1;  ///< rows per forward and backward pass
  ScheduleOptions schedule = {};
  double gradient_clip = 1.0;  ///< largest global norm; 0: off
  CheckpointOptions checkpoint = {};
  std::int64_t max_skipped_in_a_row = 10;  ///< non-finite steps before the run fails
};

/// What a trainer works with; all outlive it.
struct TrainerParts {
  models::CausalLm& student;
  std::vector<models::NamedParameter>
      trainable;  ///< those the optimizer was built on, the loss's too
  teachers::Teacher* teacher = nullptr;
  const losses::Loss& loss;
  Optimizer& optimizer;
  data::BatchStream& batches;
  dist::Communicator& ranks;
  io::CheckpointStore* checkpoints = nullptr;
  std::vector<metrics::Sink*> sinks;
  const core::StopFlag* stop = nullptr;
  core::Logger& log;
  /// Called after each step (1-based), before its checkpoint, for evaluations at an interval. May
  /// be empty. When it throws eval::Stopped, the run stops and calls it again when it is resumed.
  std::function<void(std::int64_t step)> after_step;
};

struct TrainResult {
  std::int64_t steps = 0;   ///< done in all, earlier runs included
  std::int64_t tokens = 0;  ///< input tokens consumed in all
  double seconds = 0;       ///< training time in all, earlier runs included
  std::int64_t skipped_steps = 0;
  int stopped_by = 0;  ///< the stop flag's reason when it ended early; a checkpoint is written
};

/// The loop: whole-step token counts first, micro-batches, clipping, update, checkpoint.
///
/// A step whose loss or gradient norm is not finite on any rank changes no weight and no optimizer
/// state; the data go on, and sinks get the event `skipped_step`. A step without a target token
/// changes nothing either and logs 0. When the stop flag is set, the step in progress is given up
/// without effect. What is restored continues bit for bit.
class Trainer {
 public:
  /// Throws ConfigError when the options are out of range, `batch_size` is not a multiple of
  /// `micro_batch_size` times the ranks, or the loss needs a teacher and there is none.
  Trainer(const TrainerOptions& options, TrainerParts parts);
  ~Trainer();
  Trainer(Trainer&&) noexcept;

  /// Continues from the newest whole checkpoint when there is one, of `other` too. Returns its
  /// step, or 0. Throws FormatError when it belongs to other parameters, UnsupportedError for
  /// another format version.
  std::int64_t restore(const io::CheckpointStore* other = nullptr);

  /// Called from within `after_step`: writes a checkpoint of that step into another store, which
  /// keeps this one alone. A run that goes on from it calls `after_step` for the step again.
  void save_aside(io::CheckpointStore& other);

  /// One more sink; it outlives the trainer. For those that must know what `restore` found.
  void add_sink(metrics::Sink& sink);

  /// Trains to `steps`, then writes a checkpoint when the last step has none. Nothing is written
  /// before the first step. Throws Error after `max_skipped_in_a_row`, and what the parts throw.
  TrainResult run();
  /// What has been trained up to now; also after `run` has thrown.
  TrainResult so_far() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::train
