#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <distill/io/json_value.h>
#include <distill/io/logit_cache.h>

#include "io/random_access_file.h"

/// The files of a logit cache as bytes: docs/formats/logit_cache.md. All of this is part of the
/// format, do not change.
namespace distill::io::cache_format {

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kByteOrder = 0x01020304;  ///< reads as another number in the other order
constexpr std::uint32_t kOtherByteOrder = 0x04030201;
constexpr std::array<char, 8> kSignalsMagic = {'D', 'S', 'T', 'L', 'S', 'I', 'G', '\n'};
constexpr std::array<char, 8> kIndexMagic = {'D', 'S', 'T', 'L', 'I', 'D', 'X', '\n'};

constexpr const char* kDescriptionFile = "cache.json";
constexpr const char* kCaptureFile = "capture.json";  ///< the spec of a capture that goes on
constexpr const char* kIndexFile = "index";
std::string signals_name(std::int64_t rank);  ///< rank_00000.signals

/// Of a file of signals and of the index.
struct FileHeader {
  std::array<char, 8> magic{};
  std::uint32_t version = kVersion;
  std::uint32_t byte_order = kByteOrder;
  CacheKey capture{};          ///< hash of the spec: files of another cache are told apart
  std::uint64_t count = 0;     ///< index: entries; signals: 0
  std::uint64_t checksum = 0;  ///< of all before, and in the index of the entries behind it
};
static_assert(sizeof(FileHeader) == 48);

/// Stands before each segment's payload.
struct RecordHeader {
  CacheKey key{};
  std::uint32_t positions = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t checksum = 0;  ///< of all before and of the payload
};
static_assert(sizeof(RecordHeader) == 32);

/// Entries ascend by their keys.
struct IndexEntry {
  CacheKey key{};
  std::uint64_t offset = 0;  ///< of the record in its file
  std::uint32_t file = 0;    ///< place in the description's list
  std::uint32_t positions = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t checksum = 0;  ///< the record's own
};
static_assert(sizeof(IndexEntry) == 48);

constexpr std::uint64_t kMostPayload = std::uint64_t{1} << 31;

std::uint64_t checksum(std::span<const std::byte> first, std::span<const std::byte> second);

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

/// Without its own checksum, which is the last member.
template <class T>
std::span<const std::byte> checked_part(const T& value) {
  return bytes_of(value).first(sizeof(T) - sizeof(std::uint64_t));
}

/// The spec as one line of JSON, and its hash.
std::string spec_json(const LogitCacheSpec& spec);
CacheKey capture_of(const LogitCacheSpec& spec);
/// Throws FormatError where it is not one.
LogitCacheSpec spec_of(const JsonCursor& cursor);
/// `cache.json` or `capture.json`, of this version. Throws FormatError.
JsonValue read_description(const std::filesystem::path& path);
/// How both begin: format and version.
std::string description_begin();

/// What is wrong with a file's header; nothing: it is good. `sum` is the checksum that it must
/// have.
std::optional<std::string> header_problem(const FileHeader& header,
                                          const std::array<char, 8>& magic, const CacheKey& capture,
                                          std::uint64_t sum);

/// Goes through the records of a file of signals from the beginning; false from `take` ends it.
/// Returns the offset behind the last whole record. `problem` is set when that is not the end.
struct ScannedRecord {
  std::uint64_t offset = 0;
  RecordHeader header;
  std::span<const std::byte> payload;
};
std::uint64_t scan_records(const RandomAccessFile& file,
                           const std::function<void(const ScannedRecord&)>& take,
                           std::string& problem);

}  // namespace distill::io::cache_format
