#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>

#include "data/cache_format.h"
#include "data/cache_layout.h"

namespace distill::data {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBuffered = std::size_t{1} << 20;  // bytes

/// A file without a name, for what must wait until the words are written. It is gone with the
/// process.
class Spool {
 public:
  explicit Spool(const fs::path& beside) : path_(beside) {
    std::string name = beside.string() + ".spool-XXXXXX";
    descriptor_ = ::mkstemp(name.data());
    if (descriptor_ < 0) fail_io("create a file beside it");
    ::unlink(name.c_str());
  }
  ~Spool() { ::close(descriptor_); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) fail_io("write a file beside it");
      if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  /// Everything from the beginning, a piece at a time.
  void read_back(const std::function<void(std::span<const std::byte>)>& take) {
    if (::lseek(descriptor_, 0, SEEK_SET) < 0) fail_io("read a file beside it");
    std::vector<std::byte> buffer(kBuffered);
    while (true) {
      const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
      if (count == 0) return;
      if (count < 0 && errno != EINTR) fail_io("read a file beside it");
      if (count > 0) take(std::span(buffer).first(static_cast<std::size_t>(count)));
    }
  }

 private:
  [[noreturn]] void fail_io(const char* doing) const {
    const int code = errno;
    fail<IoError>(core::shown(path_), ": could not ", doing, ": ",
                  std::generic_category().message(code));
  }

  fs::path path_;
  int descriptor_ = -1;
};

std::string summary_json(const ReadSummary& summary) {
  core::JsonWriter json;
  json.begin_object().key("rows").begin_object();
  constexpr auto kForms = choice_names(RowForm{});
  for (std::size_t i = 0; i < kForms.size(); ++i) json.member(kForms[i], summary.rows_by_form[i]);
  json.end_object().member("skipped", summary.skipped).key("first_skipped").begin_array();
  for (const auto& why : summary.first_skipped) json.value(why);
  json.end_array();
  if (!summary.labels.empty()) {
    json.key("labels").begin_array();
    for (const SeenLabel& label : summary.labels) {
      json.begin_object().member("name", label.name).member("line", label.line).end_object();
    }
    json.end_array();
  }
  return json.end_object().text();
}

template <std::size_t N>
void set_text(std::array<char, N>& chars, std::string_view text) {
  std::copy_n(text.begin(), std::min(N, text.size()), chars.begin());
}

class CacheWriter final : public TokenSink {
 public:
  CacheWriter(const fs::path& path, const std::string& key, std::function<void()> between_parts)
      : path_(path),
        key_(key),
        between_parts_(std::move(between_parts)),
        file_(path),
        spool_(path) {
    set_text(header_.key, key);
    file_.write(bytes_of(header_));
  }

  void add(const EncodedDocument& document) override {
    words_.insert(words_.end(), document.words.begin(), document.words.end());
    trailer_.num_words += document.words.size();
    documents_.push_back(
        {trailer_.num_words, static_cast<std::uint32_t>(document.targets), document.label});
    ++trailer_.num_documents;
    if (words_.size() * sizeof(Word) >= kBuffered) flush_words();
    if (documents_.size() * sizeof(DocumentEntry) >= kBuffered) flush_documents();
  }

  std::shared_ptr<const TokenFile> finish(const ReadSummary& summary) override {
    flush_words();
    flush_documents();
    pad(trailer_.num_words * sizeof(Word));
    spool_.read_back([this](std::span<const std::byte> bytes) {
      file_.write(bytes);
      if (between_parts_) between_parts_();
    });
    const std::string text = summary_json(summary);
    file_.write(text);
    pad(text.size());
    trailer_.summary_bytes = text.size();
    set_text(trailer_.words_hash, words_hash_.hex());
    set_text(trailer_.documents_hash, documents_hash_.hex());
    core::Hasher rest;
    rest.add(bytes_of(header_));
    rest.add(text);
    rest.add(bytes_of(trailer_).first(kHashedTrailer));
    set_text(trailer_.rest_hash, rest.hex());
    file_.write(bytes_of(trailer_));
    file_.commit();
    return open_cache_file(path_, key_, std::int64_t{1} << 31, between_parts_);
  }

 private:
  template <class T>
  static std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
  }

  void flush_words() {
    const auto bytes = std::as_bytes(std::span(words_));
    words_hash_.add(bytes);
    file_.write(bytes);
    words_.clear();
  }
  void flush_documents() {
    const auto bytes = std::as_bytes(std::span(documents_));
    documents_hash_.add(bytes);
    spool_.write(bytes);
    documents_.clear();
  }
  void pad(std::uint64_t bytes) {
    constexpr std::array<char, kCacheAlignment> kZeros{};
    file_.write(text_of(kZeros).substr(0, cache_padding(bytes)));
  }

  fs::path path_;
  std::string key_;
  std::function<void()> between_parts_;
  core::AtomicFile file_;
  Spool spool_;
  CacheHeader header_;
  CacheTrailer trailer_;
  std::vector<Word> words_;
  std::vector<DocumentEntry> documents_;
  core::Hasher words_hash_;
  core::Hasher documents_hash_;
};

}  // namespace

std::unique_ptr<TokenSink> make_cache_writer(const fs::path& path, const std::string& key,
                                             std::function<void()> between_parts) {
  return std::make_unique<CacheWriter>(path, key, std::move(between_parts));
}

}  // namespace distill::data
