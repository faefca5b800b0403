#include "data/load_tokens.h"

#include <system_error>

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

/// Reads a data file into `sink`.
std::shared_ptr<const TokenFile> read_into(TokenSink& sink, const fs::path& file,
                                           const TokenLoading& loading) {
  ReadSummary summary;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  RowPipeline pipeline;
  pipeline.encoder = &loading.encoder;
  pipeline.threads = loading.threads;
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
    sink.add(row.document);
    ++documents;
    tokens += std::ssize(row.document.words);
  };
  pipeline.between = [&](std::uint64_t bytes) {
    if (loading.between) loading.between();
    if (loading.progress) loading.progress(bytes, documents, tokens);
  };
  read_rows(file, pipeline);
  return sink.finish(summary);
}

/// A file of the key that may be used, or nothing.
std::shared_ptr<const TokenFile> find(const fs::path& path, const std::string& key,
                                      const TokenLoading& loading, core::Logger& log) {
  if (!core::path_exists(path)) return nullptr;
  try {
    return open_cache_file(path, key, loading.vocabulary, loading.between);
  } catch (const CacheDamaged& error) {
    log.warning(error.what(), "; it is built anew");
    return nullptr;
  }
}

/// What builders left behind that were killed. The lock of `path` is held.
void remove_leftovers(const fs::path& path) {
  for (const auto& other : core::list_folder(path.parent_path())) {
    const std::string name = other.filename().string();
    for (const char* kind : {".tmp-", ".spool-"}) {
      std::error_code ignored;
      if (name.starts_with(path.filename().string() + kind)) fs::remove(other, ignored);
    }
  }
}

LoadedTokens load_cached(const fs::path& file, const std::string& content_hash,
                         const TokenLoading& loading, core::Logger& log) {
  const std::string key = core::hash_text(content_hash + "\n" + loading.encoder.fingerprint());
  const fs::path path = loading.cache.folder / (key + ".tokens");
  if (auto found = find(path, key, loading, log)) return {found, content_hash, true};
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
  if (auto found = find(path, key, loading, log)) return {found, content_hash, true};
  remove_leftovers(path);
  const auto writer = make_cache_writer(path, key);
  return {read_into(*writer, file, loading), content_hash, false};
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
  return {read_into(*sink, file, loading), content_hash, false};
}

}  // namespace

LoadedTokens load_tokens(const fs::path& file, const TokenLoading& loading, core::Logger& log) {
  const core::InputFile opened(file);
  const auto version = opened.version();
  LoadedTokens loaded = load(file, loading, log);
  if (opened.version() != version || core::InputFile(file).version() != version) {
    fail<InputError>(core::shown(file),
                     ": changed while it was read; run this again when it is complete");
  }
  const ReadSummary& summary = loaded.tokens->summary;
  if (summary.skipped > 0 && loading.on_bad_sample == OnBadSample::kError) {
    fail<FormatError>(file.string(), summary.first_skipped.front());
  }
  return loaded;
}

}  // namespace distill::data
