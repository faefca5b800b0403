#include "teachers/kept_answer.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "teachers/answer_json.h"

namespace distill::teachers::detail {

namespace {

/// Part of the file format, do not change.
constexpr std::int64_t kFormatVersion = 1;
constexpr const char* kKind = "server";

constexpr std::int64_t kMostIds = 64;
constexpr std::int64_t kMostTokens = 4096;
constexpr const char* kSource = "teacher.json";

std::vector<TokenLogProb> likeliest(std::vector<TokenLogProb> entries, std::int64_t count) {
  if (std::ssize(entries) <= count) return entries;
  const auto end = entries.begin() + static_cast<std::ptrdiff_t>(count);
  std::ranges::nth_element(entries, end, std::ranges::greater{}, &TokenLogProb::log_prob);
  entries.erase(end, entries.end());
  std::ranges::sort(entries, {}, &TokenLogProb::id);
  return entries;
}

std::vector<std::int64_t> read_ids(const io::JsonCursor& list) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    ids.push_back(list.at(i).int_in(0, std::numeric_limits<std::int32_t>::max()));
  }
  return ids;
}

std::vector<TokenLogProb> read_position(const io::JsonCursor& position, std::int64_t top_k) {
  const std::vector<std::int64_t> ids = read_ids(position.at("ids"));
  const io::JsonCursor log_probs = position.at("log_probs");
  if (log_probs.as_array().size() != ids.size() || std::ssize(ids) > top_k) {
    position.fail(core::concat("has ", ids.size(), " ids and ", log_probs.size(),
                               " log-probabilities, expected as many, at most ", top_k));
  }
  std::vector<TokenLogProb> entries;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0 && ids[i] <= ids[i - 1]) position.at("ids").fail("must ascend");
    entries.push_back({ids[i], read_log_prob(log_probs.at(i))});
  }
  return entries;
}

}  // namespace

KeptAnswer kept_answer(const std::vector<std::int64_t>& probe, std::int64_t top_k,
                       const PromptScores& scores) {
  KeptAnswer kept{probe, std::min(top_k, kMostIds), {}};
  kept.scores.fingerprint = scores.fingerprint;
  for (const auto& entries : scores.log_probs) {
    kept.scores.log_probs.push_back(likeliest(entries, kept.top_k));
  }
  return kept;
}

std::string to_text(const KeptAnswer& kept) {
  core::JsonWriter json;
  json.begin_object().member("format_version", kFormatVersion).member("kind", kKind);
  json.member("fingerprint", kept.scores.fingerprint).member("top_k", kept.top_k);
  json.key("probe").begin_array();
  for (const auto id : kept.probe) json.value(id);
  json.end_array().key("answer").begin_array();
  for (const auto& entries : kept.scores.log_probs) {
    json.begin_object().key("ids").begin_array();
    for (const auto& entry : entries) json.value(entry.id);
    json.end_array().key("log_probs").begin_array();
    for (const auto& entry : entries) json.value(entry.log_prob);
    json.end_array().end_object();
  }
  return json.end_array().end_object().text();
}

KeptAnswer parse_kept_answer(const std::string& text) {
  const io::JsonValue value = io::parse_json(text, kSource);
  const io::JsonCursor object(value, kSource);
  if (object.at("format_version").as_int() != kFormatVersion ||
      object.at("kind").as_string() != kKind) {
    object.fail(core::concat("is not of kind `", kKind, "`, version ", kFormatVersion));
  }
  KeptAnswer kept{read_ids(object.at("probe")), object.at("top_k").int_in(1, kMostIds), {}};
  kept.scores.fingerprint = object.at("fingerprint").as_string();
  const io::JsonCursor answer = object.at("answer");
  const auto num_tokens = std::ssize(kept.probe);
  if (num_tokens < 2 || num_tokens > kMostTokens || std::ssize(answer.as_array()) != num_tokens) {
    object.fail(core::concat("has ", num_tokens, " ids in `probe` and ", answer.size(),
                             " in `answer`, expected as many, 2 to ", kMostTokens));
  }
  for (std::size_t i = 0; i < answer.size(); ++i) {
    kept.scores.log_probs.push_back(read_position(answer.at(i), kept.top_k));
  }
  return kept;
}

}  // namespace distill::teachers::detail
