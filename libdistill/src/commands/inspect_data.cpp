#include <cstdint>
#include <memory>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/data/data_path.h>
#include <distill/data/sample.h>
#include <distill/data/survey.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace {

constexpr std::size_t kMostProblems = 100;

void add(data::Survey& all, const data::Survey& one) {
  all.rows += one.rows;
  all.bad += one.bad;
  for (std::size_t i = 0; i < all.rows_by_form.size(); ++i) {
    all.rows_by_form[i] += one.rows_by_form[i];
  }
  all.text_bytes += one.text_bytes;
  all.tokens += one.tokens;
  all.targets += one.targets;
}

void tell(const data::Survey& survey, bool tokenized, Inspection& inspection) {
  using core::with_thousands;
  inspection.facts.emplace_back("rows", with_thousands(survey.rows));
  constexpr auto kForms = data::choice_names(data::RowForm{});
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    if (survey.rows_by_form[i] == 0) continue;
    inspection.facts.emplace_back(core::concat(kForms[i], " rows"),
                                  with_thousands(survey.rows_by_form[i]));
  }
  inspection.facts.emplace_back("text", core::human_bytes(survey.text_bytes));
  if (!tokenized) return;
  inspection.facts.emplace_back("tokens", with_thousands(survey.tokens));
  inspection.facts.emplace_back("target tokens", with_thousands(survey.targets));
}

/// Each run of tokens decoded by the stream, so that no character is cut in two.
std::vector<SamplePart> parts_of(const std::vector<data::SampleToken>& tokens,
                                 const text::Tokenizer& tokenizer) {
  std::vector<SamplePart> parts;
  const auto stream = tokenizer.stream(/*skip_special=*/false);
  for (const data::SampleToken& token : tokens) {
    if (parts.empty() || parts.back().learned != token.learned) {
      parts.push_back({"", token.learned, 0});
    }
    parts.back().text += stream->push(token.id);
    ++parts.back().tokens;
  }
  if (!parts.empty()) parts.back().text += stream->finish();
  return parts;
}

}  // namespace

Inspection inspect_data_file(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "JSONL data";
  collect_problem(inspection, [&] {
    const bool tokenizes = !options.model.empty();
    if (options.sample > 0 && !tokenizes) {
      fail<InputError>(options.path.string(),
                       ": a sample needs a tokenizer; give its folder with --model");
    }
    const auto tokenizer = tokenizes ? text::load_tokenizer(options.model) : nullptr;
    const auto chat = tokenizes ? text::load_chat_template(options.model, "auto") : nullptr;
    std::unique_ptr<data::RowReading> reading;
    if (tokenizes) reading.reset(new data::RowReading{*tokenizer, chat.get()});
    const auto files = data::expand_data_path(options.path.string());
    data::Survey survey;
    if (files.size() > 1) inspection.facts.emplace_back("files", std::to_string(files.size()));
    for (const auto& file : files) {
      add(survey, data::survey_file(file, reading.get(), [&](const std::string& why) {
            inspection.problems.push_back(why);
            return inspection.problems.size() < kMostProblems;
          }));
      if (inspection.problems.size() == kMostProblems) break;
    }
    if (inspection.problems.size() == kMostProblems) {
      inspection.facts.emplace_back("stopped", core::concat("after ", kMostProblems, " problems"));
    }
    tell(survey, tokenizes, inspection);
    if (options.sample > 0 && reading && inspection.problems.empty()) {
      inspection.sample =
          parts_of(data::read_sample(files.front(), *reading, options.sample), *tokenizer);
    }
  });
  return inspection;
}

}  // namespace distill::commands
