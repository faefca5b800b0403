#include "teachers/sglang_json.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>

#include "teachers/answer_json.h"

namespace distill::teachers::detail {

namespace {

constexpr std::size_t kEntrySize = 3;

TokenLogProb read_entry(const io::JsonCursor& entry, PromptScores& scores, bool with_text) {
  if (entry.as_array().size() != kEntrySize) {
    entry.fail(core::concat("has ", entry.size(), " items, expected a number, an id and a text"));
  }
  const std::int64_t id = entry.at(1).int_in(0, std::numeric_limits<std::int32_t>::max());
  if (with_text && entry.at(2).value().is_string()) {
    scores.token_texts[id] = entry.at(2).as_string();
  }
  return {id, read_log_prob(entry.at(std::size_t{0}))};
}

/// Both lists have an entry for each token of the prompt.
void require_size(const io::JsonCursor& list, std::size_t count) {
  if (list.as_array().size() == count) return;
  list.fail(core::concat("has ", list.size(), " positions, the prompt has ", count));
}

void require_id(const io::JsonCursor& own, std::int64_t id) {
  if (own.as_array().size() != kEntrySize || own.at(1).as_int() != id) {
    own.fail(core::concat("is not of the prompt's own token ", id));
  }
}

std::vector<TokenLogProb> read_position(const io::JsonCursor& own, const io::JsonCursor& likeliest,
                                        std::int64_t id, const ScoreRequest& request,
                                        PromptScores& scores) {
  require_id(own, id);
  std::vector<TokenLogProb> entries;
  for (std::size_t k = 0; k < likeliest.as_array().size(); ++k) {
    entries.push_back(read_entry(likeliest.at(k), scores, request.token_texts));
  }
  if (std::ssize(entries) != request.top_k) {
    likeliest.fail(core::concat("has ", entries.size(), " ids, expected ", request.top_k));
  }
  const TokenLogProb actual = read_entry(own, scores, request.token_texts);
  if (std::ranges::find(entries, id, &TokenLogProb::id) == entries.end()) entries.push_back(actual);
  return checked_position(std::move(entries), id, request.top_k, likeliest);
}

}  // namespace

std::string sglang_score_json(const ScoreRequest& request) {
  core::JsonWriter json;
  json.begin_object().key("input_ids").begin_array();
  for (const auto id : request.ids) json.value(id);
  json.end_array()
      .key("sampling_params")
      .begin_object()
      .member("max_new_tokens", 0)
      .member("temperature", 0)
      .end_object()
      .member("return_logprob", true)
      .member("logprob_start_len", 0)
      .member("top_logprobs_num", request.top_k)
      .member("return_text_in_logprobs", request.token_texts)
      .end_object();
  return json.text();
}

PromptScores parse_sglang_scores(std::string_view text, const std::string& url,
                                 const ScoreRequest& request) {
  return read_answer(text, url, score_limits(std::ssize(request.ids), request.top_k),
                     [&](const io::JsonCursor& answer) {
                       const io::JsonCursor info = answer.at("meta_info");
                       const io::JsonCursor own = info.at("input_token_logprobs");
                       const io::JsonCursor likeliest = info.at("input_top_logprobs");
                       require_size(own, request.ids.size());
                       require_size(likeliest, request.ids.size());
                       PromptScores scores;
                       scores.fingerprint = info.string_or("weight_version", "");
                       scores.log_probs.resize(request.ids.size());
                       for (std::size_t i = 0; i < request.ids.size(); ++i) {
                         if (i == 0) {
                           require_id(own.at(i), request.ids[i]);
                           continue;
                         }
                         scores.log_probs[i] = read_position(own.at(i), likeliest.at(i),
                                                             request.ids[i], request, scores);
                       }
                       return scores;
                     });
}

}  // namespace distill::teachers::detail
