#include "teachers/openai_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>

namespace distill::teachers::detail {

namespace {

/// Log-probabilities of a long prompt are some hundred thousand numbers.
constexpr io::JsonLimits kAnswerLimits{.max_bytes = std::uint64_t{64} << 20,
                                       .max_values = 8'000'000};

void write_answer_options(core::JsonWriter& json, const AnswerOptions& answer) {
  json.member("max_tokens", answer.max_tokens)
      .member("temperature", answer.temperature)
      .member("top_p", answer.top_p);
  if (answer.seed) json.member("seed", *answer.seed);
  if (answer.num_answers != 1) json.member("n", answer.num_answers);
  if (answer.stop.empty()) return;
  json.key("stop").begin_array();
  for (const auto& text : answer.stop) json.value(text);
  json.end_array();
}

/// Parses and reads; what is wrong becomes a TeacherError that shows how the answer begins.
template <class Read>
auto read_answer(std::string_view text, const std::string& url, const Read& read) {
  try {
    const io::JsonValue value = io::parse_json(text, url, kAnswerLimits);
    return read(io::JsonCursor(value, url));
  } catch (const InputError& error) {
    fail<TeacherError>(error.what(), "; the answer begins `", core::printable(text, 80), "`");
  }
}

FinishReason read_finish(const io::JsonCursor& choice) {
  const std::string& name = choice.at("finish_reason").as_string();
  if (name == "stop") return FinishReason::kStop;
  return name == "length" ? FinishReason::kLength : FinishReason::kOther;
}

std::string read_text(const io::JsonCursor& choice, bool chat) {
  if (!chat) return choice.at("text").as_string();
  const io::JsonCursor message = choice.at("message");
  // A model that was cut off while it still reasoned has said nothing yet: null.
  return message.has("content") ? message.at("content").as_string() : "";
}

std::int64_t read_id(const std::string& text, const io::JsonCursor& where) {
  std::int32_t id = -1;
  const char* end = text.data() + text.size();
  const auto [rest, code] = std::from_chars(text.data(), end, id);
  const bool plain = code == std::errc() && rest == end && id >= 0 && std::to_string(id) == text;
  if (!plain) where.fail(core::concat("names `", core::printable(text), "`, expected a token id"));
  return id;
}

double read_log_prob(const io::JsonCursor& entry) {
  constexpr double kRounding = 1e-5;
  const double value = entry.at("logprob").as_double();
  if (value > kRounding) {
    entry.fail(core::concat("has the log-probability ", value, ", expected at most 0"));
  }
  return std::min(value, 0.0);
}

std::vector<TokenLogProb> read_position(const io::JsonCursor& position, std::int64_t actual,
                                        std::int64_t wanted) {
  constexpr double kRounding = 1e-3;
  const auto& members = position.as_object().members();
  // The token that is there comes on top where it is not among the likeliest.
  if (std::ssize(members) < wanted || std::ssize(members) > wanted + 1) {
    position.fail(core::concat("has ", members.size(), " ids, expected ", wanted, " or one more"));
  }
  std::vector<TokenLogProb> entries;
  double sum = 0;
  bool has_actual = false;
  for (const auto& [name, value] : members) {
    const TokenLogProb entry{read_id(name, position), read_log_prob(position.at(name))};
    sum += std::exp(entry.log_prob);
    has_actual = has_actual || entry.id == actual;
    entries.push_back(entry);
  }
  if (!has_actual) position.fail(core::concat("lacks the prompt's own token ", actual));
  if (sum > 1 + kRounding) {
    position.fail(core::concat("has probabilities that sum to ", sum, ", expected at most 1"));
  }
  std::ranges::sort(entries, {}, &TokenLogProb::id);
  return entries;
}

std::vector<std::vector<TokenLogProb>> read_prompt_log_probs(const io::JsonCursor& choice,
                                                             const Expected& expected) {
  const auto& ids = *expected.prompt_ids;
  const io::JsonCursor all = choice.at("prompt_logprobs");
  if (all.as_array().size() != ids.size()) {
    all.fail(core::concat("has ", all.size(), " positions, the prompt has ", ids.size()));
  }
  std::vector<std::vector<TokenLogProb>> positions(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const io::JsonCursor position = all.at(i);
    if (i == 0) {
      if (!position.value().is_null()) position.fail("must be null: nothing comes before it");
      continue;
    }
    positions[i] = read_position(position, ids[i], expected.num_log_probs);
  }
  return positions;
}

/// A server may name the version of the model that it chose, `NAME-2026-01-31`.
void check_model(const io::JsonCursor& answer, const std::string& asked) {
  const io::JsonCursor name = answer.at("model");
  const std::string& seen = name.as_string();
  if (seen == asked || seen.starts_with(asked + "-")) return;
  name.fail(
      core::concat("is `", core::printable(seen), "`, asked was `", core::printable(asked), "`"));
}

}  // namespace

std::string completion_json(const std::string& model, const CompletionRequest& request) {
  core::JsonWriter json;
  json.begin_object().member("model", model).key("prompt");
  if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    json.value(*text);
  } else {
    json.begin_array();
    for (const auto id : std::get<std::vector<std::int64_t>>(request.prompt)) json.value(id);
    json.end_array();
  }
  write_answer_options(json, request.answer);
  if (request.prompt_log_probs) json.member("prompt_logprobs", *request.prompt_log_probs);
  json.end_object();
  return json.text();
}

