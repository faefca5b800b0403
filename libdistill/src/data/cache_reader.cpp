#include <algorithm>
#include <cstring>
#include <optional>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>

#include "data/cache_format.h"
#include "data/cache_layout.h"

namespace distill::data {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void damaged(const fs::path& path, const std::string& what) {
  fail<CacheDamaged>(core::shown(path), ": ", what);
}

/// Where the parts lie, with all numbers checked against the file's size.
struct Parts {
  core::MappedFile file;
  CacheHeader header;
  CacheTrailer trailer;
  std::span<const std::byte> words, documents, summary;
};

std::optional<std::uint64_t> padded(std::uint64_t count, std::uint64_t width) {
  const auto bytes = core::checked_mul(count, width);
  return bytes ? core::checked_add(*bytes, cache_padding(*bytes)) : std::nullopt;
}

Parts find_parts(const fs::path& path, const core::MappedFile& file) {
  const auto bytes = file.bytes();
  Parts parts;
  parts.file = file;
  const std::size_t magic = std::min(kCacheMagic.size(), bytes.size());
  if (magic > 0 && std::memcmp(bytes.data(), kCacheMagic.data(), magic) != 0) {
    fail<FormatError>(core::shown(path),
                      ": not a token cache, though it has the name of one; move it away, or set "
                      "`data.cache` to another folder");
  }
  if (bytes.size() < sizeof(CacheHeader)) damaged(path, "was cut off");
  std::memcpy(&parts.header, bytes.data(), sizeof(CacheHeader));
  if (parts.header.version != kCacheVersion) {
    damaged(path, core::concat("a token cache of version ", parts.header.version,
                               ", expected version ", kCacheVersion));
  }
  if (bytes.size() < sizeof(CacheHeader) + sizeof(CacheTrailer)) damaged(path, "was cut off");
  std::memcpy(&parts.trailer, bytes.last(sizeof(CacheTrailer)).data(), sizeof(CacheTrailer));
  const auto inner =
      bytes.subspan(sizeof(CacheHeader), bytes.size() - sizeof(CacheHeader) - sizeof(CacheTrailer));
  const auto words = padded(parts.trailer.num_words, sizeof(Word));
  const auto documents = padded(parts.trailer.num_documents, sizeof(DocumentEntry));
  const auto summary = padded(parts.trailer.summary_bytes, 1);
  const auto two = words && documents ? core::checked_add(*words, *documents) : std::nullopt;
  const auto all = two && summary ? core::checked_add(*two, *summary) : std::nullopt;
  if (!all || *all != inner.size()) damaged(path, "its parts do not fit its size");
  parts.words = inner.first(parts.trailer.num_words * sizeof(Word));
  parts.documents = inner.subspan(*words, parts.trailer.num_documents * sizeof(DocumentEntry));
  parts.summary = inner.subspan(*two, parts.trailer.summary_bytes);
  return parts;
}

void check_rest(const fs::path& path, const Parts& parts, const std::string& key) {
  core::Hasher rest;
  rest.add(std::as_bytes(std::span(&parts.header, 1)));
  rest.add(parts.summary);
  rest.add(std::as_bytes(std::span(&parts.trailer, 1)).first(kHashedTrailer));
  if (rest.hex() != text_of(parts.trailer.rest_hash)) {
    damaged(path, "its header, summary or trailer is damaged");
  }
  if (text_of(parts.header.key) != key) damaged(path, "it belongs to other data");
}

/// Adds `bytes` to the hash a part at a time; what was read leaves the process's memory again.
void hash_parts(const core::MappedFile& file, std::span<const std::byte> bytes,
                core::Hasher& hasher, const std::function<void(std::span<const std::byte>)>& look) {
  constexpr std::size_t kPart = std::size_t{16} << 20;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(kPart, bytes.size()));
    hasher.add(part);
    look(part);
    file.forget(part);
    bytes = bytes.subspan(part.size());
  }
}

