#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What a teacher said about segments of text, kept in a folder: docs/formats/logit_cache.md.
namespace distill::io {

/// Names a segment by its content (types::SegmentKey).
using CacheKey = std::array<std::uint64_t, 2>;

/// How a teacher's distribution at one position is kept.
enum class SignalForm { kTopK, kSampled, kHidden };
constexpr std::array<std::string_view, 3> choice_names(SignalForm) {
  return {"top_k", "sampled", "hidden"};
}
std::string_view name_of(SignalForm form);

/// Beside the signals of kHidden: what makes logits of them, and the fact that holds its hash.
constexpr const char* kCacheHeadFile = "head.safetensors";
constexpr const char* kCacheHeadFact = "head";

/// Names and values for people: what the signals were made from.
using CacheFacts = std::vector<std::pair<std::string, std::string>>;

/// What decides the bytes of a cache.
struct LogitCacheSpec {
  SignalForm form = SignalForm::kTopK;
  /// top_k: ids of a position; sampled: draws, so that 1 / draws is the least probability that is
  /// always kept; hidden: numbers of a hidden state, each of 2 bytes (bf16).
  std::int64_t size = 0;
  std::int64_t vocabulary = 0;  ///< ids of the tokenizer
  double temperature = 1.0;     ///< the teacher's logits were divided by it
  CacheFacts facts;             ///< teacher, tokenizer, data, ...

  /// The value of a fact; empty: it is not there.
  std::string fact(std::string_view name) const;
};

struct LogitCacheInfo {
  std::filesystem::path folder;
  LogitCacheSpec spec;
  std::int64_t segments = 0;
  std::int64_t positions = 0;  ///< that count, of all segments
  std::uint64_t bytes = 0;     ///< of all files
  /// Hash of every signal and of the facts: the same for the same cache, however many ranks wrote
  /// it and how often they were stopped.
  std::string hash;
};

/// The description alone. Throws InputError naming the folder when there is no cache in it or its
/// capture was not finished, FormatError when it is damaged or of another version.
LogitCacheInfo read_logit_cache_info(const std::filesystem::path& folder);

/// A finished cache. Segments are found by their keys in any order, by several threads at once.
class LogitCache {
 public:
  /// Checks the description, the index and the sizes of all files. Throws as read_logit_cache_info.
  explicit LogitCache(const std::filesystem::path& folder);
  ~LogitCache();
  LogitCache(const LogitCache&) = delete;
  LogitCache& operator=(const LogitCache&) = delete;

  const LogitCacheInfo& info() const;
  bool has(const CacheKey& key) const;

  struct Segment {
    std::int64_t positions = 0;
    std::vector<std::byte> payload;  ///< signal_rows.h
    std::string where;               ///< file and place, for messages
  };
  /// Nothing: it is not in the cache. Throws FormatError when its bytes are not those that were
  /// written.
  std::optional<Segment> read(const CacheKey& key) const;

  /// Every segment in the order of the files. Throws FormatError for the first that is damaged, and
  /// for anything in the files that belongs to none.
  void read_all(const std::function<void(const Segment&)>& take) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::io