std::string chat_json(const std::string& model, const ChatRequest& request) {
  core::JsonWriter json;
  json.begin_object().member("model", model).key("messages").begin_array();
  for (const auto& message : request.messages) {
    json.begin_object().member("role", message.role).member("content", message.content);
    json.end_object();
  }
  json.end_array();
  write_answer_options(json, request.answer);
  json.end_object();
  return json.text();
}

Completion parse_completion(std::string_view text, const Expected& expected) {
  return read_answer(text, expected.url, [&](const io::JsonCursor& answer) {
    check_model(answer, expected.model);
    const io::JsonCursor choices = answer.at("choices");
    if (std::ssize(choices.as_array()) != expected.num_answers) {
      choices.fail(
          core::concat("has ", choices.size(), " answers, expected ", expected.num_answers));
    }
    Completion completion;
    completion.answers.resize(choices.size());
    std::vector<bool> seen(choices.size());
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const io::JsonCursor choice = choices.at(i);
      const auto index =
          static_cast<std::size_t>(choice.at("index").int_in(0, expected.num_answers - 1));
      if (seen[index]) choice.fail(core::concat("has the index ", index, " once more"));
      seen[index] = true;
      completion.answers[index] = {read_text(choice, expected.chat), read_finish(choice)};
      if (expected.prompt_ids != nullptr && index == 0) {
        completion.prompt_log_probs = read_prompt_log_probs(choice, expected);
      }
    }
    return completion;
  });
}

std::vector<std::string> parse_models(std::string_view text, const std::string& url) {
  return read_answer(text, url, [](const io::JsonCursor& answer) {
    std::vector<std::string> names;
    const io::JsonCursor data = answer.at("data");
    for (std::size_t i = 0; i < data.as_array().size(); ++i) {
      names.push_back(data.at(i).at("id").as_string());
    }
    return names;
  });
}

std::string parse_error_message(std::string_view text) {
  try {
    const io::JsonValue value = io::parse_json(text, "");
    io::JsonCursor cursor(value, "");
    if (cursor.has("error")) {
      cursor = cursor.at("error");
      if (cursor.value().is_string()) return cursor.as_string();
    }
    for (const char* name : {"message", "detail"}) {
      if (cursor.has(name) && cursor.at(name).value().is_string()) {
        return cursor.at(name).as_string();
      }
    }
  } catch (const InputError&) {
    // Not JSON, or an array: the caller shows how it begins.
  }
  return "";
}

}  // namespace distill::teachers::detail
