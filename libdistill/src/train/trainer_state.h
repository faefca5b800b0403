#pragma once

#include <cstdint>
#include <filesystem>

namespace distill::train {

/// The numbers of a checkpoint: state.json, see docs/formats/checkpoint.md.
struct TrainerState {
  std::int64_t step = 0;  ///< done, skipped ones included
  std::int64_t tokens = 0;
  double seconds = 0;
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;
  std::int64_t data_position = 0;
  std::int64_t optimizer_steps = 0;
  bool after_step_pending = false;  ///< `after_step` of this step was interrupted

  bool operator==(const TrainerState&) const = default;
};

/// Part of the checkpoint format, do not change.
inline constexpr std::int64_t kCheckpointFormat = 2;

void write_state(const std::filesystem::path& path, const TrainerState& state);
/// Throws FormatError naming file and member, UnsupportedError for another format version.
TrainerState read_state(const std::filesystem::path& path);

}  // namespace distill::train