std::span<const Word> check_words(const fs::path& path, const Parts& parts, std::int64_t vocabulary,
                                  const std::function<void()>& between_parts) {
  core::Hasher hasher;
  std::int64_t largest = -1;
  hash_parts(parts.file, parts.words, hasher, [&](std::span<const std::byte> part) {
    const std::span words(reinterpret_cast<const Word*>(part.data()), part.size() / sizeof(Word));
    for (const Word word : words) largest = std::max(largest, id_of(word));
    if (between_parts) between_parts();
  });
  if (hasher.hex() != text_of(parts.trailer.words_hash)) damaged(path, "its tokens are damaged");
  if (largest >= vocabulary) {
    damaged(path, core::concat("it holds the id ", largest, ", expected ids below ", vocabulary));
  }
  return {reinterpret_cast<const Word*>(parts.words.data()), parts.trailer.num_words};
}

std::span<const DocumentEntry> check_documents(const fs::path& path, const Parts& parts,
                                               std::size_t num_labels,
                                               const std::function<void()>& between_parts) {
  core::Hasher hasher;
  std::uint64_t before = 0;
  bool rises = true;
  hash_parts(parts.file, parts.documents, hasher, [&](std::span<const std::byte> part) {
    const std::span entries(reinterpret_cast<const DocumentEntry*>(part.data()),
                            part.size() / sizeof(DocumentEntry));
    for (const DocumentEntry& entry : entries) {
      rises = rises && entry.end > before && entry.targets < entry.end - before &&
              entry.end - before <= (std::uint64_t{1} << 30) && entry.label <= num_labels;
      before = entry.end;
    }
    if (between_parts) between_parts();
  });
  if (hasher.hex() != text_of(parts.trailer.documents_hash) || !rises ||
      before != parts.trailer.num_words) {
    damaged(path, "its table of documents is damaged");
  }
  return {reinterpret_cast<const DocumentEntry*>(parts.documents.data()),
          parts.trailer.num_documents};
}

ReadSummary read_summary(const fs::path& path, const Parts& parts) {
  const std::string_view text(reinterpret_cast<const char*>(parts.summary.data()),
                              parts.summary.size());
  const io::JsonValue value = io::parse_json(text, core::shown(path));
  const io::JsonCursor root(value, core::shown(path));
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  ReadSummary summary;
  constexpr auto kForms = choice_names(RowForm{});
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    summary.rows_by_form[i] = root.at("rows").at(kForms[i]).int_in(0, kMost);
  }
  summary.skipped = root.at("skipped").int_in(0, kMost);
  const io::JsonCursor named = root.at("first_skipped");
  for (std::size_t i = 0; i < named.size(); ++i) {
    summary.first_skipped.push_back(named.at(i).as_string());
  }
  if (summary.skipped > 0 && named.size() == 0) damaged(path, "it names none of its skipped rows");
  if (!root.has("labels")) return summary;
  const io::JsonCursor labels = root.at("labels");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const io::JsonCursor label = labels.at(i);
    summary.labels.push_back({label.at("name").as_string(), label.at("line").int_in(1, kMost)});
  }
  return summary;
}

}  // namespace

std::shared_ptr<const TokenFile> open_cache_file(const fs::path& path, const std::string& key,
                                                 std::int64_t vocabulary,
                                                 const std::function<void()>& between_parts) {
  const core::MappedFile mapped = core::MappedFile::open(path);
  const Parts parts = find_parts(path, mapped);
  check_rest(path, parts, key);
  auto file = std::make_shared<TokenFile>();
  file->words = check_words(path, parts, vocabulary, between_parts);
  file->summary = read_summary(path, parts);
  file->documents = check_documents(path, parts, file->summary.labels.size(), between_parts);
  file->checksum = core::hash_text(
      core::concat(text_of(parts.trailer.words_hash), text_of(parts.trailer.documents_hash)));
  file->mapped = true;
  file->owner = mapped.owner();
  return file;
}

}  // namespace distill::data
