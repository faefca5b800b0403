#include "generation/answer_filters.h"

#include <cmath>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/core/text_pattern.h>

namespace distill::generation {

namespace {

constexpr std::size_t kWordsOfRun = 4;
constexpr std::size_t kCharactersOfRun = 8;
/// A text with longer words than this on average is written without blanks.
constexpr std::size_t kLongWord = 40;

using Pieces = std::vector<std::string_view>;

Pieces words_of(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  Pieces words;
  std::size_t begin = text.find_first_not_of(kBlanks);
  while (begin != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kBlanks, end);
  }
  return words;
}

Pieces characters_of(std::string_view text) {
  Pieces characters;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && (text[end] & 0xc0) == 0x80) ++end;
    characters.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return characters;
}

double share_seen_before(const Pieces& pieces, std::size_t run) {
  if (pieces.size() < 2 * run) return 0;
  std::unordered_set<std::string> seen;
  const std::size_t num_runs = pieces.size() - run + 1;
  for (std::size_t i = 0; i < num_runs; ++i) {
    std::string joined;
    for (std::size_t j = i; j < i + run; ++j) joined.append(pieces[j]) += '\0';
    seen.insert(std::move(joined));
  }
  return 1 - static_cast<double>(seen.size()) / static_cast<double>(num_runs);
}

void check(const GenerateDataOptions& options) {
  if (options.samples < 1 || options.rows_at_once < 1) {
    fail<InputError>("samples and rows at once must be at least 1, they are ", options.samples,
                     " and ", options.rows_at_once);
  }
  if (options.min_tokens < 0 || (options.max_tokens && *options.max_tokens < options.min_tokens)) {
    fail<InputError>("the tokens of an answer must be a range, they are ", options.min_tokens,
                     " to ", options.max_tokens.value_or(0));
  }
  const double share = options.max_repetition.value_or(0);
  if (!(share >= 0 && share <= 1)) {
    fail<InputError>("the repetition of an answer is a share from 0 to 1, it is ", share);
  }
  if (options.min_likelihood && !(*options.min_likelihood <= 0)) {
    fail<InputError>("the likelihood of an answer is a mean log-probability, 0 at most, it is ",
                     *options.min_likelihood);
  }
}

}  // namespace

double repetition(const std::string& text) {
  const Pieces words = words_of(text);
  if (words.size() * kLongWord < text.size()) {
    return share_seen_before(characters_of(text), kCharactersOfRun);
  }
  return share_seen_before(words, kWordsOfRun);
}

AnswerFilters::AnswerFilters(const GenerateDataOptions& options) : options_(options) {
  check(options);
  if (options.answer_regex.empty()) return;
  pattern_ = std::make_unique<core::TextPattern>(
      options.answer_regex, core::TextPattern::Part::kInside, "--answer-regex");
}

AnswerFilters::~AnswerFilters() = default;

std::int64_t GenerateDataResult::*AnswerFilters::problem(
    const std::optional<TextAnswer>& answer) const {
  using Result = GenerateDataResult;
  if (!answer) return &Result::too_long;
  if (answer->ended_otherwise) return &Result::other_end;
  if (answer->cut_off) return &Result::cut_off;
  if (answer->text.empty()) return &Result::empty;
  if (options_.min_tokens > 0 || options_.max_tokens) {
    if (!answer->num_tokens) {
      fail<InputError>(
          "the server does not say how many tokens an answer has; leave out "
          "--min-tokens and --max-tokens");
    }
    const std::int64_t count = *answer->num_tokens;
    if (count < options_.min_tokens || (options_.max_tokens && count > *options_.max_tokens)) {
      return &Result::wrong_length;
    }
  }
  if (options_.max_repetition && repetition(answer->text) > *options_.max_repetition) {
    return &Result::repetitive;
  }
  if (!pattern_) return nullptr;
  const auto matches = pattern_->matches_in_time(answer->text);
  if (!matches) return &Result::pattern_limit;
  return *matches ? nullptr : &Result::no_match;
}

bool AnswerFilters::is_likely(double mean_log_prob) const {
  return !options_.min_likelihood || mean_log_prob >= *options_.min_likelihood;
}

}  // namespace distill::generation
