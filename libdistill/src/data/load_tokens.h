#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <distill/core/log.h>
#include <distill/data/options.h>

#include "data/document_encoder.h"
#include "data/token_file.h"

namespace distill::data {

/// Where token files are kept.
struct TokenCache {
  std::filesystem::path folder;  ///< empty: in memory
  bool required = false;         ///< the user named it: where it cannot be used, that is an error
};

/// How one file is turned into tokens.
struct TokenLoading {
  const DocumentEncoder& encoder;
  std::int64_t vocabulary = 0;  ///< ids of the tokenizer
  std::int64_t threads = 0;
  OnBadSample on_bad_sample = OnBadSample::kError;
  TokenCache cache;
  std::string label_field = {};  ///< the member of each row that holds its label; empty: none does
  std::function<void()> between = {};
  /// Bytes of the file read so far, documents and tokens of it.
  std::function<void(std::uint64_t bytes, std::int64_t documents, std::int64_t tokens)> progress =
      {};
};

struct LoadedTokens {
  std::shared_ptr<const TokenFile> tokens;
  std::string content_hash;  ///< core::hash_file of the data file
  bool was_cached = false;
};

/// From the cache when it is there, else read and kept there. Throws FormatError for the first bad
/// row unless they are skipped, InputError when the file changes meanwhile, and as read_rows.
LoadedTokens load_tokens(const std::filesystem::path& file, const TokenLoading& loading,
                         core::Logger& log);

}  // namespace distill::data
