#include "data/load_tokens.h"

#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>

#include "data/cache_format.h"
#include "data/cache_lock.h"
#include "data/row_pipeline.h"

namespace distill::data {

namespace fs = std::filesystem;

namespace {

/// The message without the file's name: a cache serves the same content under any name.
std::string without_name(const std::string& message, const fs::path& file) {
  const std::string name = file.string();
  return message.starts_with(name) ? message.substr(name.size()) : ": " + message;
}

/// Labels by number, as they come.
class LabelNumbers {
 public:
  explicit LabelNumbers(const fs::path& file) : file_(file) {}

  std::uint32_t number_of(const ReadRow& row) {
    constexpr std::size_t kMostLabels = 1000;
    if (row.label.empty()) return 0;
    const auto [found, is_new] = numbers_.emplace(row.label, labels_.size() + 1);
    if (is_new && labels_.size() == kMostLabels) {
      fail<FormatError>(file_.string(), ":", row.line, ": brings a label beyond the first ",
                        kMostLabels, "; `label_field` must name a member with few values");
    }
    if (is_new) labels_.push_back({row.label, row.line});
    return found->second;
  }
  std::vector<SeenLabel> take() { return std::move(labels_); }

 private:
  const fs::path& file_;
  std::map<std::string, std::uint32_t> numbers_;
  std::vector<SeenLabel> labels_;
};

[[noreturn]] void fail_changed(const fs::path& file) {
  fail<InputError>(core::shown(file),
                   ": changed while it was read; run this again when it is complete");
}

/// Reads a data file into `sink`. Nothing is finished when its bytes are not those of
/// `content_hash`: the tokens of others must not stand under that name.
std::shared_ptr<const TokenFile> read_into(TokenSink& sink, const fs::path& file,
                                           const std::string& content_hash,
                                           const TokenLoading& loading) {
  ReadSummary summary;
  LabelNumbers labels(file);
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  RowPipeline pipeline;
  pipeline.encoder = &loading.encoder;
  pipeline.threads = loading.threads;
  pipeline.label_field = loading.label_field;
  pipeline.take = [&](ReadRow&& row) {
    if (!row.bad.empty()) {
      if (loading.on_bad_sample == OnBadSample::kError) fail<FormatError>(row.bad);
      ++summary.skipped;
      if (summary.first_skipped.size() < ReadSummary::kMostNamed) {
        summary.first_skipped.push_back(without_name(row.bad, file));
      }
      return;
    }
    ++summary.rows_by_form[static_cast<std::size_t>(row.form)];
    row.document.label = labels.number_of(row);
    sink.add(row.document);
    ++documents;
    tokens += std::ssize(row.document.words);
  };
  pipeline.between = [&](std::uint64_t bytes) {
    if (loading.between) loading.between();
    if (loading.progress) loading.progress(bytes, documents, tokens);
  };
  if (read_rows(file, pipeline) != content_hash) fail_changed(file);
  summary.labels = labels.take();
  return sink.finish(summary);
}

/// What keeps the folder from being looked into is the system's doing, whatever was asked of it:
/// a cache that is not required can be done without.
template <class Action>
auto in_folder(Action&& action) {
  try {
    return action();
  } catch (const FormatError&) {
    throw;
  } catch (const InputError& error) {
    throw IoError(error.what());
  }
}

/// The file of a key.
class Entry {
 public:
  Entry(const fs::path& path, const std::string& key, const TokenLoading& loading,
        core::Logger& log)
      : path_(path), key_(key), loading_(loading), log_(log) {}

  /// When it is there and may be used; otherwise nothing. A damaged one is looked at only once.
  std::shared_ptr<const TokenFile> find() {
    const auto version = in_folder([&]() -> std::optional<core::InputFile::Version> {
      if (!core::path_exists(path_)) return std::nullopt;
      return core::InputFile(path_).version();
    });
    if (!version || damaged_ == version) return nullptr;
    try {
      return open_cache_file(path_, key_, loading_.vocabulary, loading_.between);
    } catch (const CacheDamaged& error) {
      log_.warning(error.what(), "; it is built anew");
      damaged_ = version;
      return nullptr;
    }
  }

  /// What builders left behind that were killed. Their lock is held: none of them is at work.
  void remove_leftovers() const {
    const auto files = in_folder([&] { return core::list_folder(path_.parent_path()); });
    for (const auto& other : files) {
      const std::string name = other.filename().string();
      for (const char* kind : {".tmp-", ".spool-"}) {
        std::error_code ignored;
        if (name.starts_with(path_.filename().string() + kind)) fs::remove(other, ignored);
      }
    }
  }

 private:
  fs::path path_;
  std::string key_;
  const TokenLoading& loading_;
  core::Logger& log_;
  std::optional<core::InputFile::Version> damaged_;
};

LoadedTokens load_cached(const fs::path& file, const std::string& content_hash,
                         const TokenLoading& loading, core::Logger& log) {
  std::string decisive = content_hash + "\n" + loading.encoder.fingerprint();
  if (!loading.label_field.empty()) decisive += "\nlabels " + loading.label_field;
  const std::string key = core::hash_text(decisive);
  const fs::path path = loading.cache.folder / (key + ".tokens");
  Entry entry(path, key, loading, log);
  if (auto found = entry.find()) return {found, content_hash, true};
  std::error_code error;
  fs::create_directories(loading.cache.folder, error);
  if (error) {
    fail<IoError>(core::shown(loading.cache.folder),
                  ": could not make the folder: ", error.message());
  }
  bool told = false;
  const CacheLock lock(loading.cache.folder / (key + ".lock"), [&] {
    if (!told) log.info(core::shown(file), ": another process is tokenizing it; waiting for that");
    told = true;
    if (loading.between) loading.between();
  });
  // Another process may have built it meanwhile.
  if (auto found = entry.find()) return {found, content_hash, true};
  if (lock.held()) entry.remove_leftovers();
  const auto writer = make_cache_writer(path, key, loading.between);
  return {read_into(*writer, file, content_hash, loading), content_hash, false};
}

LoadedTokens load(const fs::path& file, const TokenLoading& loading, core::Logger& log) {
  const std::string content_hash = core::hash_file(file, loading.between);
  if (!loading.cache.folder.empty()) {
    try {
      return load_cached(file, content_hash, loading, log);
    } catch (const IoError& error) {
      if (loading.cache.required) throw;
      log.warning(error.what(), "; the tokens are held in memory instead (`data.cache`)");
    }
  }
  const auto sink = make_memory_sink();
  return {read_into(*sink, file, content_hash, loading), content_hash, false};
}

}  // namespace

LoadedTokens load_tokens(const fs::path& file, const TokenLoading& loading, core::Logger& log) {
  const core::InputFile opened(file);
  const auto version = opened.version();
  LoadedTokens loaded = load(file, loading, log);
  if (opened.version() != version || core::InputFile(file).version() != version) {
    fail_changed(file);
  }
  const ReadSummary& summary = loaded.tokens->summary;
  if (summary.skipped > 0 && loading.on_bad_sample == OnBadSample::kError) {
    fail<FormatError>(file.string(), summary.first_skipped.front());
  }
  return loaded;
}

}  // namespace distill::data
