#include <distill/generation/generate_data.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <ostream>
#include <unordered_set>
#include <utility>

#include <distill/core/hash.h>
#include <distill/core/interrupted.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/random.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>

#include "generation/answer_filters.h"
#include "generation/answer_rows.h"
#include "generation/prompt_rows.h"
#include "generation/row_job.h"

namespace distill::generation {

namespace {

using Result = GenerateDataResult;

struct Count {
  const char* name;   ///< in JSON and in the state of unfinished work
  const char* words;  ///< for people
  std::int64_t Result::*value;
};

constexpr std::array<Count, 13> kCounts = {{
    {"rows", "prompts", &Result::rows},
    {"asked", "answers", &Result::asked},
    {"written", "written", &Result::written},
    {"too_long", "prompt too long", &Result::too_long},
    {"cut_off", "cut off", &Result::cut_off},
    {"other_end", "ended otherwise", &Result::other_end},
    {"empty", "empty", &Result::empty},
    {"wrong_length", "of another length", &Result::wrong_length},
    {"repetitive", "repetitive", &Result::repetitive},
    {"no_match", "no match", &Result::no_match},
    {"pattern_limit", "pattern limit", &Result::pattern_limit},
    {"unlikely", "unlikely", &Result::unlikely},
    {"duplicates", "given already", &Result::duplicates},
}};

std::string shown(const auto& maybe) {
  return maybe ? core::concat(*maybe) : "none";
}

std::string hash_of_prompts(const GenerateDataOptions& o) {
  return core::hash_file(o.prompts, [&o] {
    if (o.stop == nullptr || !o.stop->requested()) return;
    fail<Interrupted>("stopped by signal ", o.stop->reason());
  });
}

/// What decides the rows.
io::WorkFacts facts_of(const GenerateDataOptions& o, const TextGenerator& generator,
                       const AnswerJudge* judge) {
  io::WorkFacts facts = {{"command", "generate-data"},
                         {"prompts", o.prompts.string()},
                         {"prompts' hash", hash_of_prompts(o)},
                         {"model", generator.asked_model()},
                         {"model's hash", generator.hash()},
                         {"judge", judge != nullptr ? judge->name() : ""},
                         {"judge's hash", judge != nullptr ? judge->hash() : ""},
                         {"samples", core::concat(o.samples)},
                         {"min tokens", core::concat(o.min_tokens)},
                         {"max tokens", shown(o.max_tokens)},
                         {"max repetition", shown(o.max_repetition)},
                         {"answer regex", o.answer_regex},
                         {"min likelihood", shown(o.min_likelihood)},
                         {"seed", core::concat(o.seed)},
                         {"rows at once", core::concat(o.rows_at_once)}};
  if (o.most_prompts > 0) facts.emplace_back("most prompts", core::concat(o.most_prompts));
  for (auto& setting : generator.settings()) facts.push_back(std::move(setting));
  return facts;
}

RowJobOptions job_options(const GenerateDataOptions& options, const TextGenerator& generator,
                          const AnswerJudge* judge) {
  return {.in = options.prompts,
          .out = options.out,
          .facts = facts_of(options, generator, judge),
          .rows_at_once = options.rows_at_once,
          .most_rows = options.most_prompts,
          .restart = options.restart,
          .stop = options.stop,
          .progress = options.progress,
          .label = "answering"};
}

class DataMaker {
 public:
  DataMaker(const GenerateDataOptions& options, TextGenerator& generator, AnswerJudge* judge)
      : options_(options),
        generator_(generator),
        judge_(judge),
        filters_(options),
        job_(job_options(options, generator, judge)) {}

  Result run(core::Logger& log) {
    generator_.stop_with(options_.stop);
    if (options_.samples > 1 && !generator_.draws()) {
      log.warning("at temperature 0 all ", options_.samples,
                  " answers to a prompt are the same, and one is kept; use --temperature");
    }
    note_progress(log);
    if (job_.file().finished()) return result_;
    // Finds bad rows before work begins.
    std::int64_t total = count_prompts(options_.prompts, [this] { job_.stop_if_asked(); });
    if (options_.most_prompts > 0) total = std::min(total, options_.most_prompts);
    note_written();
    const RowJob::Steps steps{
        .make =
            [this](const RowJob::Rows& rows) {
              for (std::int64_t sample = 0; sample < options_.samples; ++sample) {
                answer(rows, sample);
              }
            },
        .counts =
            [this](std::int64_t rows) {
              result_.rows = rows;
              return progress_json();
            },
        .shown =
            [this] { return core::concat(core::with_thousands(result_.written), " new rows"); }};
    job_.run(result_.rows, total, steps, log);
    return result_;
  }

 private:
  std::string progress_json() const {
    core::JsonWriter json;
    json.begin_object();
    for (const auto& count : kCounts) json.member(count.name, result_.*count.value);
    return json.member("calls", num_calls_).end_object().text();
  }

  /// How far an earlier call came.
  void note_progress(core::Logger& log) {
    if (!job_.file().progress()) return;
    const io::JsonCursor progress(*job_.file().progress(), core::shown(options_.out));
    const auto read = [&](const char* name) {
      return progress.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
    };
    for (const auto& count : kCounts) {
      // Work of an earlier version knows fewer reasons.
      result_.*count.value = progress.has(count.name) ? read(count.name) : 0;
    }
    num_calls_ = static_cast<std::uint64_t>(read("calls"));
    log.info(core::shown(options_.out), ": going on after ", core::with_thousands(result_.rows),
             " prompts");
  }

