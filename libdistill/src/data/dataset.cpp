#include <distill/data/dataset.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/strings.h>

#include "data/cutting.h"
#include "data/document_reader.h"
#include "data/packing.h"
#include "data/repetition.h"
#include "data/token_store.h"

namespace distill::data {

struct Dataset::Data {
  std::shared_ptr<const TokenStore> tokens;
  PackedRows rows;
  std::int64_t num_tokens = 0;
  std::int64_t num_targets = 0;
  std::int64_t vocabulary = 0;
  std::string fingerprint;
};

namespace {

template <class T>
void add_values(core::Hasher& hasher, std::span<const T> values) {
  hasher.add(std::as_bytes(values));
}

void add_piece(core::Hasher& hasher, const TokenStore& tokens, const Span& piece) {
  const auto begin = static_cast<std::size_t>(piece.begin);
  const auto length = static_cast<std::size_t>(piece.length);
  add_values(hasher, std::span(&piece.length, 1));
  add_values(hasher, std::span(tokens.ids).subspan(begin, length));
  std::vector<std::uint8_t> targets(length);
  for (std::size_t i = 0; i < length; ++i) targets[i] = tokens.is_target[begin + i] ? 1 : 0;
  add_values(hasher, std::span<const std::uint8_t>(targets));
}

/// Every row as: number of pieces, then each piece's length, ids (int32) and targets (a byte each).
std::string hash_rows(const TokenStore& tokens, const PackedRows& rows) {
  core::Hasher hasher;
  for (std::size_t r = 0; r + 1 < rows.row_begin.size(); ++r) {
    const std::int64_t count = rows.row_begin[r + 1] - rows.row_begin[r];
    add_values(hasher, std::span(&count, 1));
    for (std::int64_t p = rows.row_begin[r]; p < rows.row_begin[r + 1]; ++p) {
      add_piece(hasher, tokens, rows.pieces[static_cast<std::size_t>(p)]);
    }
  }
  return hasher.hex();
}

/// The public entry checks what only a recipe's reader would have checked otherwise.
void check_options(const std::vector<DataFile>& files, const DataOptions& options) {
  DataOptions used = options;
  used.train = files;
  core::Problems problems;
  validate(used, problems);
  for (const DataFile& file : files) validate(file, problems);
  if (problems.items().empty()) return;
  const auto& first = problems.items().front();
  if (first.field == "train") fail<ConfigError>("data files: ", first.message);
  fail<ConfigError>("data: `", first.field, "` ", first.message);
}

std::string percent(double part, double whole) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", whole > 0 ? 100 * part / whole : 0.0);
  return text.data();
}

std::vector<WeightedDocuments> read_files(const std::vector<DataFile>& files,
                                          const RowReading& reading, TokenStore& tokens,
                                          core::Logger& log) {
  std::vector<WeightedDocuments> read;
  for (const DataFile& file : files) {
    const std::size_t before = tokens.ids.size();
    read.push_back({read_documents(file.path, reading, tokens), file.weight});
    log.info(file.path, ": ",
             core::with_thousands(static_cast<std::int64_t>(read.back().documents.size())),
             " documents, ",
             core::with_thousands(static_cast<std::int64_t>(tokens.ids.size() - before)),
             " tokens");
  }
  return read;
}

}  // namespace

