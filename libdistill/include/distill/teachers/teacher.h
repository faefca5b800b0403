#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/types/batch.h>
#include <distill/types/layer_states.h>
#include <distill/types/teacher_signal.h>

namespace distill::teachers {

/// A signal and what was asked of the teacher's inner layers.
struct SignalWithLayers {
  types::TeacherSignal signal;
  types::LayerStates layers;
};

/// What a teacher that is asked over a network has done so far.
struct TeacherCounts {
  std::int64_t requests = 0;      ///< answered
  std::int64_t retries = 0;       ///< requests that were sent again: no answer, or the server busy
  std::int64_t bad_answers = 0;   ///< answers that were no answer and were asked for again
  double seconds_waited = 0;      ///< `signal` waited for answers
  std::uint64_t bytes = 0;        ///< of hidden states that were handed over; 0: other signals
  std::uint64_t logit_bytes = 0;  ///< that their logits would have taken
};

/// Where the teacher's signal comes from. It never sees a loss.
class Teacher {
 public:
  virtual ~Teacher() = default;
  /// The signal for every position of the batch; no graph. Throws Interrupted where it waits for
  /// somebody else and is asked to stop.
  virtual types::TeacherSignal signal(const types::Batch& batch) = 0;
  /// `signal` will be asked for this batch soon: a teacher that must wait for its answers begins
  /// now. Called by the thread that prepares batches, in the order in which they are asked for.
  /// Some are never asked for, where a run goes on from another place, and some that are asked for
  /// were never announced. What it throws is thrown where the batch is taken.
  virtual void announce(const types::Batch&) {}
  /// What its inner layers look like; nothing: it does not show them, as a cache or a server.
  virtual std::optional<types::LayerShape> layer_shape() const { return std::nullopt; }
  /// The signal and the wanted inner layers of the same pass; no graph. Throws TeacherError when
  /// something is wanted of a teacher that shows no inner layers.
  virtual SignalWithLayers signal_with_layers(const types::Batch& batch,
                                              const types::LayerRequest& wanted);
  /// What there is to say of it after a run, a line each.
  virtual std::vector<std::string> summary() const { return {}; }
  /// Nothing for a teacher that asks nobody.
  virtual std::optional<TeacherCounts> counts() const { return std::nullopt; }
  /// What a run keeps of a teacher whose files it does not see, to know it again when it goes on: a
  /// JSON object on one line. Nothing: the hashes of files tell, or there is nothing to tell.
  virtual std::optional<std::string> likeness() const { return std::nullopt; }
  /// Throws TeacherError when `kept`, the likeness of an earlier part of the run, is another one's.
  /// Unless a kind knows better both must be the same text. Called before anything is asked.
  virtual void require_likeness(const std::string& kept);
  /// One line for people: `local models/X (134.5 M parameters, bf16)`.
  virtual std::string describe() const = 0;
};

}  // namespace distill::teachers
