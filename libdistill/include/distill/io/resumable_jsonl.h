#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/hash.h>
#include <distill/io/json_value.h>

namespace distill::io {

/// What must be the same for work to go on: names and values for people, in order.
using WorkFacts = std::vector<std::pair<std::string, std::string>>;

struct ResumableOptions {
  std::filesystem::path path;  ///< the file to write; must not exist
  WorkFacts facts;             ///< of options and input
  bool restart = false;        ///< begin anew where there is unfinished work
};

/// A JSON Lines file that is written part by part and goes on after the program was stopped at any
/// moment. Lines are in PATH.partial until `finish` renames it; PATH.state says how much of it
/// counts (docs/formats/partial.md). What is behind that is cut off when work goes on, so the file
/// is the same, byte for byte, as one that was written without a stop.
///
///     ResumableJsonl file({.path = out, .facts = facts});
///     for (std::int64_t part = parts_done(file.progress()); part < num_parts; ++part) {
///       file.write(line);
///       file.commit_part(progress_json);
///     }
///     file.finish();
class ResumableJsonl {
 public:
  /// Opens or goes on. Throws InputError when PATH exists already, when another process writes it,
  /// when unfinished work has other facts (it names them) and FormatError when what was written is
  /// damaged; IoError.
  explicit ResumableJsonl(ResumableOptions options);
  /// Before the first part is committed nothing is left behind.
  ~ResumableJsonl();
  ResumableJsonl(const ResumableJsonl&) = delete;
  ResumableJsonl& operator=(const ResumableJsonl&) = delete;

  /// All is done: by `finish`, or by a program that was killed when only the tidying up was left.
  bool finished() const { return finished_; }
  /// What the last `commit_part` was given; nothing: work begins.
  const std::optional<JsonValue>& progress() const { return progress_; }
  /// Where the lines are that count; for reading them again.
  const std::filesystem::path& partial_path() const { return partial_; }

  /// A line without its end; held in memory until the part is committed.
  void write(std::string_view line);
  /// Makes the lines since the last one durable together with `progress`, a JSON object.
  void commit_part(const std::string& progress);
  /// The file appears under its name. Lines that were not committed are lost.
  void finish();

 private:
  bool open();
  bool go_on();
  void begin();
  bool was_finished();
  JsonValue read_state() const;
  void check_facts(const JsonCursor& saved) const;
  void check_bytes(const JsonCursor& state, const std::filesystem::path& path);
  void write_state(const std::string& progress);
  void clean_up();

  ResumableOptions options_;
  std::filesystem::path partial_;
  std::filesystem::path state_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;  ///< of the partial file that count
  core::Hasher hasher_;      ///< of those
  std::string waiting_;
  bool committed_ = false;
  bool finished_ = false;
  std::optional<JsonValue> progress_;
};

}  // namespace distill::io