Dataset::Dataset(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

std::shared_ptr<const Dataset> Dataset::load(const std::vector<DataFile>& files,
                                             const DataOptions& options,
                                             const text::Tokenizer& tokenizer,
                                             const text::ChatTemplate* chat, core::Logger& log) {
  return load(files, options, RowReading{tokenizer, chat}, log);
}

std::shared_ptr<const Dataset> Dataset::load(const std::vector<DataFile>& files,
                                             const DataOptions& options, const RowReading& reading,
                                             core::Logger& log) {
  check_options(files, options);
  auto tokens = std::make_shared<TokenStore>();
  const auto documents = repeat_by_weight(read_files(files, reading, *tokens, log));
  const Pieces pieces = cut(*tokens, documents, options.sequence_length);
  if (pieces.spans.empty()) {
    fail<InputError>(files.front().path, files.size() > 1 ? " and the other files" : "",
                     ": nothing to learn from, expected a document of at least two tokens");
  }
  auto data = std::make_shared<Data>();
  data->rows = options.packing ? pack_best_fit(pieces.spans, options.sequence_length)
                               : one_piece_per_row(pieces.spans);
  for (const Span& piece : data->rows.pieces) {
    data->num_tokens += piece.length;
    data->num_targets += count_targets(*tokens, piece);
  }
  data->fingerprint = hash_rows(*tokens, data->rows);
  data->tokens = std::move(tokens);
  data->vocabulary = reading.tokenizer.vocab_size();
  std::shared_ptr<const Dataset> dataset(new Dataset(std::move(data)));

  if (pieces.tokens_left_out > 0) {
    log.info("left out ", core::with_thousands(pieces.tokens_left_out),
             " tokens in pieces with nothing to learn");
  }
  const std::int64_t num_rows = dataset->num_rows();
  log.info(core::with_thousands(num_rows), " rows of up to ",
           core::with_thousands(options.sequence_length),
           " tokens: ", core::with_thousands(static_cast<std::int64_t>(documents.size())),
           " documents, ", core::with_thousands(dataset->num_tokens()), " tokens (",
           percent(static_cast<double>(dataset->num_tokens()),
                   static_cast<double>(num_rows) * static_cast<double>(options.sequence_length)),
           " of the positions), ", core::with_thousands(dataset->num_targets()), " to learn");
  return dataset;
}

std::shared_ptr<const Dataset> Dataset::first_rows(std::int64_t count) const {
  const std::int64_t kept = std::clamp<std::int64_t>(count, 0, num_rows());
  auto data = std::make_shared<Data>();
  data->tokens = data_->tokens;
  data->vocabulary = data_->vocabulary;
  const auto& begins = data_->rows.row_begin;
  data->rows.row_begin.assign(begins.begin(), begins.begin() + kept + 1);
  const auto& all = data_->rows.pieces;
  data->rows.pieces.assign(all.begin(), all.begin() + data->rows.row_begin.back());
  for (const Span& piece : data->rows.pieces) {
    data->num_tokens += piece.length;
    data->num_targets += count_targets(*data->tokens, piece);
  }
  data->fingerprint = hash_rows(*data->tokens, data->rows);
  return std::shared_ptr<const Dataset>(new Dataset(std::move(data)));
}

std::int64_t Dataset::num_rows() const {
  return static_cast<std::int64_t>(data_->rows.row_begin.size()) - 1;
}
std::int64_t Dataset::num_tokens() const {
  return data_->num_tokens;
}
std::int64_t Dataset::num_targets() const {
  return data_->num_targets;
}
std::int64_t Dataset::vocabulary() const {
  return data_->vocabulary;
}
const std::string& Dataset::fingerprint() const {
  return data_->fingerprint;
}

Row Dataset::row(std::int64_t index) const {
  if (index < 0 || index >= num_rows()) {
    fail<InputError>("row ", index, " was asked for, there are ", num_rows());
  }
  const TokenStore& tokens = *data_->tokens;
  const auto& begins = data_->rows.row_begin;
  const auto first = static_cast<std::size_t>(begins[static_cast<std::size_t>(index)]);
  const auto last = static_cast<std::size_t>(begins[static_cast<std::size_t>(index) + 1]);
  Row row;
  row.segments.push_back(0);
  for (std::size_t p = first; p < last; ++p) {
    const Span& piece = data_->rows.pieces[p];
    const auto begin = piece.begin;
    const auto end = piece.begin + piece.length;
    row.ids.insert(row.ids.end(), tokens.ids.begin() + begin, tokens.ids.begin() + end);
    row.is_target.insert(row.is_target.end(), tokens.is_target.begin() + begin,
                         tokens.is_target.begin() + end);
    row.segments.push_back(static_cast<std::int64_t>(row.ids.size()));
  }
  return row;
}

}  // namespace distill::data
