#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

#include <distill/core/log.h>
#include <distill/core/progress.h>
#include <distill/core/stop_flag.h>
#include <distill/generation/answer_judge.h>
#include <distill/generation/text_generator.h>

namespace distill::generation {

/// Sequence-level distillation (Kim, Rush 2016, "Sequence-Level Knowledge Distillation"): the
/// student is trained on what the teacher answers.
struct GenerateDataOptions {
  std::filesystem::path prompts;  ///< JSON Lines: conversations, or rows with `prompt`
  std::filesystem::path out;      ///< JSON Lines; must not exist
  std::int64_t samples = 1;       ///< answers to each prompt, each drawn anew
  std::int64_t min_tokens = 0;    ///< of an answer
  std::optional<std::int64_t> max_tokens = {};
  /// Largest share of an answer's runs of four words that were there before in it.
  std::optional<double> max_repetition = {};
  std::string answer_regex = {};  ///< must match somewhere in an answer; empty: none
  /// Least mean log-probability of an answer's tokens.
  std::optional<double> min_likelihood = {};
  std::uint64_t seed = 17;
  std::int64_t rows_at_once = 32;  ///< what is lost at most when it is stopped
  bool restart = false;            ///< begin anew where an unfinished run is
  std::int64_t most_prompts = 0;   ///< no more are read; 0: all
  const core::StopFlag* stop = nullptr;
  core::ProgressOptions progress = {};
};

/// Each answer that was asked for is counted once: it is written, or left out for the first reason
/// that holds.
struct GenerateDataResult {
  std::int64_t rows = 0;   ///< prompts read
  std::int64_t asked = 0;  ///< answers asked for
  std::int64_t written = 0;
  std::int64_t too_long = 0;      ///< the prompt is more than the model can read
  std::int64_t cut_off = 0;       ///< had no room to end by itself
  std::int64_t other_end = 0;     ///< ended by the server: a filter, a call of a tool
  std::int64_t empty = 0;         ///< no words
  std::int64_t wrong_length = 0;  ///< in tokens
  std::int64_t repetitive = 0;
  std::int64_t no_match = 0;       ///< with `answer_regex`
  std::int64_t pattern_limit = 0;  ///< `answer_regex` takes too much work on it
  std::int64_t unlikely = 0;
  std::int64_t duplicates = 0;  ///< the same prompt has that answer already
};

/// Writes a training row for each answer that passes: `messages`, or without a chat template
/// `prompt` and `completion`; the prompt's other members; and in `generation` where it comes from.
/// `judge` says how likely an answer is; null: the generator has. The file appears whole or not at
/// all, and the same call goes on where an earlier one was stopped, to the same bytes
/// (docs/formats/partial.md). Throws InputError for options that make no sense, an `out` that
/// exists, a row without a prompt, unfinished work of other options; Interrupted when stopped.
GenerateDataResult generate_data(const GenerateDataOptions& options, TextGenerator& generator,
                                 AnswerJudge* judge, core::Logger& log);

/// How many prompts there are; each is read. `between_rows` is called often, what it throws ends
/// it. Throws InputError for a file without one, FormatError naming FILE:LINE for a row that asks
/// nothing.
std::int64_t count_prompts(const std::filesystem::path& prompts,
                           const std::function<void()>& between_rows = {});

/// As one JSON object, or as a table.
void print_result(const GenerateDataResult& result, bool json, std::ostream& out);

}  // namespace distill::generation
