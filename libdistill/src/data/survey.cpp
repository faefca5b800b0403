#include <distill/data/survey.h>

#include <optional>

#include "data/row_pipeline.h"

namespace distill::data {

namespace {

struct Ended {};  // nothing more is wanted

}  // namespace

Survey survey_file(const std::filesystem::path& path, const RowReading* reading,
                   const std::function<bool(const std::string& why)>& on_bad) {
  std::optional<DocumentEncoder> encoder;
  if (reading != nullptr) encoder.emplace(reading->tokenizer, reading->chat);
  Survey survey;
  RowPipeline pipeline;
  pipeline.encoder = encoder ? &*encoder : nullptr;
  pipeline.threads = reading != nullptr ? reading->threads : 0;
  pipeline.take = [&](ReadRow&& row) {
    ++survey.rows;
    if (!row.bad.empty()) {
      ++survey.bad;
      if (!on_bad(row.bad)) throw Ended{};
      return;
    }
    ++survey.rows_by_form[static_cast<std::size_t>(row.form)];
    survey.text_bytes += row.text_bytes;
    survey.tokens += std::ssize(row.document.words);
    survey.targets += static_cast<std::int64_t>(row.document.targets);
  };
  try {
    read_rows(path, pipeline);
  } catch (const Ended&) {
    // What was seen so far is the answer.
  }
  return survey;
}

}  // namespace distill::data
