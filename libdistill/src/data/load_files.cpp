#include "data/load_files.h"

#include <algorithm>
#include <chrono>

#include <distill/core/files.h>
#include <distill/core/strings.h>
#include <distill/data/data_path.h>

#include "data/load_tokens.h"

namespace distill::data {

namespace fs = std::filesystem;

namespace {

struct WeightedFile {
  fs::path path;
  double weight = 1.0;
  std::string label;
  std::string label_field;
  std::uint64_t bytes = 0;
};

std::vector<WeightedFile> expand(const std::vector<DataFile>& files) {
  std::vector<WeightedFile> expanded;
  for (const DataFile& file : files) {
    for (const fs::path& path : expand_data_path(file.path)) {
      expanded.push_back(
          {path, file.weight, file.label, file.label_field, core::InputFile(path).size()});
    }
  }
  return expanded;
}

TokenCache cache_of(const DataOptions& options, const RowReading& reading) {
  if (options.cache == "off") return {};
  if (options.cache == "auto") return {reading.cache_folder, false};
  return {options.cache, true};
}

/// Hands progress on, not more than ten times a second.
class Progress {
 public:
  Progress(const RowReading& reading, const std::vector<WeightedFile>& files)
      : show_(reading.progress) {
    for (const auto& file : files) done_.total_bytes += file.bytes;
  }

  void update(std::uint64_t bytes, std::int64_t documents, std::int64_t tokens) {
    const auto now = std::chrono::steady_clock::now();
    if (!show_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    show_({done_.bytes + bytes, done_.total_bytes, done_.documents + documents,
           done_.tokens + tokens});
  }

  void finish(const WeightedFile& file, const TokenFile& tokens) {
    done_.bytes += file.bytes;
    done_.documents += std::ssize(tokens.documents);
    done_.tokens += std::ssize(tokens.words);
    if (show_) show_(done_);
  }

 private:
  std::function<void(const ReadProgress&)> show_;
  ReadProgress done_;
  std::chrono::steady_clock::time_point last_;
};

void log_file(const FileReport& file, const ReadSummary& summary, bool was_cached,
              core::Logger& log) {
  log.info(file.path, ": ", core::with_thousands(file.documents), " documents, ",
           core::with_thousands(file.tokens), " tokens", was_cached ? " (cached)" : "");
  if (summary.skipped == 0) return;
  log.warning(file.path, ": skipped ", core::with_thousands(summary.skipped),
              summary.skipped == 1 ? " row" : " rows", " (`data.on_bad_sample`)");
  for (const auto& why : summary.first_skipped) log.warning("  ", file.path, why);
}

void add_to_report(const FileReport& file, const ReadSummary& summary, DataReport& report) {
  report.documents += file.documents;
  report.skipped += file.skipped;
  for (const auto& why : summary.first_skipped) {
    if (report.first_skipped.size() == ReadSummary::kMostNamed) break;
    report.first_skipped.push_back(file.path + why);
  }
  report.has_conversations = report.has_conversations || summary.has_conversations();
  report.files.push_back(file);
}

}  // namespace

LoadedFiles load_files(const std::vector<DataFile>& files, const DataOptions& options,
                       const RowReading& reading, core::Logger& log) {
  const std::vector<WeightedFile> expanded = expand(files);
  const DocumentEncoder encoder(reading.tokenizer, reading.chat);
  Progress progress(reading, expanded);
  TokenLoading loading{
      .encoder = encoder,
      .vocabulary = reading.tokenizer.vocab_size(),
      .threads = reading.threads,
      .on_bad_sample = options.on_bad_sample,
      .cache = cache_of(options, reading),
      .between = reading.between_rows,
      .progress = [&progress](std::uint64_t bytes, std::int64_t documents, std::int64_t tokens) {
        progress.update(bytes, documents, tokens);
      }};
  LoadedFiles loaded;
  for (const WeightedFile& file : expanded) {
    loading.label_field = file.label_field;
    LoadedTokens tokens = load_tokens(file.path, loading, log);
    progress.finish(file, *tokens.tokens);
    FileReport report;
    report.path = file.path.string();
    report.content_hash = std::move(tokens.content_hash);
    report.weight = file.weight;
    report.label = file.label;
    report.row_labels = tokens.tokens->summary.labels;
    report.documents = std::ssize(tokens.tokens->documents);
    report.tokens = std::ssize(tokens.tokens->words);
    report.skipped = tokens.tokens->summary.skipped;
    log_file(report, tokens.tokens->summary, tokens.was_cached, log);
    add_to_report(report, tokens.tokens->summary, loaded.report);
    if (!tokens.tokens->mapped) {
      loaded.report.memory_bytes +=
          tokens.tokens->words.size_bytes() + tokens.tokens->documents.size_bytes();
    }
    loaded.tokens.push_back(std::move(tokens.tokens));
  }
  return loaded;
}

}  // namespace distill::data
