#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/core/progress.h>
#include <distill/core/stop_flag.h>
#include <distill/generation/text_generator.h>

namespace distill::generation {

/// Back-translation (Sennrich, Haddow, Birch 2016, "Improving Neural Machine Translation Models
/// with Monolingual Data"): a text goes into another language and back, and says the same in other
/// words.
struct AugmentOptions {
  std::filesystem::path data;        ///< JSON Lines, any form of row, plain or packed
  std::filesystem::path out;         ///< JSON Lines; must not exist
  std::vector<std::string> fields;   ///< members to rewrite; empty: by the row's form
  std::string language = "English";  ///< of the texts
  std::string via = "German";        ///< what they are translated into and back from
  /// What the model is told; {text}, {from} and {to} are filled in.
  std::string prompt =
      "Translate the following text from {from} into {to}. Write nothing but the translation.\n\n"
      "{text}";
  std::string back_prompt;  ///< for the way back; empty: as `prompt`
  std::int64_t copies = 1;  ///< tries for each row, each drawn anew
  double min_length = 0.5;  ///< of a new text, relative to the old one, in characters
  double max_length = 2.0;
  std::uint64_t seed = 17;
  std::int64_t rows_at_once = 32;  ///< what is lost at most when it is stopped
  bool restart = false;            ///< begin anew where an unfinished run is
  const core::StopFlag* stop = nullptr;
  core::ProgressOptions progress = {};
};

struct AugmentResult {
  std::int64_t rows = 0;  ///< read
  std::int64_t written = 0;
  std::int64_t duplicates = 0;    ///< left out: said already, by a row or a copy of one
  std::int64_t wrong_length = 0;  ///< left out: much shorter or longer, or nothing at all
  std::int64_t too_long = 0;      ///< left out: more than the model can read
  std::int64_t cut_off = 0;       ///< left out: an answer did not end by itself
};

/// Writes new rows with the labels and all other members of the old ones, and where they come from
/// in `augmentation`. The file appears whole or not at all; what a stopped call has done already
/// is kept beside it, and the same call goes on from there (docs/formats/partial.md). Throws
/// InputError for options that make no sense, an `out` that exists, a row that holds no text to
/// rewrite, unfinished work of other options; Interrupted when stopped.
AugmentResult augment(const AugmentOptions& options, TextGenerator& generator, core::Logger& log);

/// As one JSON object, or in words.
void print_result(const AugmentResult& result, bool json, std::ostream& out);

}  // namespace distill::generation
