#include "teachers/openai_json.h"

#include <charconv>
#include <utility>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>

namespace distill::teachers::detail {

namespace {

void write_answer_options(core::JsonWriter& json, const AnswerOptions& answer, bool chat) {
  json.member("max_tokens", answer.max_tokens)
      .member("temperature", answer.temperature)
      .member("top_p", answer.top_p);
  if (answer.seed) json.member("seed", *answer.seed);
  if (answer.num_answers != 1) json.member("n", answer.num_answers);
  if (answer.log_probs && chat) json.member("logprobs", true);
  if (answer.log_probs && !chat) json.member("logprobs", 1);
  if (answer.stop.empty()) return;
  json.key("stop").begin_array();
  for (const auto& text : answer.stop) json.value(text);
  json.end_array();
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

/// Of the tokens of an answer; nothing for one without tokens.
std::optional<double> read_mean_log_prob(const io::JsonCursor& choice, bool chat) {
  const io::JsonCursor list = choice.at("logprobs").at(chat ? "content" : "token_logprobs");
  double sum = 0;
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    sum += read_log_prob(chat ? list.at(i).at("logprob") : list.at(i));
  }
  if (list.size() == 0) return std::nullopt;
  return sum / static_cast<double>(list.size());
}

/// Tokens that were written for one answer.
std::optional<std::int64_t> read_num_tokens(const io::JsonCursor& answer) {
  if (!answer.has("usage") || !answer.at("usage").has("completion_tokens")) return std::nullopt;
  return answer.at("usage").at("completion_tokens").as_int();
}

std::int64_t read_id(const std::string& text, const io::JsonCursor& where) {
  std::int32_t id = -1;
  const char* end = text.data() + text.size();
  const auto [rest, code] = std::from_chars(text.data(), end, id);
  const bool plain = code == std::errc() && rest == end && id >= 0 && std::to_string(id) == text;
  if (!plain) where.fail(core::concat("names `", core::printable(text), "`, expected a token id"));
  return id;
}

/// One position; puts what its ids spell into `texts`, where that is not null.
std::vector<TokenLogProb> read_position(const io::JsonCursor& position, std::int64_t actual,
                                        const Expected& expected,
                                        std::map<std::int64_t, std::string>* texts) {
  std::vector<TokenLogProb> entries;
  for (const auto& [name, value] : position.as_object().members()) {
    const io::JsonCursor entry = position.at(name);
    entries.push_back({read_id(name, position), read_log_prob(entry.at("logprob"))});
    if (texts != nullptr) (*texts)[entries.back().id] = entry.string_or("decoded_token", "");
  }
  return checked_position(std::move(entries), actual, expected.num_log_probs, position);
}

void read_prompt_log_probs(const io::JsonCursor& choice, const Expected& expected,
                           PromptScores& scores) {
  const auto& ids = *expected.prompt_ids;
  const io::JsonCursor all = choice.at("prompt_logprobs");
  if (all.as_array().size() != ids.size()) {
    all.fail(core::concat("has ", all.size(), " positions, the prompt has ", ids.size()));
  }
  scores.log_probs.resize(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const io::JsonCursor position = all.at(i);
    if (i == 0) {
      if (!position.value().is_null()) position.fail("must be null: nothing comes before it");
      continue;
    }
    scores.log_probs[i] = read_position(position, ids[i], expected,
                                        expected.token_texts ? &scores.token_texts : nullptr);
  }
}

/// A server may name the version of the model that it chose, `NAME-2026-01-31`.
void check_model(const io::JsonCursor& answer, const std::string& asked) {
  const io::JsonCursor name = answer.at("model");
  const std::string& seen = name.as_string();
  // A name may stand for one with a date: NAME-2024-08-06.
  const bool dated = seen.starts_with(asked + "-") &&
                     seen.find_first_not_of("0123456789-", asked.size()) == std::string::npos;
  if (seen == asked || dated) return;
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
  write_answer_options(json, request.answer, /*chat=*/false);
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
  write_answer_options(json, request.answer, /*chat=*/true);
  json.end_object();
  return json.text();
}

Completion parse_completion(std::string_view text, const Expected& expected) {
  return read_answer(text, expected.url, expected.limits, [&](const io::JsonCursor& answer) {
    check_model(answer, expected.model);
    const io::JsonCursor choices = answer.at("choices");
    if (std::ssize(choices.as_array()) != expected.num_answers) {
      choices.fail(
          core::concat("has ", choices.size(), " answers, expected ", expected.num_answers));
    }
    Completion completion;
    completion.prompt.fingerprint = answer.string_or("system_fingerprint", "");
    completion.answers.resize(choices.size());
    std::vector<bool> seen(choices.size());
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const io::JsonCursor choice = choices.at(i);
      const auto index =
          static_cast<std::size_t>(choice.at("index").int_in(0, expected.num_answers - 1));
      if (seen[index]) choice.fail(core::concat("has the index ", index, " once more"));
      seen[index] = true;
      ServerAnswer& own = completion.answers[index];
      own = {read_text(choice, expected.chat), read_finish(choice)};
      if (expected.num_answers == 1) own.num_tokens = read_num_tokens(answer);
      if (expected.log_probs) own.mean_log_prob = read_mean_log_prob(choice, expected.chat);
      if (expected.prompt_ids != nullptr && index == 0) {
        read_prompt_log_probs(choice, expected, completion.prompt);
      }
    }
    return completion;
  });
}

std::vector<ServedModel> parse_models(std::string_view text, const std::string& url) {
  return read_answer(text, url, kAnswerLimits, [](const io::JsonCursor& answer) {
    std::vector<ServedModel> models;
    const io::JsonCursor data = answer.at("data");
    for (std::size_t i = 0; i < data.as_array().size(); ++i) {
      const io::JsonCursor model = data.at(i);
      models.push_back({model.at("id").as_string(), std::nullopt});
      if (model.has("max_model_len")) models.back().max_tokens = model.at("max_model_len").as_int();
    }
    return models;
  });
}

std::string tokenize_json(const std::string& model, const std::string& text) {
  core::JsonWriter json;
  json.begin_object()
      .member("model", model)
      .member("prompt", text)
      .member("add_special_tokens", false)
      .end_object();
  return json.text();
}

std::vector<std::int64_t> parse_tokens(std::string_view text, const std::string& url) {
  return read_answer(text, url, kAnswerLimits, [](const io::JsonCursor& answer) {
    std::vector<std::int64_t> ids;
    const io::JsonCursor tokens = answer.at("tokens");
    for (std::size_t i = 0; i < tokens.as_array().size(); ++i) ids.push_back(tokens.at(i).as_int());
    return ids;
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
