#include <distill/generation/augment.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <unordered_set>

#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/random.h>
#include <distill/core/strings.h>
#include <distill/io/jsonl.h>
#include <distill/io/resumable_jsonl.h>

#include "generation/row_job.h"
#include "generation/row_texts.h"

namespace distill::generation {

namespace {

constexpr const char* kProvenance = "augmentation";

void replace_all(std::string& text, const std::string& name, const std::string& value) {
  for (std::size_t at = text.find(name); at != std::string::npos;
       at = text.find(name, at + value.size())) {
    text.replace(at, name.size(), value);
  }
}

/// The text comes last: what it holds is not looked at.
std::string fill_in(std::string prompt, const std::string& from, const std::string& to,
                    const std::string& text) {
  replace_all(prompt, "{from}", from);
  replace_all(prompt, "{to}", to);
  replace_all(prompt, "{text}", text);
  return prompt;
}

std::int64_t num_characters(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; });
}

std::vector<std::string> words_of(const std::vector<const io::JsonValue*>& texts) {
  std::vector<std::string> words;
  for (const auto* text : texts) words.push_back(std::get<std::string>(text->storage()));
  return words;
}

void check(const AugmentOptions& options) {
  for (const auto* prompt : {&options.prompt, &options.back_prompt}) {
    if (prompt->empty() && prompt == &options.back_prompt) continue;
    if (prompt->find("{text}") == std::string::npos) {
      fail<InputError>("the prompt `", core::printable(*prompt),
                       "` has no place for the text; write {text} into it");
    }
  }
  if (!(options.min_length >= 0 && options.min_length <= options.max_length &&
        std::isfinite(options.max_length))) {
    fail<InputError>("the lengths of new texts must be a range, such as 0.5 to 2; it is ",
                     options.min_length, " to ", options.max_length);
  }
  if (options.copies < 1 || options.rows_at_once < 1) {
    fail<InputError>("copies and rows at once must be at least 1, they are ", options.copies,
                     " and ", options.rows_at_once);
  }
}

/// What decides the rows.
io::WorkFacts facts_of(const AugmentOptions& options, const TextGenerator& generator) {
  io::WorkFacts facts = {{"command", "augment"},
                         {"data", options.data.string()},
                         {"data's hash", core::hash_file(options.data)},
                         {"model", generator.asked_model()},
                         {"model's hash", generator.hash()},
                         {"fields", core::join(options.fields)},
                         {"language", options.language},
                         {"via", options.via},
                         {"prompt", options.prompt},
                         {"back prompt", options.back_prompt},
                         {"copies", core::concat(options.copies)},
                         {"min length", core::concat(options.min_length)},
                         {"max length", core::concat(options.max_length)},
                         {"seed", core::concat(options.seed)},
                         {"rows at once", core::concat(options.rows_at_once)}};
  for (auto& setting : generator.settings()) facts.push_back(std::move(setting));
  return facts;
}

void write_members(core::JsonWriter& json, const AugmentResult& result) {
  json.member("rows", result.rows)
      .member("written", result.written)
      .member("duplicates", result.duplicates)
      .member("wrong_length", result.wrong_length)
      .member("too_long", result.too_long)
      .member("cut_off", result.cut_off);
}

std::string progress_json(const AugmentResult& result, std::uint64_t num_calls) {
  core::JsonWriter json;
  json.begin_object();
  write_members(json, result);
  return json.member("calls", num_calls).end_object().text();
}

RowJobOptions job_options(const AugmentOptions& options, const TextGenerator& generator) {
  return {.in = options.data,
          .out = options.out,
          .facts = facts_of(options, generator),
          .rows_at_once = options.rows_at_once,
          .restart = options.restart,
          .stop = options.stop,
          .progress = options.progress,
          .label = "translating"};
}

class Augmenter {
 public:
  Augmenter(const AugmentOptions& options, TextGenerator& generator)
      : options_(options), generator_(generator), job_(job_options(options, generator)) {}

  AugmentResult run(core::Logger& log) {
    generator_.stop_with(options_.stop);
    note_progress(log);
    if (job_.file().finished()) return result_;
    note_originals();
    note_written();
    const RowJob::Steps steps{
        .make =
            [this](const RowJob::Rows& rows) {
              for (std::int64_t copy = 0; copy < options_.copies; ++copy) rewrite(rows, copy);
            },
        .counts =
            [this](std::int64_t rows) {
              result_.rows = rows;
              return progress_json(result_, num_calls_);
            },
        .shown =
            [this] { return core::concat(core::with_thousands(result_.written), " new rows"); }};
    job_.run(result_.rows, num_rows_, steps, log);
    return result_;
  }

 private:
  /// How far an earlier call came.
  void note_progress(core::Logger& log) {
    if (!job_.file().progress()) return;
    const io::JsonCursor progress(*job_.file().progress(), core::shown(options_.out));
    const auto read = [&](const char* name) {
      return progress.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
    };
    result_ = {.rows = read("rows"),
               .written = read("written"),
               .duplicates = read("duplicates"),
               .wrong_length = read("wrong_length"),
               .too_long = read("too_long"),
               .cut_off = read("cut_off")};
    num_calls_ = static_cast<std::uint64_t>(read("calls"));
    log.info(core::shown(options_.out), ": going on after ", core::with_thousands(result_.rows),
             " rows");
  }

  /// New rows of an earlier call are there already.
  void note_written() {
    if (result_.written == 0) return;
    io::JsonlReader reader(job_.file().partial_path());
    while (const auto row = reader.next()) {
      seen_.insert(same_words(words_of(find_texts(*row, options_.fields))));
    }
  }

