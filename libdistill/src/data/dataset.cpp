#include <distill/data/dataset.h>

#include <algorithm>
#include <span>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>

#include "data/cutting.h"
#include "data/filling.h"
#include "data/load_files.h"
#include "data/packing.h"
#include "data/repetition.h"
#include "data/teacher_side.h"

namespace distill::data {

struct Dataset::Data {
  TokenFiles files;
  std::shared_ptr<const TeacherSide> teacher;  ///< null: it reads the same ids, or there is none
  PackedRows rows;
  std::int64_t num_tokens = 0;
  std::int64_t num_targets = 0;
  std::int64_t vocabulary = 0;
  std::string fingerprint;
  DataReport report;

  /// Of a piece of a document: of its own row, or of its file.
  const std::string& label_of(const Span& piece) const;
};

namespace {

/// The order in which rows are visited has changed with it: part of the checkpoint format.
constexpr const char* kFingerprintVersion = "rows 2";

/// What the rows consist of: the files' tokens by their checksums, and which of them each row has.
std::string hash_rows(const TokenFiles& files, const PackedRows& rows, const TeacherSide* teacher) {
  core::Hasher hasher;
  hasher.add(kFingerprintVersion);
  for (const auto& file : files) hasher.add(file->checksum);
  hasher.add(std::as_bytes(std::span(rows.row_begin)));
  hasher.add(std::as_bytes(std::span(rows.pieces)));
  if (teacher != nullptr) {
    hasher.add("teacher");
    for (const auto& file : teacher->files()) hasher.add(file->checksum);
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

void measure_lengths(const TokenFiles& files, DataReport& report) {
  std::vector<std::uint32_t> lengths;
  lengths.reserve(static_cast<std::size_t>(report.documents));
  for (const auto& file : files) {
    for (std::size_t i = 0; i < file->documents.size(); ++i) {
      lengths.push_back(static_cast<std::uint32_t>(file->length_of(i)));
    }
  }
  if (lengths.empty()) return;
  const auto at = [&](std::size_t rank) {
    std::ranges::nth_element(lengths, lengths.begin() + static_cast<std::ptrdiff_t>(rank));
    return static_cast<std::int64_t>(lengths[rank]);
  };
  report.shortest = at(0);
  report.median = at((lengths.size() - 1) / 2);
  report.percentile_95 = at((lengths.size() * 95 + 99) / 100 - 1);
  report.longest = at(lengths.size() - 1);
}

/// All documents of an epoch; counts them by file.
std::vector<DocumentId> mix(const TokenFiles& files, DataReport& report) {
  std::vector<WeightedDocuments> weighted;
  for (const FileReport& file : report.files) weighted.push_back({file.documents, file.weight});
  std::vector<DocumentId> epoch = repeat_by_weight(weighted);
  for (const DocumentId& id : epoch) {
    const auto index = static_cast<std::size_t>(id.file);
    ++report.files[index].seen_documents;
    report.files[index].seen_tokens += files[index]->length_of(id.number);
  }
  return epoch;
}

[[noreturn]] void fail_empty(const std::vector<DataFile>& files, const DataReport& report) {
  const std::string bad =
      report.skipped > 0
          ? core::concat("; ", report.skipped,
                         " rows were skipped, the first: ", report.first_skipped.front())
          : std::string();
  fail<InputError>(files.front().path, files.size() > 1 ? " and the other files" : "",
                   ": nothing to learn from, expected a document of at least two tokens", bad);
}

struct Rows {
  PackedRows packed;
  std::int64_t targets = 0;
};

/// Cut, packed and filled, with what that came to in `report`.
Rows make_rows(const TokenFiles& files, const std::vector<DocumentId>& epoch,
               const DataOptions& options, DataReport& report) {
  const std::int64_t length = options.sequence_length;
  const Pieces pieces =
      cut(files, epoch, {.length = length, .long_documents = options.long_documents});
  report.long_documents = pieces.long_documents;
  report.tokens_cut_off = pieces.tokens_cut_off;
  report.tokens_unlearned = pieces.tokens_unlearned;
  if (!options.packing) return {one_piece_per_row(pieces.spans), pieces.targets};
  FilledRows filled =
      fill_rows(files, pack_best_fit(pieces.spans, length), length, options.min_packing_use);
  report.cut_to_fill = filled.pieces_cut;
  report.tokens_unlearned += filled.tokens_unlearned;
  return {std::move(filled.rows), pieces.targets - filled.targets_lost};
}

std::int64_t count_tokens(const PackedRows& rows) {
  std::int64_t tokens = 0;
  for (const Span& piece : rows.pieces) tokens += piece.length;
  return tokens;
}

std::int64_t count_row_targets(const TokenFiles& files, const PackedRows& rows) {
  std::int64_t targets = 0;
  for (const Span& piece : rows.pieces) targets += count_targets(words_of(files, piece));
  return targets;
}

void log_rows(const DataReport& report, std::int64_t num_rows, std::int64_t num_targets,
              std::int64_t length, core::Logger& log) {
  using core::with_thousands;
  std::int64_t seen = 0;
  for (const FileReport& file : report.files) seen += file.seen_documents;
  if (report.tokens_cut_off > 0) {
    log.warning("cut off ", with_thousands(report.tokens_cut_off), " tokens of ",
                with_thousands(report.long_documents), " long documents (`data.long_documents`)");
  }
  if (report.tokens_unlearned > 0) {
    log.info("left out ", with_thousands(report.tokens_unlearned),
             " tokens in pieces with nothing to learn");
  }
  if (report.cut_to_fill > 0) {
    log.info("cut up ", with_thousands(report.cut_to_fill),
             " documents to fill rows (`data.min_packing_use`)");
  }
  log.info(with_thousands(num_rows), " rows of up to ", with_thousands(length),
           " tokens: ", with_thousands(seen), " documents, ", with_thousands(report.tokens),
           " tokens (", core::fixed(100 * report.use(), 1), " % of the positions), ",
           with_thousands(num_targets), " to learn");
}

/// The same files once more, as the teacher reads them.
std::shared_ptr<const TeacherSide> load_teacher_side(const std::vector<DataFile>& files,
                                                     const DataOptions& options,
                                                     const RowReading& reading,
                                                     const TokenFiles& student, DataReport& report,
                                                     core::Logger& log) {
  if (reading.teacher == nullptr) return nullptr;
  log.info("the same for the teacher, which has another tokenizer");
  RowReading own{.tokenizer = reading.teacher->tokenizer,
                 .chat = reading.teacher->chat,
                 .between_rows = reading.between_rows,
                 .progress = reading.progress,
                 .cache_folder = reading.cache_folder,
                 .threads = reading.threads};
  LoadedFiles loaded = load_files(files, options, own, log);
  report.memory_bytes += loaded.report.memory_bytes;
  return std::make_shared<const TeacherSide>(student, std::move(loaded.tokens), reading.tokenizer,
                                             *reading.teacher, report.files);
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
  auto data = std::make_shared<Data>();
  LoadedFiles loaded = load_files(files, options, reading, log);
  data->files = std::move(loaded.tokens);
  data->report = std::move(loaded.report);
  data->vocabulary = reading.tokenizer.vocab_size();
  DataReport& report = data->report;
  data->teacher = load_teacher_side(files, options, reading, data->files, report, log);
  measure_lengths(data->files, report);
  Rows rows = make_rows(data->files, mix(data->files, report), options, report);
  data->rows = std::move(rows.packed);
  data->num_targets = rows.targets;
  if (data->rows.pieces.empty()) fail_empty(files, report);
  data->num_tokens = count_tokens(data->rows);
  data->fingerprint = hash_rows(data->files, data->rows, data->teacher.get());
  const std::int64_t num_rows = std::ssize(data->rows.row_begin) - 1;
  report.tokens = data->num_tokens;
  report.positions = num_rows * options.sequence_length;
  report.memory_bytes += data->rows.pieces.size() * sizeof(Span) +
                         data->rows.row_begin.size() * sizeof(std::int64_t) * 2;  // and the order
  log_rows(report, num_rows, data->num_targets, options.sequence_length, log);
  return std::shared_ptr<const Dataset>(new Dataset(std::move(data)));
}

std::shared_ptr<const Dataset> Dataset::first_rows(std::int64_t count) const {
  const std::int64_t kept = std::clamp<std::int64_t>(count, 0, num_rows());
  auto data = std::make_shared<Data>();
  data->files = data_->files;
  data->teacher = data_->teacher;
  data->vocabulary = data_->vocabulary;
  data->report = data_->report;
  const auto& begins = data_->rows.row_begin;
  data->rows.row_begin.assign(begins.begin(), begins.begin() + kept + 1);
  const auto& all = data_->rows.pieces;
  data->rows.pieces.assign(all.begin(), all.begin() + data->rows.row_begin.back());
  data->num_tokens = count_tokens(data->rows);
  data->num_targets = count_row_targets(data->files, data->rows);
  data->fingerprint = hash_rows(data->files, data->rows, data->teacher.get());
  return std::shared_ptr<const Dataset>(new Dataset(std::move(data)));
}

std::int64_t Dataset::num_rows() const {
  return std::ssize(data_->rows.row_begin) - 1;
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
const DataReport& Dataset::report() const {
  return data_->report;
}

const std::string& Dataset::Data::label_of(const Span& piece) const {
  static const std::string none;
  const auto number = static_cast<std::size_t>(piece.file);
  const FileReport& file = report.files[number];
  if (file.row_labels.empty()) return file.label;
  const TokenFile& tokens = *files[number];
  const std::size_t document = tokens.document_at(static_cast<std::uint64_t>(piece.begin));
  const std::uint32_t label = tokens.documents[document].label;
  return label == 0 ? none : file.row_labels[label - 1].name;
}

Row Dataset::row(std::int64_t index) const {
  if (index < 0 || index >= num_rows()) {
    fail<InputError>("row ", index, " was asked for, there are ", num_rows());
  }
  const auto& begins = data_->rows.row_begin;
  const auto first = static_cast<std::size_t>(begins[static_cast<std::size_t>(index)]);
  const auto last = static_cast<std::size_t>(begins[static_cast<std::size_t>(index) + 1]);
  Row row;
  row.segments.push_back(0);
  const bool labelled = std::ranges::any_of(data_->report.files, [](const FileReport& file) {
    return !file.label.empty() || !file.row_labels.empty();
  });
  for (std::size_t p = first; p < last; ++p) {
    for (const Word word : words_of(data_->files, data_->rows.pieces[p])) {
      row.ids.push_back(id_of(word));
      row.is_target.push_back((word & kTargetBit) != 0);
    }
    row.segments.push_back(std::ssize(row.ids));
    if (labelled) row.labels.push_back(data_->label_of(data_->rows.pieces[p]));
  }
  if (data_->teacher != nullptr) {
    row.teacher = data_->teacher->row(std::span(data_->rows.pieces).subspan(first, last - first));
  }
  return row;
}

Coverage Dataset::coverage(std::int64_t most_rows) const {
  Coverage coverage;
  if (data_->teacher == nullptr) return coverage;
  coverage.rows = std::clamp<std::int64_t>(most_rows, 0, num_rows());
  for (std::int64_t i = 0; i < coverage.rows; ++i) {
    const Row row = this->row(i * num_rows() / coverage.rows);
    coverage.tokens += std::ssize(row.ids);
    for (std::size_t s = 0; s + 1 < row.segments.size(); ++s) {
      coverage.targets += std::count(row.is_target.begin() + row.segments[s] + 1,
                                     row.is_target.begin() + row.segments[s + 1], true);
    }
    for (const auto& chunk : row.teacher->chunks) {
      coverage.covered += chunk.student_end - chunk.student_begin;
    }
    coverage.chunks += std::ssize(row.teacher->chunks);
    coverage.teacher_tokens += std::ssize(row.teacher->ids);
    coverage.runs += row.teacher->runs;
    coverage.runs_left_out += row.teacher->runs_left_out;
    if (coverage.difference.empty()) coverage.difference = row.teacher->difference;
  }
  return coverage;
}

}  // namespace distill::data
