#include <cstdint>
#include <memory>

#include <distill/core/strings.h>
#include <distill/data/data_path.h>
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

}  // namespace

Inspection inspect_data_file(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "JSONL data";
  collect_problem(inspection, [&] {
    const bool tokenizes = !options.model.empty();
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
  });
  return inspection;
}

}  // namespace distill::commands