  /// A new row must say something that no row of the file says; also finds bad rows before work
  /// begins.
  void note_originals() {
    io::JsonlReader reader(options_.data);
    while (const auto row = reader.next()) {
      ++num_rows_;
      if (io::JsonCursor(row->value, row->source).has(kProvenance)) {
        fail<FormatError>(row->source, ": holds `", kProvenance,
                          "`: it was augmented already; give the original rows");
      }
      seen_.insert(same_words(words_of(find_texts(*row, options_.fields))));
    }
    if (num_rows_ == 0) fail<InputError>(core::shown(options_.data), ": no row in it");
  }

  std::vector<std::optional<TextAnswer>> ask(const std::vector<std::string>& prompts) {
    // Each call draws from a stream of its own.
    return generator_.answer(prompts, core::RandomState(options_.seed, num_calls_++).next());
  }

  /// All texts there and back; nothing where the model could not read one. What was cut off on one
  /// of the ways says so: part of the text is missing.
  std::vector<std::optional<TextAnswer>> there_and_back(const std::vector<std::string>& texts) {
    std::vector<std::string> prompts;
    for (const auto& text : texts) {
      prompts.push_back(fill_in(options_.prompt, options_.language, options_.via, text));
    }
    std::vector<std::optional<TextAnswer>> results = ask(prompts);
    const std::string& back = options_.back_prompt.empty() ? options_.prompt : options_.back_prompt;
    prompts.clear();
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i] || results[i]->text.empty() || results[i]->cut_off) continue;
      prompts.push_back(fill_in(back, options_.via, options_.language, results[i]->text));
      places.push_back(i);
    }
    if (prompts.empty()) return results;
    auto returned = ask(prompts);
    for (std::size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(returned[i]);
    return results;
  }

  void rewrite(const RowJob::Rows& rows, std::int64_t copy) {
    std::vector<std::vector<const io::JsonValue*>> places;
    std::vector<std::string> texts;
    for (const auto& row : rows) {
      places.push_back(find_texts(row, options_.fields));
      for (auto& words : words_of(places.back())) texts.push_back(std::move(words));
    }
    const auto results = there_and_back(texts);
    std::size_t next = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      NewTexts replaced;
      std::vector<std::string> words;
      bool read = true;
      bool whole = true;
      bool fits = true;
      for (const auto* place : places[r]) {
        const std::string& before = texts[next];
        const auto& after = results[next++];
        read = read && after.has_value();
        if (!after) continue;
        whole = whole && !after->cut_off;
        fits = fits && has_right_length(before, after->text);
        replaced[place] = after->text;
        words.push_back(after->text);
      }
      if (!read) {
        ++result_.too_long;
      } else if (!whole) {
        ++result_.cut_off;
      } else if (!fits) {
        ++result_.wrong_length;
      } else if (!seen_.insert(same_words(words)).second) {
        ++result_.duplicates;
      } else {
        write(rows[r], replaced, copy);
      }
    }
  }

  bool has_right_length(const std::string& before, const std::string& after) const {
    const double ratio = static_cast<double>(num_characters(after)) /
                         static_cast<double>(std::max<std::int64_t>(1, num_characters(before)));
    return !after.empty() && ratio >= options_.min_length && ratio <= options_.max_length;
  }

  void write(const io::JsonlRow& row, const NewTexts& texts, std::int64_t copy) {
    core::JsonWriter json;
    json.begin_object();
    for (const auto& [name, member] : std::get<io::JsonObject>(row.value.storage()).members()) {
      if (name == kProvenance) continue;  // it is null
      json.key(name);
      write_with(json, member, texts);
    }
    json.key(kProvenance)
        .begin_object()
        .member("kind", "back_translation")
        .member("source", row.source)
        .member("line", row.line)
        .member("copy", copy)
        .member("language", options_.language)
        .member("via", options_.via)
        .member("model", generator_.name())
        .member("model_hash", generator_.hash())
        .member("seed", options_.seed)
        .end_object();
    json.end_object();
    job_.file().write(json.text());
    ++result_.written;
  }

  const AugmentOptions& options_;
  TextGenerator& generator_;
  RowJob job_;
  std::unordered_set<std::string> seen_;
  std::uint64_t num_calls_ = 0;
  std::int64_t num_rows_ = 0;
  AugmentResult result_;
};

}  // namespace

AugmentResult augment(const AugmentOptions& options, TextGenerator& generator, core::Logger& log) {
  check(options);
  const AugmentResult result = Augmenter(options, generator).run(log);
  if (result.written == 0) {
    log.warning(core::shown(options.out), ": empty, no new row was good enough");
  }
  if (result.cut_off > 0) {
    log.warning(core::with_thousands(result.cut_off),
                " rows are left out: an answer was cut off before its end; allow more new tokens "
                "(--max-new-tokens)");
  }
  return result;
}

void print_result(const AugmentResult& result, bool json, std::ostream& out) {
  using core::with_thousands;
  if (json) {
    core::JsonWriter writer;
    writer.begin_object();
    write_members(writer, result);
    out << writer.end_object().text() << '\n';
    return;
  }
  out << with_thousands(result.written) << " new rows from " << with_thousands(result.rows)
      << "; left out: " << with_thousands(result.duplicates) << " said already, "
      << with_thousands(result.wrong_length) << " of another length, "
      << with_thousands(result.cut_off) << " cut off, " << with_thousands(result.too_long)
      << " too long for the model\n";
}

}  // namespace distill::generation
