#include "io/logit_cache_format.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/signal_rows.h>

#include "io/sealed_record.h"

namespace distill::io {

std::string_view name_of(SignalForm form) {
  return choice_names(form)[static_cast<std::size_t>(form)];
}

std::string LogitCacheSpec::fact(std::string_view name) const {
  const auto found =
      std::ranges::find_if(facts, [&](const auto& entry) { return entry.first == name; });
  return found == facts.end() ? "" : found->second;
}

}  // namespace distill::io

namespace distill::io::cache_format {

namespace {

constexpr const char* kFormatName = "distill-logit-cache";
constexpr std::int64_t kMostWidth = std::int64_t{1} << 20;
constexpr const char* kAgain = "capture it again with `distill cache --restart`";

SignalForm form_of(const JsonCursor& cursor) {
  constexpr auto kNames = choice_names(SignalForm{});
  const auto found = std::find(kNames.begin(), kNames.end(), cursor.as_string());
  if (found == kNames.end()) cursor.fail("must be top_k, sampled or hidden");
  return static_cast<SignalForm>(found - kNames.begin());
}

}  // namespace

std::string signals_name(std::int64_t rank) {
  const std::string number = core::concat(rank);
  return core::concat("rank_", std::string(5 - std::min<std::size_t>(5, number.size()), '0'),
                      number, ".signals");
}

std::uint64_t checksum(std::span<const std::byte> first, std::span<const std::byte> second) {
  core::Hasher hasher;
  hasher.add(first);
  hasher.add(second);
  return hasher.words()[1];
}

std::string spec_json(const LogitCacheSpec& spec) {
  core::JsonWriter json;
  json.begin_object()
      .member("form", name_of(spec.form))
      .member("size", spec.size)
      .member("vocabulary", spec.vocabulary)
      .member("temperature", spec.temperature)
      .key("facts")
      .begin_object();
  for (const auto& [name, value] : spec.facts) json.member(name, value);
  return json.end_object().end_object().text();
}

CacheKey capture_of(const LogitCacheSpec& spec) {
  core::Hasher hasher;
  hasher.add(spec_json(spec));
  return hasher.words();
}

LogitCacheSpec spec_of(const JsonCursor& cursor) {
  constexpr std::int64_t kMostIds = std::int64_t{1} << 31;
  LogitCacheSpec spec;
  spec.form = form_of(cursor.at("form"));
  spec.vocabulary = cursor.at("vocabulary").int_in(1, kMostIds);
  const JsonCursor size = cursor.at("size");
  switch (spec.form) {
    case SignalForm::kTopK:
      spec.size = size.int_in(1, std::min(spec.vocabulary, kMostTopK));
      break;
    case SignalForm::kSampled:
      spec.size = size.int_in(kFewestDraws, kMostDraws);
      break;
    case SignalForm::kHidden:
      spec.size = size.int_in(1, kMostWidth);
      break;
  }
  spec.temperature = cursor.at("temperature").as_double();
  if (!(spec.temperature > 0)) cursor.at("temperature").fail("must be above 0");
  for (const auto& [name, value] : cursor.at("facts").as_object().members()) {
    spec.facts.emplace_back(name, cursor.at("facts").at(name).as_string());
  }
  return spec;
}

JsonValue read_description(const std::filesystem::path& path) {
  JsonValue value = parse_json(unsealed(path, kAgain), core::shown(path));
  const JsonCursor cursor(value, core::shown(path));
  if (cursor.at("format").as_string() != kFormatName) {
    cursor.at("format").fail(core::concat("must be ", kFormatName));
  }
  const std::int64_t version = cursor.at("version").as_int();
  if (version != kVersion) {
    fail<FormatError>(core::shown(path), ": a logit cache of version ", version,
                      ", this libdistill reads version ", kVersion, "; ", kAgain);
  }
  return value;
}

std::string description_begin() {
  return core::concat("{\"format\":\"", kFormatName, "\",\"version\":", kVersion, ",");
}

std::optional<std::string> header_problem(const FileHeader& header,
                                          const std::array<char, 8>& magic, const CacheKey& capture,
                                          std::uint64_t sum) {
  if (header.magic != magic) return "not a file of a logit cache";
  if (header.byte_order == kOtherByteOrder) {
    return core::concat("was written on a machine of the other byte order; ", kAgain);
  }
  if (header.byte_order != kByteOrder) return "its header is damaged";
  if (header.version != kVersion) {
    return core::concat("of version ", header.version, " of logit caches, this libdistill reads ",
                        "version ", kVersion, "; ", kAgain);
  }
  if (header.checksum != sum) {
    return core::concat("damaged, its checksum is another one; ", kAgain);
  }
  if (header.capture != capture) return "belongs to another cache";
  return std::nullopt;
}

std::uint64_t scan_records(const RandomAccessFile& file,
                           const std::function<void(const ScannedRecord&)>& take,
                           std::string& problem) {
  std::vector<std::byte> payload;
  ScannedRecord record;
  record.offset = sizeof(FileHeader);
  while (record.offset < file.size()) {
    const std::uint64_t left = file.size() - record.offset;
    problem = core::concat(core::shown(file.path()), ": the segment at byte ", record.offset,
                           " is damaged or cut off; ", kAgain);
    if (left < sizeof(RecordHeader)) return record.offset;
    file.read(record.offset, std::as_writable_bytes(std::span(&record.header, 1)));
    const std::uint64_t size = record.header.payload_bytes;
    if (size > left - sizeof(RecordHeader) || size > kMostPayload) return record.offset;
    payload.resize(size);
    file.read(record.offset + sizeof(RecordHeader), payload);
    if (record.header.checksum != checksum(checked_part(record.header), payload)) {
      return record.offset;
    }
    record.payload = payload;
    take(record);
    record.offset += sizeof(RecordHeader) + size;
    problem.clear();
  }
  problem.clear();
  return record.offset;
}

}  // namespace distill::io::cache_format
