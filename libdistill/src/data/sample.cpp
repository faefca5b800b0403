#include <distill/data/sample.h>

#include <distill/core/error.h>

#include "data/row_pipeline.h"

namespace distill::data {

namespace {

struct Found {};  // the rest of the file is not wanted

std::vector<SampleToken> tokens_of(const EncodedDocument& document) {
  std::vector<SampleToken> tokens;
  for (const Word word : document.words) tokens.push_back({id_of(word), (word & kTargetBit) != 0});
  if (!tokens.empty()) tokens.front().learned = false;  // nothing predicts the first one
  return tokens;
}

}  // namespace

std::vector<SampleToken> read_sample(const std::filesystem::path& path, const RowReading& reading,
                                     std::int64_t number) {
  const DocumentEncoder encoder(reading.tokenizer, reading.chat);
  std::vector<SampleToken> tokens;
  std::int64_t rows = 0;
  RowPipeline pipeline;
  pipeline.encoder = &encoder;
  pipeline.threads = reading.threads;
  pipeline.take = [&](ReadRow&& row) {
    if (++rows < number) return;
    if (!row.bad.empty()) throw FormatError(row.bad);
    tokens = tokens_of(row.document);
    throw Found{};
  };
  try {
    read_rows(path, pipeline);
  } catch (const Found&) {
    return tokens;
  }
  fail<InputError>(path.string(), ": has ", rows, " rows, row ", number, " was asked for");
}

}  // namespace distill::data