  static std::string identity(const Conversation& chat, const std::string& answer) {
    std::vector<std::string> texts;
    for (const auto& message : chat) texts.insert(texts.end(), {message.role, message.content});
    texts.push_back(answer);
    return same_words(texts);
  }

  /// New rows of an earlier call are there already.
  void note_written() {
    if (result_.written == 0) return;
    io::JsonlReader reader(job_.file().partial_path());
    while (const auto row = reader.next()) {
      const auto [chat, answer] = read_lesson(*row);
      seen_.insert(identity(chat, answer));
    }
  }

  void answer(const RowJob::Rows& rows, std::int64_t sample) {
    std::vector<Conversation> chats;
    for (const auto& row : rows) chats.push_back(conversation_of(row));
    // Each call draws from a stream of its own.
    const auto answers =
        generator_.converse(chats, core::RandomState(options_.seed, num_calls_++).next());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      job_.stop_if_asked();  // a pattern or a judge may take its time
      ++result_.asked;
      take(rows[i], chats[i], answers[i], sample);
    }
  }

  void take(const io::JsonlRow& row, const Conversation& chat,
            const std::optional<TextAnswer>& answer, std::int64_t sample) {
    if (const auto problem = filters_.problem(answer)) {
      ++(result_.*problem);
      return;
    }
    std::optional<double> likelihood = answer->mean_log_prob;
    if (judge_ != nullptr) likelihood = judge_->mean_log_prob(chat, said(*answer));
    if (options_.min_likelihood && !filters_.is_likely(likelihood.value_or(-INFINITY))) {
      ++result_.unlikely;
    } else if (!seen_.insert(identity(chat, answer->text)).second) {
      ++result_.duplicates;
    } else {
      write(row, chat, *answer, likelihood, sample);
    }
  }

  /// What a student learns: behind a text that is continued the very words, with the blank between.
  const std::string& said(const TextAnswer& answer) const {
    return generator_.continues() ? answer.as_written : answer.text;
  }

  void write(const io::JsonlRow& row, const Conversation& chat, const TextAnswer& answer,
             std::optional<double> likelihood, std::int64_t sample) {
    core::JsonWriter json;
    json.begin_object();
    write_lesson(json, chat, said(answer), generator_.continues());
    write_other_members(json, row);
    json.key("generation").begin_object();
    json.member("source", row.source).member("line", row.line).member("sample", sample);
    json.member("model", generator_.name()).member("model_hash", generator_.hash());
    json.member("seed", options_.seed);
    for (const auto& [name, value] : generator_.settings()) json.member(name, value);
    if (answer.num_tokens) json.member("tokens", *answer.num_tokens);
    if (likelihood && std::isfinite(*likelihood)) json.member("mean_log_prob", *likelihood);
    if (judge_ != nullptr)
      json.member("judge", judge_->name()).member("judge_hash", judge_->hash());
    json.end_object().end_object();
    job_.file().write(json.text());
    ++result_.written;
  }

  const GenerateDataOptions& options_;
  TextGenerator& generator_;
  AnswerJudge* judge_;
  AnswerFilters filters_;
  RowJob job_;
  std::unordered_set<std::string> seen_;
  std::uint64_t num_calls_ = 0;
  Result result_;
};

/// What can be done about answers that are left out.
void warn_of(const Result& result, core::Logger& log) {
  const auto warn = [&](std::int64_t count, const char* advice) {
    if (count > 0) log.warning(core::with_thousands(count), " answers are left out: ", advice);
  };
  warn(result.too_long,
       "the prompt is too long for the model, or for a server with --max-new-tokens behind it; "
       "allow fewer, or shorten the prompt");
  warn(result.cut_off,
       "they were cut off before their end; allow more new tokens (--max-new-tokens, in a recipe "
       "`generate.max_new_tokens`), as far as the model has positions for them");
  warn(result.other_end,
       "the server ended them for another reason than their length, such as a filter");
  warn(result.pattern_limit,
       "--answer-regex takes too long to match on them; write a simpler pattern");
}

}  // namespace

std::int64_t count_prompts(const std::filesystem::path& prompts,
                           const std::function<void()>& between_rows) {
  std::int64_t count = 0;
  io::JsonlReader reader(prompts);
  while (const auto row = reader.next()) {
    if (between_rows) between_rows();
    conversation_of(*row);
    ++count;
  }
  if (count == 0) fail<InputError>(core::shown(prompts), ": no row in it");
  return count;
}

GenerateDataResult generate_data(const GenerateDataOptions& options, TextGenerator& generator,
                                 AnswerJudge* judge, core::Logger& log) {
  const Result result = DataMaker(options, generator, judge).run(log);
  if (result.written == 0) {
    log.warning(core::shown(options.out), ": empty, no answer was good enough");
  }
  warn_of(result, log);
  return result;
}

void print_result(const GenerateDataResult& result, bool json, std::ostream& out) {
  if (json) {
    core::JsonWriter writer;
    writer.begin_object();
    for (const auto& count : kCounts) writer.member(count.name, result.*count.value);
    out << writer.end_object().text() << '\n';
    return;
  }
  core::Table table;
  for (const auto& count : kCounts) {
    table.add({count.words, core::with_thousands(result.*count.value)});
  }
  out << table.text();
}

}  // namespace distill::generation
