#include "train/trainer_state.h"

#include <limits>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>

namespace distill::train {

void write_state(const std::filesystem::path& path, const TrainerState& state) {
  core::JsonWriter json(2);
  json.begin_object()
      .member("format_version", kCheckpointFormat)
      .member("step", state.step)
      .member("tokens", state.tokens)
      .member("seconds", state.seconds)
      .member("skipped_steps", state.skipped)
      .member("skipped_in_a_row", state.skipped_in_a_row)
      .member("data_position", state.data_position)
      .member("optimizer_steps", state.optimizer_steps)
      .member("after_step_pending", state.after_step_pending)
      .end_object();
  core::write_file_atomically(path, json.text() + "\n");
}

TrainerState read_state(const std::filesystem::path& path) {
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor root(value, path.string());
  const std::int64_t version = root.at("format_version").as_int();
  if (version != kCheckpointFormat) {
    fail<UnsupportedError>(path.string(), ": checkpoint format version ", version,
                           ", this build reads version ", kCheckpointFormat,
                           "; go on with the libdistill that wrote it, or start over");
  }
  const auto count = [&root](const char* name) {
    return root.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
  };
  TrainerState state;
  state.step = count("step");
  state.tokens = count("tokens");
  state.seconds = root.at("seconds").as_double();
  state.skipped = count("skipped_steps");
  state.skipped_in_a_row = count("skipped_in_a_row");
  state.data_position = count("data_position");
  state.optimizer_steps = count("optimizer_steps");
  state.after_step_pending = root.at("after_step_pending").as_bool();
  if (state.seconds < 0) root.at("seconds").fail("must not be negative");
  return state;
}

}  // namespace distill::train
